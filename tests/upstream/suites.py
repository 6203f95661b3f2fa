"""Runs the test suites of FastAPI and Starlette with each request going through the handler of a rendered project.

`python -m tests.upstream.suites` runs all of it; `--update` writes what fails now into the lists, for somebody to read.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.lock import pins, render
from tests.machine import CACHE, ROOT, UV, clean_environment, interpreter

HERE = Path(__file__).resolve().parent
LOCK = ROOT / "requirements" / "upstream.txt"
SUITES = ("starlette", "fastapi")
# Behind which front end, and whether the project's middleware is around each application.
RUNS = {
    "http_api": ("http_api", "project"),
    "rest_api": ("rest_api", "project"),
    "function_url": ("function_url", "project"),
    "load_balancer": ("load_balancer", "project"),
    "middleware": ("http_api", "middleware"),
}
# Plain Mangum, to compare with.
MANGUM = {f"mangum-{front_end}": (front_end, "mangum") for front_end, kind in RUNS.values() if kind == "project"}
VENV_PYTHON = Path("venv", "Scripts" if os.name == "nt" else "bin", "python")


def prepare() -> Path:
    """Return a folder with both sdists, unpacked, and a virtual environment for them; make it unless it exists.

    The sdists are those whose hashes are in the lock, since PyPI's wheels have no tests in them.
    """
    python = interpreter("python3.13")
    assert python, "no Python 3.13 here; `uv python install 3.13`"
    text = LOCK.read_text(encoding="utf-8")
    target = CACHE / "upstream" / hashlib.sha256(f"{python} {text}".encode()).hexdigest()[:16]
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent))
    names = tuple(f"{suite}==" for suite in SUITES)
    (folder / "sdists.txt").write_text("".join(pin for pin in pins(text) if pin.startswith(names)))
    own = folder / VENV_PYTHON
    subprocess.run([UV, "venv", "--quiet", "--relocatable", "--python", python, folder / "venv"], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", own, "--require-hashes", "-r", LOCK], check=True)
    options = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--require-hashes", "--dest", folder]
    subprocess.run([own, "-m", "pip", "download", "--quiet", *options, "-r", folder / "sdists.txt"], check=True)
    for sdist in folder.glob("*.tar.gz"):
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (folder / sdist.name.removesuffix(".tar.gz")).rename(folder / sdist.name.partition("-")[0])
    try:
        folder.rename(target)
    except OSError:  # somebody else was faster
        shutil.rmtree(folder)
    return target


def failures(suite: str, run: str, app: Path) -> dict[str, str]:
    """Run a suite through the handler in the folder `app`; return the tests that fail, with the error of each."""
    place = prepare()
    front_end, handler = (RUNS | MANGUM)[run]
    python = place / VENV_PYTHON
    with tempfile.TemporaryDirectory() as home:
        record = Path(home) / "failures.json"
        command = [python, "-B", "-m", "pytest", "-c", "pyproject.toml", "--rootdir=.", "-p", "no:cacheprovider"]
        command += ["-q", "-n", "2", "--timeout", "20", "-p", "through_lambda", "-k", "not trio and not websocket"]
        command += [f"--front-end={front_end}", f"--handler={handler}", f"--app={app}", f"--record={record}", "tests"]
        command += [f"--deselect={test}" for group in read(suite) for test, runs in group["tests"].items() if not runs]
        environment = clean_environment(Path(home), python.parent, PYTHONPATH=str(HERE))
        result = subprocess.run(command, cwd=place / suite, env=environment, capture_output=True, text=True)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        return json.loads(record.read_text(encoding="utf-8"))


def read(suite: str) -> list[dict[str, Any]]:
    """Return the list of a suite: groups with a reason, why, and tests with the runs that each fails in.

    A test without a run is left out of all. Reasons: "front end", "harness", "project" (as it is meant to be),
    "ours" (to be fixed), "unread".
    """
    return json.loads((HERE / f"{suite}.json").read_text(encoding="utf-8"))


def differences(suite: str, run: str, failed: dict[str, str]) -> list[str]:
    """Return what the list of a suite does not say, and what it says and is no longer so."""
    listed = {test for group in read(suite) for test, runs in group["tests"].items() if run in runs.split()}
    new = [f"fails and is not listed: {test}: {error}" for test, error in failed.items() if test not in listed]
    return new + [f"is listed and does not fail: {test}" for test in sorted(listed - set(failed))]


def update(suite: str, run: str, failed: dict[str, str]) -> None:
    """Write into the list what fails now."""
    groups, listed = read(suite), set()
    for group in groups:
        for test, runs in [*group["tests"].items()]:
            if run in runs.split() and test not in failed:
                group["tests"][test] = " ".join(other for other in runs.split() if other != run)
                if not group["tests"][test]:
                    del group["tests"][test]
            elif run in runs.split():
                listed.add(test)
    unread = next((group for group in groups if group["reason"] == "unread"), None)
    if unread is None:
        groups.append(unread := {"reason": "unread", "why": "", "tests": {}})
    for test in failed:
        if test not in listed:
            unread["tests"][test] = f"{unread['tests'].get(test, '')} {run}".strip()
    groups = [group for group in groups if group["tests"]]
    (HERE / f"{suite}.json").write_text(json.dumps(groups, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Run what is asked for, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"one of {', '.join(RUNS | MANGUM)}; all but Mangum's")
    parser.add_argument("--suite", choices=SUITES, help="only this one")
    parser.add_argument("--update", action="store_true", help="write what fails now into the lists")
    parser.add_argument("--app", type=Path, help="the folder app/ of a project; the template's as it is now")
    options = parser.parse_args()
    unknown = set(options.runs) - set(RUNS | MANGUM)
    if unknown:
        parser.error(f"there is no run {', '.join(sorted(unknown))}; there are {', '.join(RUNS | MANGUM)}")
    with tempfile.TemporaryDirectory() as folder:
        app = options.app.resolve() if options.app else render(folder) / "app"
        for suite in (options.suite,) if options.suite else SUITES:
            for run in options.runs or RUNS:
                start = time.monotonic()
                failed = failures(suite, run, app)
                print(f"{suite} {run}: {len(failed)} failed, {time.monotonic() - start:.0f} s", flush=True)
                if run in RUNS and options.update:
                    update(suite, run, failed)
                elif run in RUNS:
                    print("".join(f"  {line}\n" for line in differences(suite, run, failed)), end="")


if __name__ == "__main__":
    main()
