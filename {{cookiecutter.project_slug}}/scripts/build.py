"""Build the Lambda layer, the deployment archives, the lock files and .venv.

It needs Python 3.10 or newer, and installs uv if uv is missing (see run_uv.py). uv installs wheels for Lambda's
runtime and architecture on any machine.

    python scripts/build.py layer   build package/python from app/requirements.txt (--check: exit 1 if it is stale)
    python scripts/build.py zip     write dist/function.zip and dist/layer.zip (--output FOLDER)
    {% if cookiecutter.__sam %}
    python scripts/build.py sam     write what template.yaml names into .aws-sam/build; `sam build` runs this with make
    {% endif %}
    python scripts/build.py lock    pin the dependencies of pyproject.toml, with hashes (--upgrade: the newest versions)
    python scripts/build.py venv    make .venv for tests and local runs, from requirements-dev.txt
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info < (3, 10):
    sys.exit("build.py: Python 3.10 or newer is needed, this is {}.{}.".format(*sys.version_info))

{% if cookiecutter.__sam %}
from archive import copy_code, copy_files, deployable, write_archive
{% else %}
from archive import copy_code, deployable, write_archive
{% endif %}
from bytecode import compile_bytecode, limit_bytecode
from layer import APP, LOCK, MIB, RECORD, UNZIPPED_LIMIT, layer_files, record, report_size, size, size_of_code, stale
from run_uv import PROJECT, BuildError, find_python, uv, venv_python, version_of
from scratch import replace_layer, scratch_folder

WITHOUT_HASH = """{} has no hash: a folder, a workspace member or a repository cannot be locked. \
Build a wheel, such as `uv build --wheel --out-dir wheels ../libs/shared`, \
and put `find-links = ["wheels"]` into [tool.uv] in place of its source"""

# The runtime and architecture of the function. tests/test_project.py checks that the other files have the same.
RUNTIME = "{{ cookiecutter.runtime }}"
ARCHITECTURE = "{{ cookiecutter.architecture }}"

PYTHON = RUNTIME.removeprefix("python")
TARGET = {"runtime": RUNTIME, "architecture": ARCHITECTURE}
BYTECODE = f".cpython-{PYTHON.replace('.', '')}.pyc"
# The minor version of Lambda's glibc: Python 3.11 runs on Amazon Linux 2 (2.26), newer on Amazon Linux 2023 (2.34).
GLIBC = 26 if PYTHON == "3.11" else 34

UPLOAD_LIMIT = 50 * MIB  # larger archives have to go through S3

DEV_LOCK = PROJECT / "requirements-dev.txt"
CHECK_LOCK = PROJECT / "requirements-check.txt"
DIST = PROJECT / "dist"
{% if cookiecutter.__sam %}
SAM_BUILD = PROJECT / ".aws-sam" / "build"
{% endif %}
VENV = PROJECT / ".venv"
CHECK_VENV = PROJECT / ".venv-check"  # for check.py


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 if it succeeded, 1 if not; print the reason to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    {% if cookiecutter.__sam %}
    commands = parser.add_subparsers(dest="command", required=True, metavar="layer|zip|sam|lock|venv")
    layer = SAM_BUILD / "DependenciesLayer"
    commands.add_parser("sam").add_argument("--layer", type=Path, default=layer, metavar="FOLDER", help="for the layer")
    {% else %}
    commands = parser.add_subparsers(dest="command", required=True, metavar="layer|zip|lock|venv")
    {% endif %}
    commands.add_parser("layer").add_argument("--check", action="store_true", help="exit 1 if it is out of date")
    commands.add_parser("zip").add_argument("--output", type=Path, default=DIST, metavar="FOLDER", help="default: dist")
    commands.add_parser("lock").add_argument("--upgrade", action="store_true", help="take the newest versions")
    commands.add_parser("venv")
    options = parser.parse_args(arguments)
    try:
        if options.command == "lock":
            write_locks(options.upgrade)
        elif not LOCK.is_file():
            raise BuildError(f"{LOCK} does not exist; `python scripts/build.py lock` writes it")
        elif options.command == "layer":
            build_layer(options.check)
        elif options.command == "zip":
            write_archives(options.output)
        {% if cookiecutter.__sam %}
        elif options.command == "sam":
            build_for_sam(options.layer)
        {% endif %}
        else:
            with scratch_folder():
                make_venv()
    except (BuildError, OSError) as error:
        print(f"build.py: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build.py: interrupted.", file=sys.stderr)
        return 130
    return 0


def build_layer(check: bool = False) -> None:
    """Build package/python, unless it is up to date; with `check`, raise BuildError if it is not."""
    if not check:
        with scratch_folder() as scratch:
            update_layer(scratch)
    elif reason := stale(TARGET, BYTECODE):
        raise BuildError(f"{reason}: run `python scripts/build.py layer`")
    else:
        print("package/ is up to date.")


def update_layer(scratch: Path) -> None:
    """Build package/python, unless it is up to date.

    The new layer is made in another folder and replaces the old one when it is complete, so a failed or interrupted
    build leaves the old one as it was.
    """
    python = find_python(PYTHON, VENV)
    if not stale(TARGET, BYTECODE, could_compile=python is not None):
        print("package/ is up to date.")
        return
    fresh, compiled = scratch / "python", False
    print(f"Building package/ for {RUNTIME} on {ARCHITECTURE} ...")
    install(fresh)
    prune(fresh)
    if not python:
        print(f"No Python {PYTHON} was found, so package/ has no bytecode and a cold start takes twice as long.")
        print(f"With bytecode: `uv python install {PYTHON}`, then `python scripts/build.py layer`.")
    elif (room := UNZIPPED_LIMIT - size(deployable(fresh)) - size_of_code()) >= 0:
        # Without the columns that a traceback underlines, the archive is a tenth smaller.
        compiled = compile_bytecode(python, fresh, BYTECODE, "/opt/python", "unchecked-hash", PYTHONNODEBUGRANGES="1")
        limit_bytecode(fresh, BYTECODE, room)
    report_size(fresh)
    built = record(fresh, TARGET, BYTECODE if compiled else "")
    (fresh / RECORD).write_text(json.dumps(built, indent=2) + "\n", encoding="utf-8")
    replace_layer(fresh)


def install(target: Path) -> None:
    """Install the locked packages into a folder: wheels only, with checked hashes, for the runtime and its processor.

    uv reads indexes and requirements from pyproject.toml, and fails if a requirement is missing in the lock file.
    """
    linux = {"arm64": "aarch64", "x86_64": "x86_64"}[ARCHITECTURE] + "-manylinux_2_"
    command: list[str | Path] = [
        *("pip", "install", "--python", sys.executable, "--target", target, "--link-mode", "copy", "--require-hashes"),
        *("--python-version", PYTHON, "--only-binary", ":all:", "--python-platform"),
    ]
    if not (pins := pins_of(LOCK)):
        raise BuildError("app/requirements.txt names no package: run `python scripts/build.py lock`")
    task = "install app/requirements.txt"
    uv(*command, f"{linux}{max(GLIBC, 28)}", "-r", LOCK, "-r", "pyproject.toml", task=task, target=target)
    # uv has no platform between glibc 2.17 and 2.28. Reinstall, for 2.17, what needs a newer glibc than Lambda's.
    for tags in list(target.glob("*.dist-info/WHEEL")):
        needed = re.findall(r"^Tag: .*-manylinux_2_(\d+)_", tags.read_text(encoding="utf-8"), re.MULTILINE)
        if needed and min(map(int, needed)) > GLIBC:
            name, pin = re.sub(r"[-_.]+", "[-_.]+", tags.parent.name.partition("-")[0]), target.with_name("pin.txt")
            pin.write_text("".join(p for p in pins if re.match(rf"{name}[ \[=]", p, re.IGNORECASE)), encoding="utf-8")
            uv(*command, f"{linux}17", "-r", pin, "--no-deps", "--reinstall", task=task)


def prune(layer: Path) -> None:
    """Remove what Lambda never reads: scripts, and the installer's notes, which differ from run to run.

    The rest of *.dist-info stays: packages look up their own version and entry points there. Some read their *.pyi.
    """
    (layer / ".lock").unlink(missing_ok=True)
    for path in layer.glob("*.dist-info/*"):
        if path.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
            path.unlink()
    for cache in list(layer.rglob("__pycache__")):
        shutil.rmtree(cache)
    if not (layer / "bin" / "__init__.py").is_file():
        shutil.rmtree(layer / "bin", ignore_errors=True)
    else:  # a package of that name, with scripts beside its modules
        for script in (layer / "bin").iterdir():
            if script.is_file() and not script.suffix:
                script.unlink()


def copy_function(scratch: Path) -> Path:
    """Copy what is deployed of app/ into a new folder, with bytecode, and return it."""
    code = scratch / "function"
    copy_code(APP, code, LOCK)
    if python := find_python(PYTHON, VENV):
        compile_bytecode(python, code, BYTECODE, "/var/task", "checked-hash")
    if size(deployable(code, BYTECODE)) + size(layer_files(BYTECODE)) > UNZIPPED_LIMIT:
        raise BuildError(f"app/ and package/ have more than the {UNZIPPED_LIMIT // MIB} MB that Lambda takes")
    return code


def write_archives(output: Path = DIST) -> None:
    """Write function.zip from app/ and layer.zip from package/python, which is built first if need be."""
    with scratch_folder() as scratch:
        update_layer(scratch)
        code = copy_function(scratch)
        write_zip(output / "function.zip", deployable(code, BYTECODE), scratch)
        write_zip(output / "layer.zip", layer_files(BYTECODE), scratch, "python/")


{% if cookiecutter.__sam %}
def build_for_sam(layer: Path) -> None:
    """Write the folder of the layer and function.zip, which template.yaml names; `sam deploy` refuses if either lacks.

    A build that fails leaves neither, and no template of an earlier `sam build`.
    """
    with scratch_folder() as scratch:
        shutil.rmtree(layer, ignore_errors=True)
        for name in ("function.zip", "template.yaml"):
            (SAM_BUILD / name).unlink(missing_ok=True)
        update_layer(scratch)
        code = copy_function(scratch)
        copy_files(layer_files(BYTECODE), layer / "python")
        write_zip(SAM_BUILD / "function.zip", deployable(code, BYTECODE), scratch)


{% endif %}
def write_zip(archive: Path, files: Iterator[tuple[str, Path]], scratch: Path, prefix: str = "") -> None:
    """Write an archive and print its size; until it is complete, it has another name."""
    fresh = scratch / archive.name
    length = write_archive(fresh, files, prefix)
    more = "" if length <= UPLOAD_LIMIT else f"; over {UPLOAD_LIMIT // MIB} MB it has to be uploaded through S3"
    print(f"{archive.parent.name}/{archive.name}: {length / MIB:.2f} MB{more}")
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_name(archive.name + ".part")
    shutil.move(fresh, part)  # which may be on another file system
    part.replace(archive)


def write_locks(upgrade: bool) -> None:
    """Pin the dependencies of pyproject.toml, for the layer, for .venv and for .venv-check.

    The locks are universal: valid for the runtime's Python and every newer one, and for every platform.
    """
    command = ["pip", "compile", "--quiet", "--universal", "--python-version", PYTHON]
    command += ["--python", sys.executable, "--generate-hashes", "--no-annotate", *(["--upgrade"] if upgrade else [])]
    command += ["--custom-compile-command", "python scripts/build.py lock", "--output-file"]
    with scratch_folder() as scratch:
        fresh = {lock: scratch / lock.name for lock in (LOCK, DEV_LOCK, CHECK_LOCK)}
        before = versions(*fresh)
        for lock in filter(Path.is_file, fresh):  # what they pin stays pinned
            shutil.copyfile(lock, fresh[lock])
        layer, dev, task = str(fresh[LOCK]), str(fresh[DEV_LOCK]), "lock the dependencies in pyproject.toml"
        uv(*command, layer, "pyproject.toml", "--only-binary", ":all:", task=task)
        check_hashes(fresh[LOCK])
        uv(*command, dev, "pyproject.toml", "--group", "dev", "--constraint", layer, task=task)
        check_hashes(fresh[DEV_LOCK])
        uv(*command, fresh[CHECK_LOCK], "--group", "check", task=task)
        check_hashes(fresh[CHECK_LOCK])
        for lock, path in fresh.items():
            path.replace(lock)
    after = versions(*fresh)
    for name in sorted(before.keys() | after.keys()):
        old, new = (", ".join(sorted(found.get(name, ["none"]))) for found in (before, after))
        if old != new:
            print(f"{name}: {old} -> {new}")
    print(f"Wrote {LOCK.relative_to(PROJECT).as_posix()}, {DEV_LOCK.name} and {CHECK_LOCK.name}.")


def versions(*locks: Path) -> dict[str, set[str]]:
    """Return the versions of each package in the locks that exist; they may differ from lock to lock."""
    found: dict[str, set[str]] = {}
    for pin in (pin for lock in locks if lock.is_file() for pin in pins_of(lock)):
        name, _equal, version = pin.split()[0].partition("==")
        found.setdefault(name, set()).add(version)
    return found


def check_hashes(lock: Path) -> None:
    """Raise BuildError if a lock has an entry without a hash."""
    if names := [pin.removeprefix("-e ").split()[0] for pin in pins_of(lock) if "--hash=" not in pin]:
        raise BuildError(WITHOUT_HASH.format(", ".join(names)))


def pins_of(lock: Path) -> list[str]:
    """Return the entries of a lock, each with its hashes."""
    lines = "".join(line for line in lock.read_text(encoding="utf-8").splitlines(keepends=True) if line[:1] != "#")
    return [pin for pin in re.split(r"^(?=\S)", lines, flags=re.MULTILINE) if pin.strip()]


def make_venv() -> None:
    """Make .venv with the runtime's Python, and install requirements-dev.txt into it."""
    create_venv(VENV)
    sync = ("pip", "sync", "--python", venv_python(VENV), "--require-hashes", DEV_LOCK, "pyproject.toml")
    uv(*sync, "--group", "dev", task="install requirements-dev.txt")


def make_check_venv() -> None:
    """Make .venv-check with the runtime's Python, and install requirements-check.txt into it."""
    create_venv(CHECK_VENV)
    sync = ("pip", "sync", "--quiet", "--python", venv_python(CHECK_VENV), "--require-hashes")
    uv(*sync, CHECK_LOCK, "--group", "check", task="install requirements-check.txt")


def create_venv(venv: Path) -> None:
    """Make a virtual environment with the runtime's Python, unless it is there."""
    if version_of(venv_python(venv)) != PYTHON:
        name = venv.relative_to(PROJECT).as_posix()
        print(f"Making {name} with Python {PYTHON} ...")
        python = find_python(PYTHON, venv) or PYTHON  # which uv downloads, where it may
        uv("venv", "--quiet", "--clear", "--python", python, venv, task=f"make {name} with Python {PYTHON}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
