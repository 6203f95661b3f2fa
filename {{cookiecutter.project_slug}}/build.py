"""Builds what is deployed: `python build.py layer` fills package/ with the dependencies, for Lambda.

Everything is driven by uv, which picks wheels for a Python and a processor other than those of this machine. It needs
nothing but Python 3.10 or newer: where uv is not installed, it is put into a private virtual environment in .uv/.

    python build.py layer   build package/python from app/requirements.txt (--check only says whether that is needed)
    python build.py lock    pin what pyproject.toml asks for, with hashes (--upgrade takes the newest)
    python build.py venv    make .venv for tests and local runs, from requirements-dev.txt
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What template.yaml deploys; tests/test_project.py holds the two together.
RUNTIME = "{{ cookiecutter.runtime }}"
ARCHITECTURE = "{{ cookiecutter.architecture }}"

PYTHON = RUNTIME.removeprefix("python")
# The lock serves every Python from here up.
LOWEST_PYTHON = "3.11"

PROJECT = Path(__file__).resolve().parent
LOCK = PROJECT / "app" / "requirements.txt"
DEV_LOCK = PROJECT / "requirements-dev.txt"
LAYER = PROJECT / "package" / "python"
RECORD = ".layer.json"
SCRATCH = PROJECT / ".build"
VENV = PROJECT / ".venv"
UV_VENV = PROJECT / ".uv"


class BuildError(Exception):
    """Something that the reader of its message can put right."""


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 not done, with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__.split(":")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    layer = commands.add_parser("layer", help="build package/python from app/requirements.txt")
    layer.add_argument("--check", action="store_true", help="change nothing; exit 1 if it is missing or out of date")
    lock = commands.add_parser("lock", help="pin the dependencies of pyproject.toml, with hashes")
    lock.add_argument("--upgrade", action="store_true", help="take the newest versions that the ranges allow")
    commands.add_parser("venv", help="make .venv for tests and local runs")
    options = parser.parse_args(arguments)
    try:
        if options.command == "layer":
            check_layer() if options.check else build_layer()
        elif options.command == "lock":
            write_locks(options.upgrade)
        else:
            make_venv()
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


def build_layer() -> None:
    """Build package/python, unless it is up to date already.

    The new layer is made in a folder of its own and takes the place of the old one when it is whole, so a failed or
    interrupted build leaves the old one as it was.
    """
    built = built_from()
    python = None if built.get("bytecode") else find_python()
    if built and not stale(could_compile=python is not None):
        say("package/ is up to date.")
        return
    python = python or find_python()
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as scratch:
        fresh = Path(scratch) / "python"
        say(f"Building package/ for {RUNTIME} on {ARCHITECTURE} ...")
        install(fresh)
        prune(fresh)
        if python:
            compile_bytecode(python, fresh)
        else:
            say(f"No Python {PYTHON} was found, so package/ has no bytecode and a cold start takes twice as long;")
            say(f"`uv python install {PYTHON}`, then `python build.py layer`, mends that.")
        (fresh / RECORD).write_text(json.dumps(record(fresh, python is not None), indent=2) + "\n", encoding="utf-8")
        swap(fresh, LAYER, Path(scratch) / "old")
    say(f"Built package/python: {sum(1 for _ in LAYER.glob('*.dist-info'))} packages.")


def install(target: Path) -> None:
    """Put the locked packages into the folder: wheels only, each with its hash checked, as the runtime would pick them.

    Lambda's Python 3.12 and newer run on Amazon Linux 2023 (glibc 2.34), 3.11 on Amazon Linux 2 (2.26, of which wheels
    speak as manylinux2014).
    """
    processor = {"arm64": "aarch64", "x86_64": "x86_64"}[ARCHITECTURE]
    system = "manylinux2014" if PYTHON == "3.11" else "manylinux_2_34"
    uv(
        *("pip", "install", "--python", sys.executable, "--target", target, "--link-mode", "copy"),
        *("--python-version", PYTHON, "--python-platform", f"{processor}-{system}", "--only-binary", ":all:"),
        *("--no-deps", "--require-hashes", "--requirements", LOCK),
    )


def prune(layer: Path) -> None:
    """Drop what Lambda never reads: scripts, type stubs, and the installer's own notes, which differ from run to run.

    The rest of *.dist-info stays: packages look up their own version and entry points there.
    """
    shutil.rmtree(layer / "bin", ignore_errors=True)
    (layer / ".lock").unlink(missing_ok=True)
    for pattern in ("*.pyi", "*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED"):
        for path in layer.rglob(pattern):
            path.unlink()
    for cache in list(layer.rglob("__pycache__")):
        shutil.rmtree(cache)


def compile_bytecode(python: Path, layer: Path) -> None:
    """Compile every module with the runtime's own Python, so that a cold start does not have to.

    Unchecked-hash bytecode is valid whatever the date of the source; by default it is tied to that date, which does not
    survive an archive. Tracebacks name the files as Lambda has them, below /opt.
    """
    run(
        *(python, "-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"),
        *("-s", layer.parent, "-p", "/opt", layer),
        PYTHONHASHSEED="0",  # sets of constants are written in the order of their hashes
    )


def swap(fresh: Path, current: Path, old: Path) -> None:
    """Put a folder in the place of another, which is moved aside; they must be on one file system."""
    if current.exists():
        current.rename(old)
    fresh.rename(current)


def record(layer: Path, bytecode: bool) -> dict[str, object]:
    """Return what a layer was built from, as it is kept in the layer itself."""
    files = sum(1 for path in layer.rglob("*") if path.is_file() and path.name != RECORD and path.suffix != ".pyc")
    lock = hashlib.sha256(LOCK.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    return {"runtime": RUNTIME, "architecture": ARCHITECTURE, "lock": lock, "files": files, "bytecode": bytecode}


def built_from() -> dict[str, object]:
    """Return the record in package/python, or an empty one if there is no layer or no record."""
    try:
        return json.loads((LAYER / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def stale(could_compile: bool) -> str | None:
    """Say why package/python has to be built again, or None if it need not be."""
    built = built_from()
    if not built:
        return "package/python is not built"
    wanted = record(LAYER, built.get("bytecode") or could_compile)
    changed = [name for name, value in wanted.items() if built.get(name) != value]
    return f"package/python is out of date ({', '.join(changed)})" if changed else None


def check_layer() -> None:
    """Raise BuildError unless package/python is what app/requirements.txt asks for."""
    if reason := stale(could_compile=False):
        raise BuildError(f"{reason}: run `python build.py layer`")
    say("package/ is up to date.")


def write_locks(upgrade: bool) -> None:
    """Pin the dependencies of pyproject.toml: app/requirements.txt for the layer, requirements-dev.txt for .venv.

    Both are universal: they hold for every Python from LOWEST_PYTHON up, and for each processor and system.
    """
    compile_lock = [
        *("pip", "compile", "pyproject.toml", "--quiet", "--universal", "--python-version", LOWEST_PYTHON),
        *("--generate-hashes", "--no-annotate", "--custom-compile-command", "python build.py lock"),
        *(["--upgrade"] if upgrade else []),
    ]
    uv(*compile_lock, "--only-binary", ":all:", "--output-file", LOCK.relative_to(PROJECT).as_posix())
    constraint = ("--constraint", LOCK.relative_to(PROJECT).as_posix())
    uv(*compile_lock, "--group", "dev", *constraint, "--output-file", DEV_LOCK.name)
    say(f"Wrote {LOCK.relative_to(PROJECT).as_posix()} and {DEV_LOCK.name}.")


def make_venv() -> None:
    """Make .venv with the runtime's Python, and install requirements-dev.txt into it."""
    if version_of(venv_python(VENV)) != PYTHON:
        say(f"Making .venv with Python {PYTHON} ...")
        # Where none is installed, uv fetches one.
        uv("venv", "--quiet", "--clear", "--python", find_python() or PYTHON, VENV)
    uv("pip", "sync", "--python", venv_python(VENV), "--require-hashes", DEV_LOCK)


def find_python() -> Path | None:
    """Return an interpreter of the runtime's minor version: the one that runs this, .venv's, uv's or pyenv's."""
    if "{}.{}".format(*sys.version_info) == PYTHON:
        return Path(sys.executable)
    found = capture(*find_uv(), "python", "find", "--no-python-downloads", "--no-project", PYTHON)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [venv_python(VENV), *([Path(found)] if found else []), *pyenv.glob(f"{PYTHON}.*/bin/python")]
    return next((python for python in candidates if version_of(python) == PYTHON), None)


def version_of(python: Path) -> str | None:
    """Return the minor version of an interpreter, such as "3.13", or None if it does not run."""
    return capture(python, "-I", "-c", "import sys; print('{}.{}'.format(*sys.version_info))")


def venv_python(venv: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def uv(*arguments: str | Path) -> None:
    """Run uv in the project's folder.

    Raises:
        BuildError: it failed; what it says about that has been printed.
    """
    run(*find_uv(), *arguments)


def find_uv() -> list[str | Path]:
    """Return the command for uv: from PATH, as a module of this Python, or out of .uv/, where it is put if need be."""
    private = [venv_python(UV_VENV), "-m", "uv"]
    for command in (["uv"], [sys.executable, "-m", "uv"], private):
        if capture(*command, "--version"):
            return command
    say("uv was not found; putting it into .uv/ ...")
    try:
        run(sys.executable, "-m", "venv", "--clear", UV_VENV)
        run(venv_python(UV_VENV), "-m", "pip", "install", "--quiet", "uv", PIP_USER="0")
    except BuildError:
        raise BuildError("uv could not be installed; install it (`pip install uv`) and try again") from None
    return private


def run(*command: str | Path, **environment: str) -> None:
    """Run a command in the project's folder, and raise BuildError if it fails."""
    try:
        subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"{Path(command[0]).name} failed; what it said is above") from error


def capture(*command: str | Path) -> str | None:
    """Return what a command prints, or None if it fails."""
    try:
        result = subprocess.run(command, cwd=PROJECT, capture_output=True, encoding="utf-8", errors="replace")
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def say(line: str) -> None:
    """Print a line at once, also where the output is a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
