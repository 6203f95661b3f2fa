"""dist/function.zip and dist/layer.zip: what is in them, equal bytes, and the function that they make."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import ARCHITECTURE, BIN, clean_environment, interpreter, links
from tests.test_layer import build
from tests.wheels import ask_for, make_wheel

PYTHON = interpreter("python3.13")
# As PEP 552 has it: the second four bytes of a .pyc; 1 is "by hash", with 2 the source is looked at.
FLAGS = {"function": 3, "layer": 1}


@pytest.fixture(scope="module")
def project(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with its archives, and with all that a day's work leaves about in it."""
    project = tmp_path_factory.mktemp("archives") / "project"
    shutil.copytree(bake(deployer="zip", architecture=ARCHITECTURE, build_layer=True), project)
    for litter in (".env", "app/.env", "app/.git/x.py", "app/__pycache__/main.cpython-310.pyc", ".venv/x"):
        (project / litter).parent.mkdir(parents=True, exist_ok=True)
        (project / litter).write_text("litter", encoding="utf-8")
    (project / "app" / "data.json").write_text("{}\n", encoding="utf-8")
    (project / "package" / "python" / "mangum" / "__pycache__" / "adapter.cpython-310.pyc").write_text("litter")
    commands = links(tmp_path_factory.mktemp("bin") / "bin", uv=BIN / "uv", python3=PYTHON)
    environment = clean_environment(project.parent, commands, UV_PYTHON_DOWNLOADS="never")
    result = subprocess.run(["make", "zip"], cwd=project, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stdout + result.stderr
    return project


def archive(project: Path, name: str) -> zipfile.ZipFile:
    """Open one of the archives."""
    return zipfile.ZipFile(project / "dist" / f"{name}.zip")


def sums(project: Path) -> list[str]:
    """Return the SHA-256 of both archives."""
    archives = [project / "dist" / "function.zip", project / "dist" / "layer.zip"]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in archives]


def test_function_holds_the_code_and_nothing_else(project: Path) -> None:
    """No lock, no secrets, no bytecode but the runtime's own."""
    modules = ["errors", "http_events", "http_responses", "items", "lambda_handler", "main"]
    modules += ["metrics", "middleware", "request_cycle", "settings"]
    bytecode = [f"__pycache__/{module}.cpython-313.pyc" for module in modules]
    sources = [f"{module}.py" for module in modules]
    assert archive(project, "function").namelist() == sorted([*bytecode, *sources, "data.json"])


def test_layer_lies_below_python(project: Path) -> None:
    """Lambda imports from /opt/python; scripts, caches of other Pythons and the record of the build stay at home."""
    names = archive(project, "layer").namelist()
    assert all(name.startswith("python/") for name in names)
    assert {"python/fastapi/__init__.py", "python/mangum/__init__.py"} <= set(names)
    assert not [name for name in names if "/bin/" in name or name.endswith(".layer.json") or "cpython-310" in name]
    packages = {name.split("/")[1] for name in names}
    assert not packages & {name.split("/")[0] for name in archive(project, "function").namelist()} - {"__pycache__"}


def test_entries_are_alike(project: Path) -> None:
    """Sorted names, dates of two years, one owner's system, two modes, no absolute path and none that leads out."""
    for name in ("function", "layer"):
        entries = archive(project, name).infolist()
        assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
        for entry in entries:
            assert entry.date_time[0] in (2024, 2025)
            assert entry.external_attr >> 16 == (0o100755 if entry.filename.endswith(".so") else 0o100644)
            assert not entry.filename.startswith("/") and ".." not in entry.filename
        for entry in entries:
            assert str(project).encode() not in archive(project, name).read(entry)


def test_bytecode_is_complete_and_of_use(project: Path) -> None:
    """Each module of code and layer has bytecode of the runtime's tag that no date can make invalid."""
    code = "import importlib.util, sys; sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER)"
    magic = subprocess.run([PYTHON, "-c", code], capture_output=True, check=True).stdout
    for name in ("function", "layer"):
        target = archive(project, name)
        sources = {path for path in target.namelist() if path.endswith(".py")}
        compiled = {path for path in target.namelist() if path.endswith(".pyc")}
        assert compiled == {re.sub(r"([^/]+)\.py$", r"__pycache__/\1.cpython-313.pyc", path) for path in sources}
        for path in compiled:
            data = target.read(path)
            assert data[:4] == magic
            assert int.from_bytes(data[4:8], "little") == FLAGS[name]


CHECK_BYTECODE = """
import importlib.util, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.pyc"):
    source = importlib.util.source_hash(pathlib.Path(importlib.util.source_from_cache(str(path))).read_bytes())
    assert path.read_bytes()[:16] == importlib.util.MAGIC_NUMBER + bytes([int(sys.argv[2]), 0, 0, 0]) + source, path
"""


WRONG = {
    "of a date": ("adapter", lambda data: data[:4] + bytes(4) + data[8:]),
    "of another Python": ("types", lambda data: b"\0\0\r\n" + data[4:]),
    "of another source": ("exceptions", lambda data: data[:8] + bytes(8) + data[16:]),
    "of no source": ("gone", lambda _: bytes(16)),
}


def test_only_bytecode_of_the_build_is_shipped(bake: Bake, tmp_path: Path) -> None:
    """What Python, an editor or a hand has changed since the layer was built does not get into an archive."""
    project = tmp_path / "project"
    shutil.copytree(bake(architecture=ARCHITECTURE, build_layer=True), project)
    (project / "app" / "__pycache__").mkdir()
    for name, change in WRONG.values():
        path = project / "package" / "python" / "mangum" / "__pycache__" / f"{name}.cpython-313.pyc"
        assert path.exists() == (name != "gone")
        data = change(path.read_bytes() if path.exists() else b"")
        path.write_bytes(data)
        other = {"adapter": "items", "types": "main", "exceptions": "settings"}.get(name, name)
        (project / "app" / "__pycache__" / f"{other}.cpython-313.pyc").write_bytes(data)
    result = build(project, "zip")
    assert result.returncode == 0, result.stderr
    for archived in ("function", "layer"):
        archive(project, archived).extractall(tmp_path / archived)
        assert list((tmp_path / archived).rglob("*.pyc"))
        subprocess.run([PYTHON, "-c", CHECK_BYTECODE, tmp_path / archived, str(FLAGS[archived])], check=True)


def test_packages_without_sources_are_shipped(bake: Bake, tmp_path: Path) -> None:
    """A wheel may hold nothing but bytecode, beside where its sources would be."""
    project = tmp_path / "project"
    shutil.copytree(bake(architecture=ARCHITECTURE), project)
    files = {"closed/__init__.py": b"", "closed/inner.pyc": b"compiled"}
    text = make_wheel(tmp_path / "wheels", "closed", files=files)
    (project / "app" / "requirements.txt").write_text(text, encoding="utf-8")
    ask_for(project, "closed")
    result = build(project, "zip", UV_FIND_LINKS=str(tmp_path / "wheels"))
    assert result.returncode == 0, result.stderr
    assert archive(project, "layer").read("python/closed/inner.pyc") == b"compiled"


def test_tracebacks_name_the_places_on_lambda(project: Path) -> None:
    """Not those of the machine that built the archives."""
    assert b"/opt/python/mangum/adapter.py" in archive(project, "layer").read(
        "python/mangum/__pycache__/adapter.cpython-313.pyc"
    )
    assert b"/var/task/main.py" in archive(project, "function").read("__pycache__/main.cpython-313.pyc")


def test_equal_input_equal_bytes(project: Path, tmp_path: Path) -> None:
    """Whatever umask, time zone, folder, hash seed or file dates, the SHA-256 stays."""
    before = sums(project)
    shutil.copy(project / "dist" / "layer.zip", tmp_path / "layer.zip")
    for number, (umask, zone, seed, date) in enumerate(
        [(0o000, "Asia/Tokyo", "1", 0), (0o077, "America/Lima", "2", 1_700_000_001)]
    ):
        other = tmp_path / f"another folder {number}" / "project"
        shutil.copytree(project, other, ignore=shutil.ignore_patterns("python", "dist", ".venv", ".build"))
        for path in other.rglob("*"):
            os.utime(path, (date, date))
        result = subprocess.run(
            [sys.executable, "scripts/build.py", "zip"],
            cwd=other,
            env=os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "0"},
            umask=umask,
            capture_output=True,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stderr
        assert sums(other) == before
    # From the very same layer, its files dated 1970.
    for path in (project / "package").rglob("*"):
        os.utime(path, (0, 0))
    assert build(project, "zip").returncode == 0
    assert sums(project) == before


def test_archives_answer_on_lambda(project: Path, tmp_path: Path) -> None:
    """Unpacked where Lambda unpacks them, they are a working function: main.handler."""
    for name in ("function", "layer"):
        archive(project, name).extractall(tmp_path / name)
    with Emulator(PYTHON, tmp_path / "function", tmp_path / "layer") as emulator:
        response = emulator.invoke(http_api("/items/42"))
        assert (response["statusCode"], json.loads(response["body"])["item_id"]) == (200, 42)
        assert emulator.invoke(http_api("/items/x"))["statusCode"] == 422


def test_app_imports_alone(project: Path, tmp_path: Path) -> None:
    """With nothing but the two archives on the path, from read-only folders, the handler can be called."""
    for name in ("function", "layer"):
        archive(project, name).extractall(tmp_path / name)
    paths = [str(tmp_path / "function"), str(tmp_path / "layer" / "python")]
    code = f"import sys; sys.path[:0] = {paths!r}; import main; assert callable(main.handler)"
    before = sorted(tmp_path.rglob("*"))
    result = subprocess.run(
        [PYTHON, "-I", "-S", "-B", "-W", "error", "-c", code], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_metadata_is_found(project: Path, tmp_path: Path) -> None:
    """Packages look up versions, their own and others', at run time."""
    archive(project, "layer").extractall(tmp_path)
    lock = (project / "app" / "requirements.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'python')!r}); from importlib.metadata import version; "
    code += f"assert all(version(name) == pin for name, pin in {pins!r}.items())"
    subprocess.run([PYTHON, "-I", "-S", "-c", code], check=True)


def test_interrupted_run_leaves_no_half_archive(project: Path) -> None:
    """Under the final names there are whole archives, or none."""
    for moment in (0.15, 0.3, 0.45, 0.6):
        shutil.rmtree(project / "dist", ignore_errors=True)
        process = subprocess.Popen([sys.executable, "scripts/build.py", "zip"], cwd=project, stdout=subprocess.DEVNULL)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (project / "dist").glob("*"):
            assert path.name in ("function.zip", "layer.zip")
            assert zipfile.ZipFile(path).testzip() is None
    assert build(project, "zip").returncode == 0


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_build_leaves_a_whole_layer(bake: Bake, tmp_path: Path) -> None:
    """Ended at six moments of a build, package/python is the old layer or the new one, byte for byte."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    old = tree(project / "package")
    lock = project / "app" / "requirements.txt"
    lock.write_text(lock.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    spare = tmp_path / "spare"
    shutil.copytree(project, spare)
    start = time.monotonic()
    assert build(spare, "layer").returncode == 0
    duration = time.monotonic() - start
    new = tree(spare / "package")
    assert old != new
    for moment in range(6):
        process = subprocess.Popen(
            [sys.executable, "scripts/build.py", "layer"],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(duration * (moment + 0.5) / 6)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert tree(project / "package") in (old, new)
        if tree(project / "package") == new:
            shutil.rmtree(project / "package")
            shutil.copytree(bake(build_layer=True) / "package", project / "package")
    assert build(project, "layer").returncode == 0
    assert tree(project / "package") == new


def test_what_killed_builds_left_goes(project: Path) -> None:
    """The next build can tell, since no other is at work when it has the lock."""
    left = project / ".build" / "left"
    left.mkdir(parents=True, exist_ok=True)
    assert build(project, "zip").returncode == 0
    assert not left.exists()


def test_email_validator_works_from_the_layer(bake: Bake, tmp_path: Path) -> None:
    """A dependency that is looked up by its metadata when FastAPI validates an address."""
    project = tmp_path / "project"
    shutil.copytree(bake(architecture=ARCHITECTURE), project)
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace('"mangum', '"email-validator>=2",\n    "mangum'), encoding="utf-8")
    for command in ("lock", "layer"):
        result = build(project, command)
        assert result.returncode == 0, result.stderr
    code = f"import sys; sys.path.insert(0, {str(project / 'package' / 'python')!r}); import pydantic; "
    code += "M = pydantic.create_model('M', mail=(pydantic.EmailStr, ...)); assert M(mail='a@example.com').mail"
    subprocess.run([PYTHON, "-I", "-S", "-B", "-c", code], check=True)
