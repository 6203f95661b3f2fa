"""Builds what is deployed: `python scripts/build.py layer` fills package/ with the dependencies, for Lambda.

It needs nothing but Python 3.10 or newer. uv does the work (see run_uv.py), since it picks wheels for a Python and a
processor other than those of this machine.

    python scripts/build.py layer   build package/python from app/requirements.txt (--check only compares)
    python scripts/build.py zip     write dist/function.zip and dist/layer.zip (--output FOLDER)
    python scripts/build.py lock    pin what pyproject.toml asks for, with hashes (--upgrade takes the newest)
    python scripts/build.py venv    make .venv for tests and local runs, from requirements-dev.txt
"""

import argparse
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from run_uv import BuildError, find_python, run, say, uv, uv_from_cache, venv_python, version_of

# What {{ "serverless.yml" if cookiecutter.__serverless else "template.yaml" }} deploys; tests/test_project.py holds the two together.
RUNTIME = "{{ cookiecutter.runtime }}"
ARCHITECTURE = "{{ cookiecutter.architecture }}"

PYTHON = RUNTIME.removeprefix("python")
# The lock serves every Python from here up.
LOWEST_PYTHON = "3.11"

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MIB = 1024 * 1024
UNZIPPED_LIMIT = 250 * MIB  # function and layers together
UPLOAD_LIMIT = 50 * MIB  # larger archives have to go through S3

PROJECT = Path(__file__).resolve().parent.parent
APP = PROJECT / "app"
LOCK = APP / "requirements.txt"
DEV_LOCK = PROJECT / "requirements-dev.txt"
LAYER = PROJECT / "package" / "python"
RECORD = ".layer.json"
DIST = PROJECT / "dist"
# Not in package/, which is uploaded as it is: what a killed build leaves must not be.
SCRATCH = PROJECT / ".build"
VENV = PROJECT / ".venv"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 not done, with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__.split(":")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    layer = commands.add_parser("layer", help="build package/python from app/requirements.txt")
    layer.add_argument("--check", action="store_true", help="change nothing; exit 1 if it is missing or out of date")
    archives = commands.add_parser("zip", help="write function.zip and layer.zip")
    archives.add_argument("--output", type=Path, default=DIST, metavar="FOLDER", help="where to in the project: dist")
    lock = commands.add_parser("lock", help="pin the dependencies of pyproject.toml, with hashes")
    lock.add_argument("--upgrade", action="store_true", help="take the newest versions that the ranges allow")
    commands.add_parser("venv", help="make .venv for tests and local runs")
    options = parser.parse_args(arguments)
    try:
        if not LOCK.is_file() and options.command != "lock":
            raise BuildError(f"{PROJECT} is not a project to build: it has no app/requirements.txt")
        if options.command == "layer":
            check_layer() if options.check else build_layer()
        elif options.command == "zip":
            write_archives(options.output)
        elif options.command == "lock":
            write_locks(options.upgrade)
        else:
            make_venv()
    except BuildError as error:
        print(f"build.py: {error}.", file=sys.stderr)
        return 1
    except OSError as error:
        cause = "the disk is full; free some space" if error.errno == errno.ENOSPC else error
        print(f"build.py: {cause}. Nothing was changed.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build.py: interrupted. Nothing was changed.", file=sys.stderr)
        return 130
    return 0


# the layer


def build_layer() -> None:
    """Build package/python, unless it is up to date already.

    The new layer is made in a folder of its own and takes the place of the old one when it is whole, so a failed or
    interrupted build leaves the old one as it was.
    """
    built = built_from()
    # Bytecode that is there stays; whether it could be made now matters only where there is none.
    python = None if built.get("bytecode") else find_python(PYTHON, VENV)
    if not stale(could_compile=python is not None):
        say("package/ is up to date.")
        return
    python = python or find_python(PYTHON, VENV)
    with scratch_folder() as scratch:
        fresh = scratch / "python"
        say(f"Building package/ for {RUNTIME} on {ARCHITECTURE} ...")
        install(fresh)
        prune(fresh)
        if python:
            say("Compiling ...")
            compile_bytecode(python, fresh, "/opt/python", PYTHONNODEBUGRANGES="1")
        else:
            say(f"No Python {PYTHON} was found, so package/ has no bytecode and a cold start takes twice as long;")
            say(f"`uv python install {PYTHON}`, then `python scripts/build.py layer`, mends that.")
        report_size(fresh)
        (fresh / RECORD).write_text(json.dumps(record(fresh, python is not None), indent=2) + "\n", encoding="utf-8")
        swap(fresh, LAYER, scratch / "old")


def install(target: Path) -> None:
    """Put the locked packages into the folder: wheels only, each with its hash checked, as the runtime would pick them.

    Lambda's Python 3.12 and newer run on Amazon Linux 2023 (glibc 2.34), 3.11 on Amazon Linux 2 (2.26, of which wheels
    speak as manylinux2014).
    """
    processor = {"arm64": "aarch64", "x86_64": "x86_64"}[ARCHITECTURE]
    system = "manylinux2014" if PYTHON == "3.11" else "manylinux_2_34"
    command: list[str | Path] = [
        *("pip", "install", "--python", sys.executable, "--target", target, "--link-mode", "copy"),
        *("--python-version", PYTHON, "--python-platform", f"{processor}-{system}", "--only-binary", ":all:"),
        *("--no-deps", "--require-hashes", "--requirements", LOCK),
    ]
    # The lock names files to the hash: what an index could tell is only needed for those that are not in the cache.
    if not uv_from_cache(*command):
        shutil.rmtree(target, ignore_errors=True)
        uv(*command, target_name=f"{RUNTIME} on {ARCHITECTURE}")


def prune(layer: Path) -> None:
    """Drop what Lambda never reads: scripts, type stubs, and the installer's own notes, which differ from run to run.

    The rest of *.dist-info stays: packages look up their own version and entry points there.
    """
    shutil.rmtree(layer / "bin", ignore_errors=True)
    (layer / ".lock").unlink(missing_ok=True)
    notes = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
    for pattern in ("*.pyi", *(f"*.dist-info/{note}" for note in notes)):
        for path in layer.rglob(pattern):
            path.unlink()
    for cache in list(layer.rglob("__pycache__")):
        shutil.rmtree(cache)


def compile_bytecode(python: Path, folder: Path, on_lambda: str, **environment: str) -> None:
    """Compile every module with the runtime's own Python, so that a cold start does not have to.

    Unchecked-hash bytecode is valid whatever the date of the source; by default it is tied to that date, which does not
    survive an archive. Tracebacks name the files as Lambda has them. In the layer, PYTHONNODEBUGRANGES leaves out the
    columns that a traceback underlines: a tenth of the archive, and of interest in one's own code only.
    """
    # Variables of Python would change what is compiled and where to; sets are written in the order of their hashes.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, "-s", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    try:
        run(*command, "-s", folder, "-p", on_lambda, folder, env=clean | {"PYTHONHASHSEED": "0"} | environment)
    except BuildError as error:
        if getattr(error.__cause__, "returncode", None) != 1:
            raise
        # Some packages carry templates or files of Python 2; nobody imports those.
        say(f"Python {PYTHON} cannot read the files named above; they stay as they are.")


def report_size(layer: Path) -> None:
    """Say how large a layer is, beside what Lambda allows, and which packages make it so.

    Raises:
        BuildError: it is larger than Lambda takes.
    """
    files = [path for path in layer.rglob("*") if path.is_file()]
    # The quickest compression does for a bound, and zlib lets other threads run.
    with ThreadPoolExecutor() as pool:
        zipped = sum(pool.map(lambda path: len(zlib.compress(path.read_bytes(), 1)) + 200, files))
    packages: Counter[str] = Counter()
    for path in files:
        packages[path.relative_to(layer).parts[0].partition("-")[0].removesuffix(".py")] += path.stat().st_size
    unzipped = packages.total()
    packages.pop("__pycache__", None)
    count = sum(1 for _ in layer.glob("*.dist-info"))
    largest = ", ".join(f"{name} {size / MIB:.1f}" for name, size in packages.most_common(5))
    say(f"package/python: {count} packages, {unzipped / MIB:.1f} MB of {UNZIPPED_LIMIT // MIB} that Lambda allows,")
    say(f"at most {zipped / MIB:.1f} MB zipped of {UPLOAD_LIMIT // MIB}. Largest: {largest}.")
    if unzipped > UNZIPPED_LIMIT:
        raise BuildError(
            f"the layer has {unzipped / MIB:.0f} MB and Lambda takes {UNZIPPED_LIMIT // MIB} with the function; drop a "
            f"dependency ({largest}), or deploy a container image"
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
        raise BuildError(f"{reason}: run `python scripts/build.py layer`")
    say("package/ is up to date.")


# the archives


def write_archives(output: Path = DIST) -> None:
    """Write function.zip from app/ and layer.zip from package/python, which is built first if need be."""
    build_layer()
    output.mkdir(parents=True, exist_ok=True)
    tag = f".cpython-{PYTHON.replace('.', '')}.pyc"
    with scratch_folder() as scratch:
        code = scratch / "function"
        shutil.copytree(APP, code, ignore=shutil.ignore_patterns("__pycache__", ".*", LOCK.name))
        if python := find_python(PYTHON, VENV):
            compile_bytecode(python, code, "/var/task")
        for name, folder, prefix in (("function", code, ""), ("layer", LAYER, "python/")):
            size = write_archive(scratch / f"{name}.zip", folder, prefix, tag)
            (scratch / f"{name}.zip").replace(output / f"{name}.zip")
            more = "" if size <= UPLOAD_LIMIT else f"; over {UPLOAD_LIMIT // MIB} MB it has to be uploaded through S3"
            say(f"{output.name}/{name}.zip: {size / MIB:.2f} MB{more}")


def write_archive(archive: Path, folder: Path, prefix: str, tag: str) -> int:
    """Zip a folder so that equal content gives equal bytes, and return the size: names sorted, dates and modes fixed.

    Hidden files, and bytecode of any other Python than the runtime's, stay out.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, path in sorted(deployable(folder, tag)):
            executable = path.suffix == ".so" or path.stat().st_mode & 0o100
            entry = zipfile.ZipInfo(prefix + name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose modes these are
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            target.writestr(entry, path.read_bytes())
    return archive.stat().st_size


def deployable(folder: Path, tag: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder that are deployed, with their names in the archive."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        foreign = path.suffix == ".pyc" and not path.name.endswith(tag)
        if path.is_file() and not hidden and not foreign:
            yield name.as_posix(), path


# locks and .venv


def write_locks(upgrade: bool) -> None:
    """Pin the dependencies of pyproject.toml: app/requirements.txt for the layer, requirements-dev.txt for .venv.

    Both are universal: they hold for every Python from LOWEST_PYTHON up, and for each processor and system.
    """
    compile_lock = [
        *("pip", "compile", "pyproject.toml", "--quiet", "--universal", "--python-version", LOWEST_PYTHON),
        *("--generate-hashes", "--no-annotate", "--custom-compile-command", "python scripts/build.py lock"),
        *(["--upgrade"] if upgrade else []),
    ]
    layer_lock = LOCK.relative_to(PROJECT).as_posix()
    uv(*compile_lock, "--only-binary", ":all:", "--output-file", layer_lock)
    uv(*compile_lock, "--group", "dev", "--constraint", layer_lock, "--output-file", DEV_LOCK.name)
    say(f"Wrote {layer_lock} and {DEV_LOCK.name}.")


def make_venv() -> None:
    """Make .venv with the runtime's Python, and install requirements-dev.txt into it."""
    if version_of(venv_python(VENV)) != PYTHON:
        say(f"Making .venv with Python {PYTHON} ...")
        # Where none is installed, uv fetches one.
        uv("venv", "--quiet", "--clear", "--python", find_python(PYTHON, VENV) or PYTHON, VENV)
    uv("pip", "sync", "--python", venv_python(VENV), "--require-hashes", DEV_LOCK, target_name=f"Python {PYTHON}")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder to build in, on the project's own file system; what killed builds left of theirs goes first."""
    SCRATCH.mkdir(exist_ok=True)
    for left in SCRATCH.iterdir():
        if left.stat().st_mtime < time.time() - 3600:  # the others belong to builds that may still run
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
