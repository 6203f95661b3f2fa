"""package/: what build.py puts there fits the runtime and the processor, whatever this machine is."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Bake
from tests.machine import ARCHITECTURE, BIN, RUNTIMES, UV, clean_environment, interpreter, links
from tests.parsers import read_toml
from tests.wheels import ask_for, make_wheel

LATER = "package/ is not built yet: run `python scripts/build.py layer`"
ELF_MACHINE = {"x86_64": 62, "arm64": 183}


def build(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the project's build.py with this Python, whatever the project's runtime is."""
    command = [sys.executable, "scripts/build.py", *arguments]
    return subprocess.run(command, cwd=project, env=os.environ | environment, capture_output=True, encoding="utf-8")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_native_wheels_fit(runtime: str, architecture: str, bake: Bake) -> None:
    """Each shared object is for the runtime's Python and for the processor that the function is declared with."""
    layer = bake(runtime=runtime, architecture=architecture, build_layer=True) / "package" / "python"
    objects = list(layer.rglob("*.so"))
    tag = runtime.replace("python", "cpython-").replace(".", "")
    processor = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    assert [path.name for path in objects] == [f"_pydantic_core.{tag}-{processor}-linux-gnu.so"]
    for path in objects:
        assert struct.unpack_from("<H", path.read_bytes(), 18)[0] == ELF_MACHINE[architecture]
    for tags in layer.glob("*.dist-info/WHEEL"):
        for tag in re.findall(r"^Tag: \S+-(\S+)$", tags.read_text(encoding="utf-8"), re.MULTILINE):
            # manylinux2014 is manylinux_2_17; Lambda's Python 3.11 has glibc 2.26, the newer ones have 2.34.
            glibc = re.search(r"manylinux_2_(\d+)_|manylinux(2014)_", tag)
            assert tag == "any" or (glibc[2] or int(glibc[1]) <= (26 if runtime == "python3.11" else 34))


def test_layer_holds_the_lock(bake: Bake) -> None:
    """Every package that the lock pins is there, in that version, with the metadata that others look it up by."""
    project = bake(build_layer=True)
    pins = re.findall(r"^(\S+)==(\S+) ", (project / "app" / "requirements.txt").read_text(), re.MULTILINE)
    metadata = (project / "package" / "python").glob("*.dist-info/METADATA")
    found = [re.findall(r"^(?:Name|Version): (\S+)$", path.read_text("utf-8"), re.MULTILINE)[:2] for path in metadata]
    versions = {name.lower().replace("_", "-"): version for name, version in map(sorted_pair, found)}
    assert versions == dict(pins)


def sorted_pair(pair: list[str]) -> tuple[str, str]:
    """Return name and version, whichever of the two the metadata gave first."""
    first, second = pair
    return (second, first) if first[0].isdigit() else (first, second)


def test_layer_carries_no_boto3(bake: Bake) -> None:
    """The runtime has it."""
    project = bake(build_layer=True)
    assert not list((project / "package" / "python").glob("boto*"))
    asked = read_toml((project / "pyproject.toml").read_text())["project"]["dependencies"]
    assert not [name for name in asked if name.startswith("boto")]


def test_unchanged_layer_is_not_built_again(bake: Bake, tmp_path: Path) -> None:
    """The second build does nothing; a changed lock, lost file, other runtime or processor makes --check fail."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    record = project / "package" / "python" / ".layer.json"
    before = record.stat().st_mtime_ns
    assert build(project, "layer").stdout == "package/ is up to date.\n"
    assert build(project, "layer", "--check").returncode == 0
    assert record.stat().st_mtime_ns == before

    (project / "package" / "python" / "fastapi" / "routing.py").unlink()
    lost = build(project, "layer", "--check")
    assert (lost.returncode, "out of date (files)" in lost.stderr) == (1, True)
    assert "python scripts/build.py layer" in lost.stderr
    assert build(project, "layer").returncode == 0
    assert (project / "package" / "python" / "fastapi" / "routing.py").exists()

    settings = project / "pyproject.toml"
    asked = settings.read_text(encoding="utf-8")
    settings.write_text(
        asked.replace("dependencies = [", 'dependencies = [\n    "email-validator[x]",', 1), encoding="utf-8"
    )
    assert "out of date (dependencies)" in build(project, "layer", "--check").stderr
    assert build(project, "layer").returncode == 1, "a dependency that is not locked must not be left out"
    settings.write_text(asked.replace("line-length = 120", "line-length = 100"), encoding="utf-8")
    assert build(project, "layer", "--check").returncode == 0, "other settings do not make the layer stale"

    script = project / "scripts" / "build.py"
    script.write_text(script.read_text().replace('ARCHITECTURE = "arm64"', 'ARCHITECTURE = "x86_64"'))
    assert "out of date (architecture)" in build(project, "layer", "--check").stderr
    script.write_text(script.read_text().replace('RUNTIME = "python3.13"', 'RUNTIME = "python3.12"'))
    assert "out of date (runtime, architecture, files)" in build(project, "layer", "--check").stderr
    with (project / "app" / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    assert "out of date (runtime, architecture, lock, files)" in build(project, "layer", "--check").stderr


def test_failed_build_keeps_the_layer(bake: Bake, tmp_path: Path) -> None:
    """A lock that cannot be installed leaves what was there, and no litter beside it."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    before = sorted(path for path in project.rglob("*") if ".build" not in path.parts)
    lock = project / "app" / "requirements.txt"
    lock.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", lock.read_text()))
    result = build(project, "layer", UV_CACHE_DIR=str(tmp_path / "cache"))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("build.py: ")
    assert sorted(path for path in project.rglob("*") if ".build" not in path.parts) == before


def generate(python: Path, output: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run cookiecutter with an interpreter, and return what it said and the project."""
    command = [python, "-m", "cookiecutter", ROOT, "--no-input", "-o", output]
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    return result, output / "orders-api"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that has cookiecutter, as uvx and pipx set it up: without pip and without uv."""
    venv = tmp_path_factory.mktemp("bare") / "venv"
    lock = ROOT / "requirements" / "new.txt"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    python = venv / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock], check=True)
    subprocess.run([UV, "pip", "uninstall", "--quiet", "--python", python, "uv"], check=True)
    assert subprocess.run([python, "-c", "import pip"], capture_output=True).returncode
    return python


def whole(project: Path, bake: Bake) -> bool:
    """Say whether all files but the layer are there."""
    written = {path.relative_to(project) for path in project.rglob("*")}
    return {path.relative_to(bake()) for path in bake().rglob("*")} <= written


@pytest.mark.long  # test_make has such a machine too
def test_without_uv_and_pip(bare: Path, bake: Bake, tmp_path: Path) -> None:
    """build.py gets uv itself, into a folder of the project."""
    environment = clean_environment(tmp_path)
    result, project = generate(bare, tmp_path / "output", **environment)
    assert result.returncode == 0, result.stderr
    assert "uv 0.9 or newer was not found; installing it into .uv/ ..." in result.stdout
    assert (project / "package" / "python" / "fastapi").is_dir()
    assert whole(project, bake)


@pytest.mark.parametrize("tool", ["uv", "nothing"])
def test_without_network(tool: str, bare: Path, bake: Bake, tmp_path: Path) -> None:
    """The project is whole all the same, and one line says how to finish."""
    nowhere = "http://127.0.0.1:9"
    environment = clean_environment(
        tmp_path, *([BIN] if tool == "uv" else []), HTTPS_PROXY=nowhere, HTTP_PROXY=nowhere, NO_PROXY=""
    )
    environment |= {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_HTTP_RETRIES": "0", "PIP_RETRIES": "0"}
    result, project = generate(bare, tmp_path / "output", **environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(LATER) == 1
    assert whole(project, bake)
    assert not (project / "package" / "python").exists()


@pytest.mark.parametrize("downloads", ["automatic", "never"])
def test_without_the_python_of_the_runtime(downloads: str, bake: Bake, tmp_path: Path) -> None:
    """Where uv can neither find nor download it, `make layer` builds without bytecode, and `make test` says why not."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    shutil.rmtree(project / "package" / "python")
    other = next(filter(None, map(interpreter, ("python3.12", "python3.11", "python3.14"))))
    environment = clean_environment(
        tmp_path,
        links(tmp_path / "bin", uv=UV, python3=other),
        UV_PYTHON_DOWNLOADS=downloads,
        UV_PYTHON_PREFERENCE="only-managed",
        UV_HTTP_RETRIES="0",
        UV_PYTHON_INSTALL_DIR=str(tmp_path / "none"),
        HTTPS_PROXY="http://127.0.0.1:9",
        NO_PROXY="",
    )

    def make(target: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["make", target], cwd=project, env=environment, capture_output=True, encoding="utf-8")

    result = make("layer")
    assert result.returncode == 0, result.stderr
    assert "No Python 3.13 was found, so package/ has no bytecode" in result.stdout
    assert (project / "package" / "python" / "fastapi").is_dir()
    assert not list((project / "package").rglob("*.pyc"))
    result = make("test")
    assert result.returncode != 0
    assert "build.py: uv could not make .venv with Python 3.13; " in result.stderr


def test_update_tool_gets_the_files_only(tmp_path: Path, bake: Bake, clone: Path) -> None:
    """Cruft renders a project again and again to compare it, so nothing is built for it."""
    environment = clean_environment(tmp_path, GIT_CONFIG_GLOBAL="/dev/null")
    author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *arguments], cwd=clone, env=environment, check=True)
    command = [BIN / "cruft", "create", str(clone), "--no-input", "--output-dir", tmp_path / "output"]
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert LATER in result.stdout
    project = tmp_path / "output" / "orders-api"
    assert json.loads((project / ".cruft.json").read_text())["context"]["cookiecutter"]["project_slug"] == "orders-api"
    assert not (project / "package" / "python").exists()
    assert whole(project, bake)


CHECK_BYTECODE = """
import importlib.util, marshal, pathlib, sys
for source in pathlib.Path(sys.argv[1]).rglob("*.py"):
    data = pathlib.Path(importlib.util.cache_from_source(str(source))).read_bytes()
    assert data[:8] == importlib.util.MAGIC_NUMBER + bytes([1, 0, 0, 0]), source
    assert marshal.loads(data[16:]).co_filename.startswith("/opt/python/"), source
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_bytecode(runtime: str, architecture: str, bake: Bake) -> None:
    """Every module has bytecode that the runtime loads unasked, and there is none that it would ignore.

    Python 3.14 is not everywhere: then the layer has no bytecode, rather than some of another version.
    """
    layer = bake(runtime=runtime, architecture=architecture, build_layer=True) / "package" / "python"
    tags = {path.name.split(".")[-2] for path in layer.rglob("*.pyc")}
    python = interpreter(runtime)
    if python is None:
        assert tags == set()
        return
    assert tags == {runtime.replace("python", "cpython-").replace(".", "")}
    subprocess.run([python, "-I", "-S", "-c", CHECK_BYTECODE, layer], check=True)


@pytest.mark.parametrize("runtime", [runtime for runtime in RUNTIMES if interpreter(runtime)])
def test_app_imports_from_the_layer_alone(runtime: str, bake: Bake, tmp_path: Path) -> None:
    """Without site-packages, warnings as errors, and without writing into the folders."""
    project = bake(runtime=runtime, architecture=ARCHITECTURE, build_layer=True)
    paths = [str(project / "app"), str(project / "package" / "python")]
    code = f"import sys; sys.path[:0] = {paths!r}; import main; from pydantic import v1; assert callable(main.handler)"
    before = sorted(project.rglob("*"))
    subprocess.run([interpreter(runtime), "-I", "-S", "-B", "-W", "error", "-c", code], check=True, cwd=tmp_path)
    assert sorted(project.rglob("*")) == before


def test_nothing_is_pruned_that_can_be_imported(bake: Bake, tmp_path: Path) -> None:
    """Against a plain installation of the same lock, only scripts and the installer's notes are missing."""
    project = bake(architecture=ARCHITECTURE, build_layer=True)
    plain = tmp_path / "plain"
    command = [UV, "pip", "install", "--quiet", "--python", interpreter("python3.13"), "--target", plain]
    lock = project / "app" / "requirements.txt"
    subprocess.run([*command, "--only-binary", ":all:", "--require-hashes", "-r", lock], check=True)

    def names(folder: Path) -> set[str]:
        files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {path.as_posix() for path in files if "__pycache__" not in path.parts}

    missing = names(plain) - names(project / "package" / "python")
    notes = ("/RECORD", "/INSTALLER", "/REQUESTED", "/uv_cache.json", "/direct_url.json")
    assert {name for name in missing if not name.endswith(notes) and not name.startswith("bin/")} <= {".lock"}


@pytest.fixture
def small(bake: Bake, tmp_path: Path) -> Path:
    """Return a project that needs one small package, and packages come from the folder `wheels` beside it alone."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    (tmp_path / "uv.toml").write_text('no-index = true\nfind-links = ["wheels"]\n', encoding="utf-8")
    need(project, make_wheel(tmp_path / "wheels", "small"))
    return project


def need(project: Path, lock: str) -> None:
    """Let a project need what these lines lock."""
    (project / "app" / "requirements.txt").write_text(lock, encoding="utf-8")
    ask_for(project, *re.findall(r"^([\w-]+)==", lock, re.MULTILINE))


def build_small(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the layer from the folder of wheels."""
    return build(project, "layer", UV_CONFIG_FILE=str(project.parent / "uv.toml"), **environment)


def test_bytecode_gets_what_packages_leave(small: Path) -> None:
    """Packages that fit alone are a layer, with as much bytecode as fits: first of what is imported first."""
    source = "".join(f"def function_{number}(argument):\n    return argument + {number}\n" for number in range(2000))
    names = ["big/a.py", "big/deep/deeper/a.py", "big/tests/a.py", "fastapi/deep/deeper/deepest/a.py"]
    lock = make_wheel(small.parent / "wheels", "big", files={name: source.encode() for name in names})
    script = small / "scripts" / "layer.py"
    text = script.read_text(encoding="utf-8")
    need(small, lock)
    assert build_small(small).returncode == 0
    layer = small / "package" / "python"
    length = max(path.stat().st_size for path in layer.rglob("a.*.pyc"))
    files = [path for path in layer.rglob("*") if path.is_file() and path.name != ".layer.json"]
    packages = sum(path.stat().st_size for path in files if path.suffix != ".pyc")
    # What bytecode of the code may need is kept free.
    code = sum(path.stat().st_size * (3 if path.suffix == ".py" else 1) for path in (small / "app").iterdir())

    for kept in (3, 2, 1, 0):
        limit = packages + code + int((kept + 0.7) * length)
        script.write_text(text.replace("UNZIPPED_LIMIT = 250 * MIB", f"UNZIPPED_LIMIT = {limit}"), encoding="utf-8")
        shutil.rmtree(layer)
        result = build_small(small)
        assert result.returncode == 0, result.stderr
        dropped = "of 5 modules have no bytecode, so that the layer fits into Lambda's limit."
        assert f"{4 - kept} {dropped}" in result.stdout
        order = ["fastapi/deep/deeper/deepest", "big", "big/deep/deeper", "big/tests"]
        compiled = {path.parent.parent.relative_to(layer).as_posix() for path in layer.rglob("a.*.pyc")}
        assert compiled == set(order[:kept])
        assert (layer / "big" / "__pycache__" / "__init__.cpython-313.pyc").exists()
        assert build_small(small).stdout == "package/ is up to date.\n"

    # Code that has grown since leaves less room: the layer is built again, and fits to the last byte.
    limit = packages + code + length
    script.write_text(text.replace("UNZIPPED_LIMIT = 250 * MIB", f"UNZIPPED_LIMIT = {limit}"), encoding="utf-8")
    assert build_small(small).returncode == 0
    (small / "app" / "data.bin").write_bytes(bytes(length))
    assert "out of date (size)" in build(small, "layer", "--check").stderr
    assert build_small(small).returncode == 0
    assert not list(layer.rglob("*.pyc"))
    assert build(small, "layer", "--check").returncode == 0
    (small / "app" / "data.bin").write_bytes(bytes(length + 1))
    assert "Lambda allows" in build_small(small).stderr


@pytest.mark.parametrize("runtime", [runtime for runtime in RUNTIMES if interpreter(runtime)])
def test_bytecode_of_the_layer_has_no_columns(runtime: str, bake: Bake) -> None:
    """They make the archive a tenth larger, and only underline parts of lines in tracebacks."""
    layer = bake(runtime=runtime, architecture=ARCHITECTURE, build_layer=True) / "package" / "python"
    code = "import marshal, pathlib, sys\nfor path in pathlib.Path(sys.argv[1]).rglob('*.pyc'):\n"
    code += "    positions = marshal.loads(path.read_bytes()[16:]).co_positions()\n"
    code += "    assert {place[2:] for place in positions} == {(None, None)}, path\n"
    subprocess.run([interpreter(runtime), "-I", "-S", "-c", code, layer], check=True)


def test_line_ends_of_the_lock_do_not_matter(small: Path) -> None:
    """Git on Windows may write CRLF; the packages are the same."""
    assert build_small(small).returncode == 0
    lock = small / "app" / "requirements.txt"
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    assert build_small(small).stdout == "package/ is up to date.\n"
    shutil.rmtree(small / "package" / "python")
    assert build_small(small).returncode == 0


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
def test_empty_lock(text: str, small: Path) -> None:
    """There is nothing to build, which is no layer but a fault."""
    (small / "app" / "requirements.txt").write_text(text, encoding="utf-8")
    ask_for(small)
    result = build_small(small)
    reason = "build.py: app/requirements.txt names no package: run `python scripts/build.py lock`.\n"
    assert (result.returncode, result.stderr) == (1, reason)
    assert not (small / "package" / "python").exists()


@pytest.mark.parametrize(
    "fault",
    [
        "pathlib.Path.home = classmethod(lambda cls: (_ for _ in ()).throw(RuntimeError('no home')))",
        "pathlib.Path.glob = lambda self, pattern: (_ for _ in ()).throw(PermissionError(13, 'Permission denied'))",
    ],
    ids=["no home", "pyenv of another user"],
)
def test_search_for_python_goes_on(fault: str, small: Path) -> None:
    """A container may have no home and no such user, and PYENV_ROOT may be closed: other places are looked at."""
    code = f"import pathlib, sys; sys.path[0] = 'scripts'; import run_uv\n{fault}\n"
    code += "print(run_uv.find_python('3.13', run_uv.PROJECT / '.venv'))"
    environment = {name: value for name, value in os.environ.items() if name != "PYENV_ROOT"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "UV_PYTHON": str(interpreter("python3.13"))}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=small, env=environment, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr


def test_venv_of_another_python(small: Path) -> None:
    """After a change of the runtime, `make install` makes .venv again."""
    settings = small / "pyproject.toml"
    settings.write_text(re.sub(r"^dev = \[.*?^\]", "dev = []", settings.read_text(), flags=re.M | re.S), "utf-8")
    shutil.copy(small / "app" / "requirements.txt", small / "requirements-dev.txt")
    python = small / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (small / ".venv" / "pyvenv.cfg").touch()
    python.write_text("#!/bin/sh\necho 3.12\n", encoding="utf-8")
    python.chmod(0o755)
    result = build(small, "venv", UV_CONFIG_FILE=str(small.parent / "uv.toml"))
    assert result.returncode == 0, result.stderr
    assert subprocess.run([python, "-V"], capture_output=True, encoding="utf-8").stdout.startswith("Python 3.13.")


def test_scripts_beside_a_package_called_bin(small: Path) -> None:
    """The package stays, scripts go: they name this machine's Python."""
    files = {"bin/__init__.py": b"", "bin/module.py": b"", "x.pyi/data.txt": b"1"}
    files["tool-1.0.data/scripts/tool"] = b"#!python\n"
    need(small, make_wheel(small.parent / "wheels", "tool", files=files))
    result = build_small(small)
    assert result.returncode == 0, result.stderr
    layer = small / "package" / "python"
    assert sorted(path.name for path in (layer / "bin").iterdir()) == ["__init__.py", "__pycache__", "module.py"]
    assert (layer / "x.pyi" / "data.txt").exists()
    need(small, make_wheel(small.parent / "wheels", "only", files={"only-1.0.data/scripts/only": b"#!python\n"}))
    assert build_small(small).returncode == 0
    assert not (layer / "bin").exists()
