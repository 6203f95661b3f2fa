"""Builds what is deployed: `python scripts/build.py layer` fills package/ with the dependencies, for Lambda.

It needs nothing but Python 3.10 or newer. uv does the work (see run_uv.py): it picks wheels for another Python and
another processor than those of this machine.

    python scripts/build.py layer   build package/python from app/requirements.txt (--check only compares)
    python scripts/build.py zip     write dist/function.zip and dist/layer.zip (--output FOLDER)
    python scripts/build.py lock    pin the dependencies of pyproject.toml, with hashes (--upgrade: the newest versions)
    python scripts/build.py venv    make .venv for tests and local runs, from requirements-dev.txt
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

if sys.version_info < (3, 10):
    sys.exit("build.py: Python 3.10 or newer is needed, this is {}.{}.".format(*sys.version_info))

from run_uv import PROJECT, BuildError, find_python, uv, venv_python, version_of

# The runtime and processor that are deployed, in this one place; tests/test_project.py compares the other files.
RUNTIME = "{{ cookiecutter.runtime }}"
ARCHITECTURE = "{{ cookiecutter.architecture }}"

PYTHON = RUNTIME.removeprefix("python")
# The minor version of Lambda's glibc: Python 3.11 runs on Amazon Linux 2 (2.26), newer on Amazon Linux 2023 (2.34).
GLIBC = 26 if PYTHON == "3.11" else 34

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MIB = 1024 * 1024
UNZIPPED_LIMIT = 250 * MIB  # function and layers together
UPLOAD_LIMIT = 50 * MIB  # larger archives have to go through S3

APP = PROJECT / "app"
LOCK = APP / "requirements.txt"
DEV_LOCK = PROJECT / "requirements-dev.txt"
LAYER = PROJECT / "package" / "python"
RECORD = ".layer.json"
DIST = PROJECT / "dist"
# Not in package/, which is uploaded as it is, with whatever a killed build leaves.
SCRATCH = PROJECT / ".build"
VENV = PROJECT / ".venv"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 not done, with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="layer|zip|lock|venv")
    commands.add_parser("layer").add_argument("--check", action="store_true", help="exit 1 if it is out of date")
    commands.add_parser("zip").add_argument("--output", type=Path, default=DIST, metavar="FOLDER", help="default: dist")
    commands.add_parser("lock").add_argument("--upgrade", action="store_true", help="take the newest versions")
    commands.add_parser("venv")
    options = parser.parse_args(arguments)
    try:
        if options.command == "lock":
            write_locks(options.upgrade)
        elif not LOCK.is_file():
            raise BuildError(f"{PROJECT} is not a project to build: it has no app/requirements.txt")
        elif options.command == "layer":
            build_layer(options.check)
        elif options.command == "zip":
            write_archives(options.output)
        else:
            make_venv()
    except (BuildError, OSError) as error:
        print(f"build.py: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build.py: interrupted.", file=sys.stderr)
        return 130
    return 0


def build_layer(check: bool = False) -> None:
    """Build package/python, unless it is up to date.

    The new layer is made in another folder and replaces the old one when it is complete, so a failed or interrupted
    build leaves the old one as it was. With `check`, nothing is built, and BuildError says what is out of date.
    """
    python = None if check else find_python(PYTHON, VENV)
    if not (reason := stale(could_compile=python is not None)):
        print("package/ is up to date.")
        return
    if check:
        raise BuildError(f"{reason}: run `python scripts/build.py layer`")
    with scratch_folder() as scratch:
        fresh = scratch / "python"
        print(f"Building package/ for {RUNTIME} on {ARCHITECTURE} ...")
        install(fresh)
        prune(fresh)
        if python:
            # Without the columns that a traceback underlines, the archive is a tenth smaller.
            compile_bytecode(python, fresh, "/opt/python", PYTHONNODEBUGRANGES="1")
        else:
            print(f"No Python {PYTHON} was found, so package/ has no bytecode and a cold start takes twice as long.")
            print(f"With bytecode: `uv python install {PYTHON}`, then `python scripts/build.py layer`.")
        report_size(fresh)
        (fresh / RECORD).write_text(json.dumps(record(fresh, python is not None), indent=2) + "\n", encoding="utf-8")
        if LAYER.exists():
            LAYER.rename(scratch / "old")
        fresh.rename(LAYER)


def install(target: Path) -> None:
    """Install the locked packages into a folder: wheels only, with checked hashes, for the runtime and its processor.

    From pyproject.toml, uv knows which index a package comes from; it stops at a requirement that the lock lacks.
    """
    linux = {"arm64": "aarch64", "x86_64": "x86_64"}[ARCHITECTURE] + "-manylinux_2_"
    command: list[str | Path] = [
        *("pip", "install", "--python", sys.executable, "--target", target, "--link-mode", "copy", "--require-hashes"),
        *("--python-version", PYTHON, "--only-binary", ":all:", "--python-platform"),
    ]
    task = "install app/requirements.txt"
    uv(*command, f"{linux}{max(GLIBC, 28)}", "-r", LOCK, "-r", "pyproject.toml", task=task, target=target)
    # uv knows no glibc between 2.17 and 2.28, and prefers the newest: what Lambda cannot load is installed once more.
    pins = re.split(r"^(?=\w)", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for tags in list(target.glob("*.dist-info/WHEEL")):
        needed = re.findall(r"^Tag: .*-manylinux_2_(\d+)_", tags.read_text(encoding="utf-8"), re.MULTILINE)
        if needed and min(map(int, needed)) > GLIBC:
            name, pin = re.sub(r"[-_.]+", "[-_.]+", tags.parent.name.partition("-")[0]), target.with_name("pin.txt")
            pin.write_text("".join(p for p in pins if re.match(rf"{name}[ \[=]", p, re.IGNORECASE)), encoding="utf-8")
            uv(*command, f"{linux}17", "-r", pin, "--no-deps", "--reinstall", task=task)


def prune(layer: Path) -> None:
    """Remove what Lambda never reads: scripts, type stubs, and the installer's notes, which differ from run to run.

    The rest of *.dist-info stays: packages look up their own version and entry points there.
    """
    shutil.rmtree(layer / "bin", ignore_errors=True)
    notes = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
    for pattern in (".lock", "*.pyi", *(f"*.dist-info/{note}" for note in notes)):
        for path in layer.rglob(pattern):
            path.unlink()
    for cache in list(layer.rglob("__pycache__")):
        shutil.rmtree(cache)


def compile_bytecode(python: Path, folder: Path, on_lambda: str, **environment: str) -> None:
    """Compile every module with the runtime's own Python, so that a cold start does not have to.

    Unchecked-hash bytecode is valid whatever the date of the source. Tracebacks name the files as Lambda has them.
    """
    # Variables of Python would change what is compiled and where to; sets are written in the order of their hashes.
    environment |= {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = (python, "-s", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", folder)
    sys.stdout.flush()
    code = subprocess.run([*command, "-p", on_lambda, folder], env=environment | {"PYTHONHASHSEED": "0"}).returncode
    if code == 1:  # some packages carry templates or files of Python 2, which nobody imports
        print(f"Python {PYTHON} cannot compile the files named above; they are kept without bytecode.")
    elif code:
        raise BuildError(f"{python} -m compileall ended with exit code {code}")


def report_size(layer: Path) -> None:
    """Print how large a layer is, and which packages make it so; raise BuildError if Lambda does not take it."""
    files = [path for path in layer.rglob("*") if path.is_file()]
    # The fastest compression is enough for an upper bound, and zlib lets other threads run.
    with ThreadPoolExecutor() as pool:
        zipped = sum(pool.map(lambda path: len(zlib.compress(path.read_bytes(), 1)) + 200, files))
    sizes: Counter[str] = Counter()
    for path in files:
        sizes[path.relative_to(layer).parts[0].partition("-")[0].removesuffix(".py")] += path.stat().st_size
    unzipped, packages = sizes.total(), len(list(layer.glob("*.dist-info")))
    largest = ", ".join(f"{name} {size / MIB:.1f}" for name, size in sizes.most_common(5))
    print(f"package/python: {packages} packages, {unzipped / MIB:.1f} MB of the {UNZIPPED_LIMIT // MIB} MB allowed,")
    print(f"at most {zipped / MIB:.1f} MB zipped. Largest: {largest}.")
    if unzipped > UNZIPPED_LIMIT:
        raise BuildError(
            f"Lambda takes {UNZIPPED_LIMIT // MIB} MB with the function: drop a dependency, or deploy an image"
        )


def record(layer: Path, bytecode: bool) -> dict[str, object]:
    """Return what a layer was built from and what is in it, as it is kept in the layer itself."""
    files, lock = hashlib.sha256(), hashlib.sha256(LOCK.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    for name, path in sorted(deployable(layer, bytecode)):
        files.update(f"{name} {path.stat().st_size} ".encode() + path.read_bytes())
    built = {"runtime": RUNTIME, "architecture": ARCHITECTURE, "lock": lock, "files": files.hexdigest()}
    return built | {"bytecode": bytecode}


def built_from() -> dict[str, object]:
    """Return the record in package/python, or an empty one if there is no layer or no record."""
    try:
        built: dict[str, object] = json.loads((LAYER / RECORD).read_text(encoding="utf-8"))
        return built
    except (OSError, ValueError):
        return {}


def stale(could_compile: bool) -> str | None:
    """Return why package/python has to be built again, or None if it is up to date."""
    if not (built := built_from()):
        return "package/python is not built"
    wanted = record(LAYER, bool(built.get("bytecode"))) | {"bytecode": built.get("bytecode") or could_compile}
    changed = [name for name, value in wanted.items() if built.get(name) != value]
    return f"package/python is out of date ({', '.join(changed)})" if changed else None


def write_archives(output: Path = DIST) -> None:
    """Write function.zip from app/ and layer.zip from package/python, which is built first if need be."""
    build_layer()
    output.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as scratch:
        code = scratch / "function"
        shutil.copytree(APP, code, ignore=shutil.ignore_patterns("__pycache__", ".*", LOCK.name))
        if python := find_python(PYTHON, VENV):
            compile_bytecode(python, code, "/var/task")
        layer = (LAYER, "python/", bool(built_from().get("bytecode")))
        for name, (folder, prefix, bytecode) in {"function": (code, "", python is not None), "layer": layer}.items():
            size = write_archive(scratch / f"{name}.zip", sorted(deployable(folder, bytecode)), prefix)
            (scratch / f"{name}.zip").replace(output / f"{name}.zip")
            more = "" if size <= UPLOAD_LIMIT else f"; over {UPLOAD_LIMIT // MIB} MB it has to be uploaded through S3"
            print(f"{output.name}/{name}.zip: {size / MIB:.2f} MB{more}")


def write_archive(archive: Path, files: list[tuple[str, Path]], prefix: str) -> int:
    """Zip files so that equal content gives equal bytes, with fixed dates and modes, and return the size."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, path in files:
            executable = path.suffix == ".so" or path.stat().st_mode & 0o100
            entry = zipfile.ZipInfo(prefix + name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose modes these are
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            target.writestr(entry, path.read_bytes())
    return archive.stat().st_size


def deployable(folder: Path, bytecode: bool) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder that are deployed, with their names in the archive.

    Hidden files stay out, and so does what is in a __pycache__, but for bytecode of the runtime where it was compiled.
    """
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        compiled = bytecode and path.name.endswith(f".cpython-{PYTHON.replace('.', '')}.pyc")
        if path.is_file() and not hidden and (compiled or path.parent.name != "__pycache__"):
            yield name.as_posix(), path


def write_locks(upgrade: bool) -> None:
    """Pin the dependencies of pyproject.toml: app/requirements.txt for the layer, requirements-dev.txt for .venv.

    Both are universal: they hold for the runtime's Python and every newer one, and for each processor and system.
    """
    command = ["pip", "compile", "pyproject.toml", "--quiet", "--universal", "--python-version", PYTHON]
    command += ["--python", sys.executable, "--generate-hashes", "--no-annotate", *(["--upgrade"] if upgrade else [])]
    command += ["--custom-compile-command", "python scripts/build.py lock", "--output-file"]
    lock, task = LOCK.relative_to(PROJECT).as_posix(), "lock the dependencies in pyproject.toml"
    uv(*command, lock, "--only-binary", ":all:", task=task)
    uv(*command, DEV_LOCK.name, "--group", "dev", "--constraint", lock, task=task)
    print(f"Wrote {lock} and {DEV_LOCK.name}.")


def make_venv() -> None:
    """Make .venv with the runtime's Python, and install requirements-dev.txt into it."""
    if version_of(venv_python(VENV)) != PYTHON:
        print(f"Making .venv with Python {PYTHON} ...")
        python = find_python(PYTHON, VENV) or PYTHON  # which uv downloads, where it may
        uv("venv", "--quiet", "--clear", "--python", python, VENV, task=f"make .venv with Python {PYTHON}")
    sync = ("pip", "sync", "--python", venv_python(VENV), "--require-hashes", DEV_LOCK, "pyproject.toml")
    uv(*sync, "--group", "dev", task="install requirements-dev.txt")


@contextmanager
def scratch_folder() -> Generator[Path, None, None]:
    """Make a folder to build in, on the project's own file system, and delete those that killed builds have left."""
    SCRATCH.mkdir(exist_ok=True)
    for left in SCRATCH.iterdir():
        if left.stat().st_mtime < time.time() - 3600:  # the others may belong to builds that still run
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
