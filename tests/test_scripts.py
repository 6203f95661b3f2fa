"""The scripts of a project that build and check, function by function; other tests run them with uv."""

import base64
import errno
import hashlib
import importlib
import json
import os
import re
import sys
import uuid
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock, call, patch

import pytest

from tests.conftest import Bake

NAMES = ("archive", "bytecode", "run_uv", "scratch", "layer", "build", "aws", "check", "invoke", "openapi")
LOCK = "# locked\nsmall==1.0 \\\n    --hash=sha256:00\nOther-One[x]==2 \\\n    --hash=sha256:11\n"
PIN = "small==1.0 \\\n    --hash=sha256:00\n"
SETTINGS = '[project]\ndependencies = ["small"]\n'


class Scripts(SimpleNamespace):
    """The modules of a small project, and its folder."""

    def write(self, files: dict[str, bytes]) -> None:
        """Write files of the layer."""
        for name, data in files.items():
            path = self.layer.LAYER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


@pytest.fixture(scope="module")
def modules(bake: Bake) -> dict[str, ModuleType]:
    """Return the modules."""
    folder = str(bake(deployer="zip") / "scripts")
    sys.path.insert(0, folder)
    found = {name: importlib.import_module(name) for name in NAMES}
    sys.path.remove(folder)
    return found


@pytest.fixture
def scripts(modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripts:
    """Return the modules, which take a small project for theirs."""
    project, theirs = tmp_path / "project", modules["run_uv"].PROJECT
    for module in modules.values():
        for name, value in list(vars(module).items()):
            if isinstance(value, Path) and value.is_relative_to(theirs):
                monkeypatch.setattr(module, name, project / value.relative_to(theirs))
    modules["run_uv"].find_uv.cache_clear()
    for name in ("app", "package", "scripts"):
        (project / name).mkdir(parents=True)
    (project / "app" / "main.py").write_text("a = 1\n", encoding="utf-8")
    (project / "app" / "requirements.txt").write_text(LOCK, encoding="utf-8")
    (project / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    return Scripts(project=project, **modules)


def written(folder: Path, *names: str) -> None:
    """Write files with their names in them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")


def found(folder: Path) -> list[str]:
    """Return the paths of the files in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# archive.py


def test_code_that_is_copied(scripts: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    """All but the lock, leftovers, and what is private, of which there is a line each."""
    app, target = scripts.project / "app", scripts.project / "copy"
    written(app, "a.py", "sub/requirements.txt", "sub/.env.local", "sub/.DS_Store", ".git/x", "__pycache__/a.pyc", "b~")
    scripts.archive.copy_code(app, target, app / "requirements.txt")
    assert found(target) == ["a.py", "main.py", "sub/requirements.txt"]
    said = ["app/.git is not deployed.", "app/b~ is not deployed.", "app/sub/.env.local is not deployed."]
    assert capsys.readouterr().out.splitlines() == said


def test_files_that_are_deployed(scripts: Scripts, tmp_path: Path) -> None:
    """Sorted by their names with slashes; bytecode only with the tag of the runtime, below __pycache__."""
    folder = tmp_path / "folder"
    written(folder, "b.py", "a/c.py", "a-b.py", "a/__pycache__/c.x.pyc", "a/__pycache__/c.y.pyc", "__pycache__/b.x.pyc")
    written(folder, "Thumbs.db", ".mypy_cache/__pycache__/d.x.pyc", "e.pyc", "__pycache__/sub/f.x.pyc")
    plain = ["a-b.py", "a/c.py", "b.py", "e.pyc"]
    assert list(scripts.archive.deployable(folder)) == [(name, folder / name) for name in plain]
    names = [name for name, _ in scripts.archive.deployable(folder, ".x.pyc")]
    assert names == ["__pycache__/b.x.pyc", "a-b.py", "a/__pycache__/c.x.pyc", "a/c.py", "b.py", "e.pyc"]


def test_archive(scripts: Scripts, tmp_path: Path) -> None:
    """Each entry has a date of its content, the permissions of Lambda, and Unix as its system."""
    written(tmp_path, "one.so", "run.sh", "text")
    (tmp_path / "run.sh").chmod(0o744)
    (tmp_path / "text").write_bytes(bytes(range(256)) * 99)
    files = ((name, tmp_path / name) for name in ("one.so", "run.sh", "text"))
    size = scripts.archive.write_archive(tmp_path / "it.zip", files, "python/")
    assert size == (tmp_path / "it.zip").stat().st_size
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        entries = [
            (each.filename, oct(each.external_attr >> 16), each.create_system, each.compress_type, each.date_time)
            for each in archive.infolist()
        ]
        assert archive.read("python/run.sh") == b"run.sh"
    assert entries == [
        ("python/one.so", "0o100755", 3, 8, (2025, 7, 29, 0, 12, 36)),
        ("python/run.sh", "0o100755", 3, 8, (2024, 2, 2, 10, 36, 44)),
        ("python/text", "0o100644", 3, 8, (2025, 12, 22, 16, 4, 6)),
    ]


# layer.py


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


TARGET = {"runtime": "python3.13", "architecture": "arm64"}


def test_record(scripts: Scripts) -> None:
    """What a layer was built for and from, and a hash of its files; line ends of the lock do not count."""
    layer = scripts.layer
    scripts.write({"b.py": b"bb", "a/c.py": b"c", "__pycache__/b.pyc": b"1"})
    layer.LOCK.write_bytes(LOCK.replace("\n", "\r\n").encode())
    (layer.LAYER / layer.RECORD).write_text("{}", encoding="utf-8")
    expected = {
        **TARGET,
        "dependencies": digest(b'dependencies = ["small"]\n'),
        "lock": digest(LOCK.encode()),
        "files": digest(b"a/c.py 1 cb.py 2 bb"),
        "bytecode": False,
    }
    assert layer.record(layer.LAYER, TARGET, "") == expected
    compiled = {"files": digest(b"__pycache__/b.pyc 1 1a/c.py 1 cb.py 2 bb"), "bytecode": True}
    assert layer.record(layer.LAYER, TARGET, "b.pyc") == expected | compiled
    (scripts.project / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    assert layer.record(layer.LAYER, TARGET, "")["dependencies"] == digest(b"")


def test_stale(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason to build it again: what has changed, bytecode that could be there, code that has grown."""
    layer = scripts.layer
    stale: Callable[..., str | None] = layer.stale
    assert layer.built_from() == {}
    assert stale(TARGET, ".pyc") == "package/python is not built"
    scripts.write({"b.py": b"bb", "__pycache__/b.pyc": b"1"})
    path = layer.LAYER / layer.RECORD
    for text in ("", "{}"):
        path.write_text(text, encoding="utf-8")
        assert stale(TARGET, ".pyc") == "package/python is not built"
    path.write_text(json.dumps(layer.record(layer.LAYER, TARGET, "")), encoding="utf-8")
    assert (stale(TARGET, ".pyc"), stale(TARGET, ".pyc", False)) == (None, None)
    assert stale(TARGET, ".pyc", True) == "package/python is out of date (bytecode)"
    assert [name for name, _ in layer.layer_files(".pyc")] == ["b.py"]
    other = TARGET | {"runtime": "python3.12", "architecture": "x86_64"}
    assert stale(other, ".pyc") == "package/python is out of date (runtime, architecture)"
    path.write_text(json.dumps(layer.record(layer.LAYER, TARGET, ".pyc")), encoding="utf-8")
    assert (stale(TARGET, ".pyc"), stale(TARGET, ".pyc", True)) == (None, None)
    files = ["__pycache__/b.pyc", "b.py"]
    assert list(layer.layer_files(".pyc")) == [(name, layer.LAYER / name) for name in files]
    code = 3 * len("a = 1\n") + len(LOCK)
    assert (layer.size(layer.layer_files(".pyc")), layer.size_of_code()) == (3, code)
    monkeypatch.setattr(layer, "UNZIPPED_LIMIT", 3 + code)
    assert stale(TARGET, ".pyc") is None
    monkeypatch.setattr(layer, "UNZIPPED_LIMIT", 2 + code)
    assert stale(TARGET, ".pyc") == "package/python is out of date (size)"


def test_size_of_a_layer(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its packages and the largest five are named, in MB; more than Lambda takes is refused."""
    layer = scripts.layer
    sizes = {"a/x.py": 6, "a-1.dist-info/WHEEL": 2, "b.py": 6, "c/x.py": 4, "d/x.py": 3, "e/x.py": 2, "f.so": 1}
    scripts.write({name: bytes(size * 2**19) for name, size in sizes.items()})
    layer.report_size(layer.LAYER)
    assert capsys.readouterr().out.splitlines() == [
        "package/python: 1 packages, 12.0 MB of the 250 MB allowed.",
        "Largest: a 4.0, b 3.0, c 2.0, d 1.5, e 1.0.",
    ]
    total = 24 * 2**19 + layer.size_of_code()
    monkeypatch.setattr(layer, "UNZIPPED_LIMIT", total)
    layer.report_size(layer.LAYER)
    monkeypatch.setattr(layer, "UNZIPPED_LIMIT", total - 1)
    with pytest.raises(scripts.run_uv.BuildError) as refusal:
        layer.report_size(layer.LAYER)
    rule = "Lambda allows 12 MB with the function: remove a dependency, or use a container image"
    assert str(refusal.value) == rule


# bytecode.py


def fake_compiler(results: list[tuple[int, str, str]], *made: str) -> Mock:
    """Return what stands in for subprocess.run: it compiles these modules the first time, and says what is given."""

    def run(command: list[Any], **_: object) -> SimpleNamespace:
        code, out, err = results.pop(0)
        if not results:
            for name in made:
                path = Path(command[-1], name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"12345678")
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return Mock(side_effect=run)


def test_bytecode(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Compiled by the runtime's Python as Lambda has the files, whatever variables of Python say."""
    folder, python = scripts.project / "code", Path("/it/python")
    written(folder, "a.py", "b/c.py")
    monkeypatch.setenv("PYTHONHOME", "x")
    monkeypatch.setenv("KEPT", "1")
    run = fake_compiler([(1, "", "no"), (0, "", "")], "__pycache__/a.x.pyc", "b/__pycache__/c.x.pyc")
    monkeypatch.setattr("subprocess.run", run)
    assert scripts.bytecode.compile_bytecode(python, folder, ".x.pyc", "/opt", "unchecked-hash", PYTHONX="1") is True
    options = ["--invalidation-mode", "unchecked-hash", "-s", folder, "-p", "/opt", folder]
    for workers, each in zip("01", run.mock_calls, strict=True):
        assert each.args == ([python, "-s", "-m", "compileall", "-q", "-j", workers, *options],)
        assert each.kwargs.pop("env") == {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "PYTHONX": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONIOENCODING": "utf-8",
        }
        assert each.kwargs == {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    assert capsys.readouterr().out == ""


def test_bytecode_of_what_is_no_python(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that compileall names is kept as it is; where it ends before, there is no bytecode at all."""
    folder, python = scripts.project / "code", Path("/it/python")
    written(folder, "a.py", "b.py")
    named = f"*** Error compiling {str(folder / 'b.py')!r}\n"
    monkeypatch.setattr("subprocess.run", fake_compiler([(1, named, "")], "__pycache__/a.x.pyc"))
    assert scripts.bytecode.compile_bytecode(python, folder, ".x.pyc", "/opt", "checked-hash") is True
    kept = "These files are no modules of this Python; they are kept without bytecode."
    assert capsys.readouterr().out == f"{named}{kept}\n"
    assert found(folder) == ["__pycache__/a.x.pyc", "a.py", "b.py"]
    for error, reason in (("one\ntwo\nthree\n", "three"), ("", "exit code 9")):
        monkeypatch.setattr("subprocess.run", fake_compiler([(1, "", ""), (9, "", error)], "__pycache__/a.x.pyc"))
        assert scripts.bytecode.compile_bytecode(python, folder, ".x.pyc", "/opt", "checked-hash") is False
        said = f"/it/python could not compile code/ ({reason}), so it has no bytecode; the next build tries again.\n"
        assert capsys.readouterr().out == said
        assert found(folder) == ["a.py", "b.py"]


def test_bytecode_that_fits(scripts: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    """First the framework, then what is least deep, tests last; each that has room."""
    sizes = {
        "fastapi/deep/deeper/__pycache__/a.x.pyc": 3,
        "fastapi/tests/__pycache__/a.x.pyc": 1,
        "b/__pycache__/b.x.pyc": 2,
        "b/__pycache__/a.x.pyc": 2,
        "b/zoo/__pycache__/a.x.pyc": 1,
        "b/test/__pycache__/a.x.pyc": 1,
        "b/__pycache__/c.x.pyc": 1,
    }
    order = [0, 1, 6, 3, 2, 4, 5]
    for room in range(12):
        layer = scripts.project / f"layer{room}"
        for name, size in sizes.items():
            (layer / name).parent.mkdir(parents=True, exist_ok=True)
            (layer / name).write_bytes(bytes(size))
        written(layer, "b/__pycache__/other.y.pyc")
        scripts.bytecode.limit_bytecode(layer, ".x.pyc", room)
        left, kept = room, []
        for name in (list(sizes)[number] for number in order):
            if sizes[name] <= left:
                left -= sizes[name]
                kept.append(name)
        assert found(layer) == sorted([*kept, "b/__pycache__/other.y.pyc"]), room
        count = f"{7 - len(kept)} of 7 modules have no bytecode, so that the layer fits into Lambda's limit.\n"
        assert capsys.readouterr().out == (count if len(kept) < 7 else "")


# scratch.py


def test_scratch_folder(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It waits for another build, puts right what killed ones have left, and is deleted in the end."""
    scratch, locks = scripts.scratch, [False, False, True]
    wait = Mock()
    monkeypatch.setattr("time.sleep", wait)
    monkeypatch.setattr(scratch, "locked", lambda _: locks.pop(0))
    written(scratch.SCRATCH, "left/x", "old-layer/y", "file")
    for _ in range(2):
        with scratch.scratch_folder() as folder:
            assert folder.parent == scratch.SCRATCH
            assert folder.is_dir()
            assert found(scratch.SCRATCH) == ["file", "lock"]
        assert not folder.exists()
        locks.append(True)
    assert found(scratch.LAYER) == ["y"]
    assert wait.mock_calls == [call(0.2)]
    assert capsys.readouterr().out == "Waiting for another build of this project ...\n"


def test_locks(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One file, one build; a file system without locks is in nobody's way."""
    locked = scripts.scratch.locked
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert (locked(first.fileno()), locked(second.fileno())) == (True, False)
    monkeypatch.setattr("fcntl.flock", Mock(side_effect=OSError))
    assert locked(1) is True


def test_layer_is_replaced(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that fails, the old one is in its place again."""
    scratch, fresh = scripts.scratch, scripts.project / "fresh"
    scratch.SCRATCH.mkdir()
    for name in ("one", "two"):
        written(fresh, name)
        scratch.replace_layer(fresh)
        assert found(scratch.LAYER) == [name]
        assert (fresh.exists(), scratch.OLD_LAYER.exists()) == (False, False)
    with pytest.raises(FileNotFoundError):
        scratch.replace_layer(fresh)
    assert found(scratch.LAYER) == ["two"]


def test_rename_is_tried_again(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times, with longer pauses, then it fails."""
    wait, source = Mock(), Mock()
    monkeypatch.setattr("time.sleep", wait)
    source.rename.side_effect = [PermissionError, None]
    scripts.scratch.move(source, "target")
    assert source.rename.mock_calls == [call("target")] * 2
    source.rename.side_effect = PermissionError
    with pytest.raises(PermissionError):
        scripts.scratch.move(source, "target")
    assert source.rename.mock_calls == [call("target")] * 6
    assert wait.mock_calls == [call(0.1), call(0.1), call(0.5), call(1)]


# run_uv.py


def answers(**said: str | None) -> Callable[..., str | None]:
    """Return what stands in for `output`: what a command prints, by a word of it."""

    def output(*command: str | Path) -> str | None:
        return next((text for word, text in said.items() if word in " ".join(map(str, command))), None)

    return output


def test_output(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what is printed, in the project's folder; None if the command fails or is not there."""
    output = scripts.run_uv.output
    code = "import os, sys; sys.stdout.buffer.write(b' \\xff' + os.getcwd().encode() + b'\\n')"
    assert output(sys.executable, "-c", code) == f"\ufffd{scripts.project}"
    assert output(sys.executable, "-c", "print(1); raise SystemExit(1)") is None
    assert output("/nowhere") is None
    run = Mock(return_value=Mock(returncode=0, stdout=""))
    monkeypatch.setattr("subprocess.run", run)
    assert output("a", "b") == ""
    more = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    run.assert_called_once_with(("a", "b"), cwd=scripts.project, **more)


def test_interpreters(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that runs this, the one of .venv, pyenv's or uv's, in this order."""
    run_uv, venv = scripts.run_uv, scripts.project / ".venv"
    own = "{}.{}".format(*sys.version_info)
    assert run_uv.find_python(own, venv) == Path(sys.executable)
    assert run_uv.version_of(Path(sys.executable)) == own
    pyenv = scripts.project / "pyenv"
    written(pyenv, "versions/2.7.1/bin/python", "versions/2.7.2/bin/python", "versions/2.8.1/bin/python")
    versions = {venv / "bin" / "python": None, pyenv / "versions/2.7.2/bin/python": "2.7"}
    monkeypatch.setattr(run_uv, "version_of", versions.get)
    monkeypatch.setenv("PYENV_ROOT", str(pyenv))
    assert run_uv.find_python("2.7", venv) == pyenv / "versions/2.7.2/bin/python"
    monkeypatch.delenv("PYENV_ROOT")
    (scripts.project / ".pyenv").symlink_to(pyenv)
    monkeypatch.setattr("pathlib.Path.home", Mock(return_value=scripts.project))
    versions[scripts.project / ".pyenv/versions/2.7.1/bin/python"] = "2.7"
    assert run_uv.find_python("2.7", venv) == scripts.project / ".pyenv/versions/2.7.1/bin/python"
    versions[venv / "bin" / "python"] = "2.7"
    assert run_uv.find_python("2.7", venv) == venv / "bin" / "python"
    versions.clear()
    monkeypatch.setattr("pathlib.Path.home", Mock(side_effect=[RuntimeError, PermissionError]))
    monkeypatch.setattr(run_uv, "find_uv", lambda: ("uv",))
    output = Mock(side_effect=["/uv/python", ""])
    monkeypatch.setattr(run_uv, "output", output)
    assert run_uv.find_python("2.7", venv) == Path("/uv/python")
    assert run_uv.find_python("2.7", venv) is None
    assert output.mock_calls == [call("uv", "python", "find", "--no-python-downloads", "--no-project", "2.7")] * 2


def test_interpreter_of_an_environment(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has it elsewhere; its version is asked without what the user has installed."""
    run_uv, output = scripts.run_uv, Mock(return_value="3.13")
    monkeypatch.setattr(run_uv, "output", output)
    assert run_uv.version_of(Path("python")) == "3.13"
    assert output.call_args.args[:3] == (Path("python"), "-I", "-c")
    assert run_uv.venv_python(Path("v")) == Path("v/bin/python")
    monkeypatch.setattr(run_uv, "os", SimpleNamespace(name="nt"))
    assert run_uv.venv_python(Path("v")) == Path("v/Scripts/python.exe")


def test_uv_is_found(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On PATH, as a module of this Python, in .uv; where it is too old or missing, it is installed."""
    run_uv = scripts.run_uv
    own = run_uv.UV_VENV / "bin" / "python"
    commands = [("uv",), (sys.executable, "-m", "uv"), (own, "-m", "uv")]
    for number, command in enumerate(commands):
        run_uv.find_uv.cache_clear()
        output = Mock(side_effect=[*["uv 0.8.99"] * number, "uv 0.9.0 (abc 2026)"])
        monkeypatch.setattr(run_uv, "output", output)
        assert run_uv.find_uv() == command
        assert output.call_args.args == (*command, "--version")
    run_uv.find_uv.cache_clear()
    monkeypatch.setattr(run_uv, "output", Mock(return_value=None))
    run = Mock(return_value=Mock(returncode=0))
    monkeypatch.setattr("subprocess.run", run)
    assert run_uv.find_uv() == (own, "-m", "uv")
    assert capsys.readouterr().out == "uv 0.9 or newer was not found; installing it into .uv/ ...\n"
    place = ["--no-user", "--target=", f"--root={run_uv.UV_VENV.anchor}", f"--prefix={run_uv.UV_VENV}"]
    assert run.mock_calls == [
        call([sys.executable, "-m", "venv", "--clear", run_uv.UV_VENV]),
        call([own, "-m", "pip", "install", "--quiet", *place, "uv>=0.9"]),
    ]
    for codes in ([1], [0, 1]):
        run_uv.find_uv.cache_clear()
        monkeypatch.setattr("subprocess.run", Mock(side_effect=[Mock(returncode=code) for code in codes]))
        with pytest.raises(run_uv.BuildError) as refusal:
            run_uv.find_uv()
        advice = "install it (https://docs.astral.sh/uv/) and try again"
        assert str(refusal.value) == f"uv could not be installed; {advice}"


def test_uv(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """For a new folder it tries its cache first; where it fails, settings of pip that it does not read are named."""
    run_uv, target, codes = scripts.run_uv, scripts.project / "target", [0]
    run = Mock(side_effect=lambda *_, **__: Mock(returncode=codes.pop(0)))
    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr(run_uv, "find_uv", lambda: ("uv",))
    written(target, "left")
    offline = call(["uv", "a", Path("b"), "--offline"], cwd=scripts.project, capture_output=True)
    online = call(["uv", "a", Path("b")], cwd=scripts.project)
    run_uv.uv("a", Path("b"), task="do", target=target)
    assert run.mock_calls == [offline]
    assert target.exists()
    codes[:] = [1, 0]
    run_uv.uv("a", Path("b"), task="do", target=target)
    assert run.mock_calls == [offline, offline, online]
    assert not target.exists()
    codes[:] = [1, 0]
    run_uv.uv("a", Path("b"), task="do", target=target)
    run.mock_calls = [offline, offline, online]
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", "x")
    monkeypatch.delenv("UV_SYSTEM_CERTS", raising=False)
    config = "global.index-url='a'\n:env:.extra-index-url='b'\ninstall.cert='c'\nglobal.find-links=''\nlist.proxy='d'\n"
    settings = "pip is configured with index-url (for uv: UV_DEFAULT_INDEX), cert (for uv: SSL_CERT_FILE)"
    for said, line in ((config, f"build.py: {settings}; uv does not read pip's settings.\n"), (None, "")):
        output = Mock(return_value=said)
        monkeypatch.setattr(run_uv, "output", output)
        codes[:] = [2]
        with pytest.raises(run_uv.BuildError) as refusal:
            run_uv.uv("a", Path("b"), task="do it")
        assert str(refusal.value) == "uv could not do it; see above, and docs/troubleshooting.md"
        assert capsys.readouterr().err == line
        output.assert_called_once_with(sys.executable, "-m", "pip", "config", "list")
    assert run.mock_calls[3:] == [online, online]


# build.py


@pytest.fixture
def uv(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return what stands in for uv; it writes a package into a folder that it is to install into."""

    def run(*arguments: str | Path, task: str, target: Path | None = None) -> None:
        if target:
            written(target, "small/__init__.py", "small-1.0.dist-info/RECORD", ".lock", "bin/tool")
            (target / "small-1.0.dist-info" / "WHEEL").write_text("Tag: py3-none-any\n", encoding="utf-8")
        if "compile" in arguments:
            Path(arguments[arguments.index("--output-file") + 1]).write_text(LOCK, encoding="utf-8")

    uv = Mock(side_effect=run)
    monkeypatch.setattr(scripts.build, "uv", uv)
    monkeypatch.setattr(scripts.build, "find_python", Mock(return_value=None))
    return uv


def installs(scripts: Scripts, target: Path, glibc: int) -> list[str | Path]:
    """Return the beginning of the command that installs wheels for this glibc."""
    return [
        *("pip", "install", "--python", sys.executable, "--target", target, "--link-mode", "copy", "--require-hashes"),
        *("--python-version", "3.13", "--only-binary", ":all:"),
        *("--python-platform", f"aarch64-manylinux_2_{glibc}"),
    ]


TASK = "install app/requirements.txt"


def compiled(_: Path, folder: Path, suffix: str, *__: str, **___: str) -> bool:
    """Stand in for the compiler: write one file of bytecode."""
    written(folder, f"__pycache__/main{suffix}")
    return True


def test_installation_for_amazon_linux_2(scripts: Scripts, uv: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """With glibc 2.26; uv has no platform below 2.28 but 2.17."""
    monkeypatch.setattr(scripts.build, "GLIBC", 26)
    monkeypatch.setattr(scripts.build, "ARCHITECTURE", "x86_64")
    scripts.build.install(scripts.project / "python")
    assert "x86_64-manylinux_2_28" in uv.call_args.args


def test_installation(scripts: Scripts, uv: Mock, tmp_path: Path) -> None:
    """What needs a newer glibc than Lambda's is installed again, for an older one."""
    build, target = scripts.build, tmp_path / "python"
    build.install(target)
    more = ["-r", build.LOCK, "-r", "pyproject.toml"]
    uv.assert_called_once_with(*installs(scripts, target, 34), *more, task=TASK, target=target)

    def tagged(*_: object, **__: object) -> None:
        for name, glibc in (("other_one", ("35", "36")), ("small", ("34", "40")), ("none", ("17",))):
            info = target / f"{name}-1.0.dist-info"
            info.mkdir(parents=True, exist_ok=True)
            tags = "Generator: it\n" + "".join(f"Tag: cp313-cp313-manylinux_2_{each}_aarch64\n" for each in glibc)
            (info / "WHEEL").write_text(tags, encoding="utf-8")

    uv.side_effect, uv.mock_calls = tagged, []
    build.install(target)
    again = [*installs(scripts, target, 17), "-r", tmp_path / "pin.txt", "--no-deps", "--reinstall"]
    assert uv.mock_calls[1:] == [call(*again, task=TASK)]
    assert (tmp_path / "pin.txt").read_text(encoding="utf-8") == "Other-One[x]==2 \\\n    --hash=sha256:11\n"
    build.LOCK.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(build.BuildError) as refusal:
        build.install(target)
    reason = "app/requirements.txt names no package: run `python scripts/build.py lock`"
    assert str(refusal.value) == reason


def test_pruning(scripts: Scripts, tmp_path: Path) -> None:
    """Notes of the installer, bytecode and scripts go; a package called bin stays."""
    notes = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"]
    for package in (False, True):
        layer = tmp_path / str(package)
        written(layer, *(f"a-1.dist-info/{name}" for name in [*notes, "METADATA"]), "a/__pycache__/b.pyc", ".lock")
        written(layer, "bin/tool", "bin/module.py", "bin/sub/tool", *(["bin/__init__.py"] if package else []))
        scripts.build.prune(layer)
        kept = ["bin/__init__.py", "bin/module.py", "bin/sub/tool"] if package else []
        assert found(layer) == ["a-1.dist-info/METADATA", *kept]
        assert not (layer / "a" / "__pycache__").exists()
        assert (layer / "bin").exists() == package
        scripts.build.prune(layer)


def test_layer(scripts: Scripts, uv: Mock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is built, with its record, unless it is up to date; with --check it is only said if it is."""
    build, layer = scripts.build, scripts.layer
    assert build.main(["layer", "--check"]) == 1
    reason = "package/python is not built: run `python scripts/build.py layer`"
    assert capsys.readouterr().err == f"build.py: {reason}.\n"
    assert build.main(["layer"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Building package/ for python3.13 on arm64 ...",
        "No Python 3.13 was found, so package/ has no bytecode and a cold start takes twice as long.",
        "With bytecode: `uv python install 3.13`, then `python scripts/build.py layer`.",
        "package/python: 1 packages, 0.0 MB of the 250 MB allowed.",
        "Largest: small 0.0.",
    ]
    assert found(layer.LAYER) == [".layer.json", "small-1.0.dist-info/WHEEL", "small/__init__.py"]
    recorded = json.dumps(layer.record(layer.LAYER, build.TARGET, ""), indent=2)
    assert (layer.LAYER / ".layer.json").read_text(encoding="utf-8") == f"{recorded}\n"
    for options in ([], ["--check"]):
        assert build.main(["layer", *options]) == 0
        assert capsys.readouterr().out == "package/ is up to date.\n"
    assert uv.call_count == 1
    build.find_python.assert_called_with("3.13", scripts.project / ".venv")

    # With an interpreter it is built again, with bytecode, if there is room.
    build.find_python.return_value = Path("python")
    compiler, limit = Mock(side_effect=compiled), Mock()
    monkeypatch.setattr(build, "compile_bytecode", compiler)
    monkeypatch.setattr(build, "limit_bytecode", limit)
    assert build.main(["layer"]) == 0
    fresh = compiler.call_args.args[1]
    end, hashed = ".cpython-313.pyc", {"PYTHONNODEBUGRANGES": "1"}
    compiler.assert_called_once_with(Path("python"), fresh, end, "/opt/python", "unchecked-hash", **hashed)
    used = layer.size(layer.layer_files("")) + layer.size_of_code()
    limit.assert_called_once_with(fresh, end, layer.UNZIPPED_LIMIT - used)
    assert json.loads((layer.LAYER / ".layer.json").read_text(encoding="utf-8"))["bytecode"] is True
    capsys.readouterr()
    for options in ([], ["--check"]):
        assert build.main(["layer", *options]) == 0
        assert capsys.readouterr().out == "package/ is up to date.\n"
    monkeypatch.setattr(build, "UNZIPPED_LIMIT", used)
    build.LOCK.write_text(f"{LOCK}# changed\n", encoding="utf-8")
    assert build.main(["layer"]) == 0
    assert compiler.call_count == 1, "the code is larger now by the comment"
    monkeypatch.setattr(build, "UNZIPPED_LIMIT", used + len("# changed\n"))
    build.LOCK.write_text(f"{LOCK}# changes\n", encoding="utf-8")
    assert build.main(["layer"]) == 0
    assert compiler.call_count == 2


def test_archives(
    scripts: Scripts, uv: Mock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layer is built first; the size of each archive is said, and what is too large is refused or explained."""
    build, output = scripts.build, scripts.project / "out" / "put"
    compiler = Mock(side_effect=compiled)
    monkeypatch.setattr(build, "compile_bytecode", compiler)
    build.find_python.side_effect = [None, Path("python")]
    assert build.main(["zip", "--output", str(output)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["put/function.zip: 0.00 MB", "put/layer.zip: 0.00 MB"]
    assert found(output) == ["function.zip", "layer.zip"]
    names = [zipfile.ZipFile(output / f"{name}.zip").namelist() for name in ("function", "layer")]
    bytecode = f"__pycache__/main{build.BYTECODE}"
    files = ["python/small-1.0.dist-info/WHEEL", "python/small/__init__.py"]
    assert names == [[bytecode, "main.py"], files]
    (code,) = [each.args[1] for each in compiler.mock_calls]
    assert code.name == "function"
    compiler.assert_called_once_with(Path("python"), code, ".cpython-313.pyc", "/var/task", "checked-hash")
    assert build.find_python.mock_calls == [call("3.13", scripts.project / ".venv")] * 2

    build.find_python.side_effect = None
    build.find_python.return_value = Path("python")
    monkeypatch.setattr(build, "UPLOAD_LIMIT", 500)
    assert build.main(["zip"]) == 0
    dist = scripts.project / "dist"
    names = [zipfile.ZipFile(dist / f"{name}.zip").namelist() for name in ("function", "layer")]
    assert names == [[bytecode, "main.py"], [f"python/{bytecode}", *files]]
    more = "; over 0 MB it has to be uploaded through S3"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        *("dist/function.zip: 0.00 MB", f"dist/layer.zip: 0.00 MB{more}")
    ]
    limit = len(f"a = 1\n{bytecode}") + scripts.layer.size(scripts.layer.layer_files(build.BYTECODE))
    monkeypatch.setattr(build, "UNZIPPED_LIMIT", limit)
    assert build.main(["zip"]) == 0
    monkeypatch.setattr(build, "UNZIPPED_LIMIT", limit - 1)
    assert build.main(["zip"]) == 1
    reason = "app/ and package/ have more than the 0 MB that Lambda takes"
    assert capsys.readouterr().err == f"build.py: {reason}.\n"
    for _ in range(2):
        build.write_zip(dist / "a.zip", iter([("a", build.LOCK)]), scripts.project / "app")
        monkeypatch.setattr(build, "UPLOAD_LIMIT", (dist / "a.zip").stat().st_size)
    assert capsys.readouterr().out == "dist/a.zip: 0.00 MB\n" * 2


def test_locks_of_the_dependencies(scripts: Scripts, uv: Mock, capsys: pytest.CaptureFixture[str]) -> None:
    """Three, each with hashes; what a lock pins stays pinned, unless --upgrade is given."""
    build = scripts.build
    before: list[dict[str, str]] = []
    write = uv.side_effect

    def compile_(*arguments: Any, **more: Any) -> None:
        folder = Path(arguments[arguments.index("--output-file") + 1]).parent
        before.append({path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()})
        write(*arguments, **more)

    uv.side_effect = compile_
    build.LOCK.write_text("old==1", encoding="utf-8")
    changed = "Other-One[x]: none -> 2\nold: 1 -> none\nsmall: none -> 1.0\n"
    for options, more, changes in (([], [], changed), (["--upgrade"], ["--upgrade"], "")):
        uv.mock_calls = []
        assert build.main(["lock", *options]) == 0
        said = "Wrote app/requirements.txt, requirements-dev.txt and requirements-check.txt.\n"
        assert capsys.readouterr().out == changes + said
        command = ["pip", "compile", "--quiet", "--universal", "--python-version", "3.13", "--python", sys.executable]
        command += ["--generate-hashes", "--no-annotate", *more]
        command += ["--custom-compile-command", "python scripts/build.py lock", "--output-file"]
        outputs = [each.args[len(command)] for each in uv.mock_calls]
        layer, dev, check = map(str, outputs)
        assert [Path(each).name for each in outputs] == [
            *("requirements.txt", "requirements-dev.txt", "requirements-check.txt")
        ]
        task = "lock the dependencies in pyproject.toml"
        assert uv.mock_calls == [
            call(*command, layer, "pyproject.toml", "--only-binary", ":all:", task=task),
            call(*command, dev, "pyproject.toml", "--group", "dev", "--constraint", layer, task=task),
            call(*command, Path(check), "--group", "check", task=task),
        ]
        for path in (build.LOCK, build.DEV_LOCK, build.CHECK_LOCK):
            assert path.read_text(encoding="utf-8") == LOCK
    assert before[0] == {"requirements.txt": "old==1"}
    assert before[3] == dict.fromkeys(("requirements.txt", "requirements-dev.txt", "requirements-check.txt"), LOCK)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_has_no_hash(number: int, scripts: Scripts, uv: Mock, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be locked; no lock is written."""
    texts = [LOCK] * 3
    texts[number] = f"-e ./folder\n{PIN}other @ file:///x\n"

    def compile_(*arguments: Any, **_: object) -> None:
        Path(arguments[arguments.index("--output-file") + 1]).write_text(texts.pop(0), encoding="utf-8")

    uv.side_effect = compile_
    assert scripts.build.main(["lock"]) == 1
    reason = "./folder, other has no hash: a folder, a workspace member or a repository cannot be locked. Build a wheel"
    assert capsys.readouterr().err.startswith(f"build.py: {reason}, such as `uv build")
    assert scripts.build.LOCK.read_text(encoding="utf-8") == LOCK
    assert not scripts.build.DEV_LOCK.exists()


def test_environments(
    scripts: Scripts, uv: Mock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """.venv and .venv-check are made with the runtime's Python, unless they are there, and have what the locks pin."""
    build = scripts.build
    versions: dict[Path, str] = {}
    monkeypatch.setattr(build, "version_of", versions.get)
    for make, name, quiet, lock in (
        (lambda: build.main(["venv"]), ".venv", [], [build.DEV_LOCK, "pyproject.toml", "--group", "dev"]),
        (build.make_check_venv, ".venv-check", ["--quiet"], [build.CHECK_LOCK, "--group", "check"]),
    ):
        folder = scripts.project / name
        python = folder / "bin" / "python"
        file = next(each for each in lock if isinstance(each, Path)).name
        sync = ["pip", "sync", *quiet, "--python", python, "--require-hashes", *lock]
        for found_python in (None, Path("/it/python")):
            uv.mock_calls = []
            build.find_python.return_value = found_python
            assert not make()
            new = ["venv", "--quiet", "--clear", "--python", found_python or "3.13", folder]
            assert uv.mock_calls == [
                call(*new, task=f"make {name} with Python 3.13"),
                call(*sync, task=f"install {file}"),
            ]
            assert capsys.readouterr().out == f"Making {name} with Python 3.13 ...\n"
            build.find_python.assert_called_with("3.13", folder)
        versions[python] = "3.13"
        uv.mock_calls = []
        assert not make()
        assert uv.mock_calls == [call(*sync, task=f"install {file}")]
        assert capsys.readouterr().out == ""


def test_ends_of_the_command(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error, and an exit code."""
    build = scripts.build
    for error, code, line in (
        (build.BuildError("it is"), 1, "it is"),
        (OSError("no"), 1, "no"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ):
        monkeypatch.setattr(build, "build_layer", Mock(side_effect=error))
        assert build.main(["layer"]) == code
        assert capsys.readouterr().err == f"build.py: {line}.\n"
    build.LOCK.unlink()
    assert build.main(["venv"]) == 1
    advice = "`python scripts/build.py lock` writes it"
    assert capsys.readouterr().err == f"build.py: {build.LOCK} does not exist; {advice}.\n"
    for arguments in ([], ["other"]):
        with pytest.raises(SystemExit, match="2"):
            build.main(arguments)
        assert re.search(r"(required:|argument) layer\|zip\|lock\|venv\b", capsys.readouterr().err)
    for arguments, words in (
        (["--help"], str(build.__doc__)),
        (["layer", "--help"], "--check exit 1 if it is out of date"),
        (["zip", "--help"], "--output FOLDER default: dist"),
        (["lock", "--help"], "--upgrade take the newest versions"),
    ):
        with pytest.raises(SystemExit, match="0"):
            build.main(arguments)
        printed = capsys.readouterr().out
        assert words in printed or " ".join(printed.split()).endswith(words)


# check.py


def test_check(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every stage, the policy and the bucket are examined, in the region; what is found is printed and counted."""
    check, project = scripts.check, scripts.project
    written(project, "docs/deploy-policy.yaml", "scripts/artifacts.yaml", "template.yaml")
    written(project, "stages/x.txt")
    for name in ("prod", "dev"):
        text = json.dumps({"Parameters": {"Stage": name}})
        (project / "stages" / f"{name}.json").write_text(text, encoding="utf-8")
    stages = {"dev": ("us-east-1", {"Stage": "dev"}), "prod": ("us-east-1", {"Stage": "prod"})}
    assert list(check.stages().items()) == list(stages.items())
    findings = SimpleNamespace(
        Template=lambda *given: SimpleNamespace(given=given, region=given[2]),
        examine=Mock(return_value=["one", "two"]),
        read=lambda path: path.read_text(encoding="utf-8"),
    )
    monkeypatch.setitem(sys.modules, "findings", findings)
    assert check.check() == 1
    assert capsys.readouterr().out == "one\ntwo\nmake check: 2 found\n"
    (templates,) = findings.examine.call_args.args
    assert [each.given for each in templates] == [
        *(("template.yaml", "template.yaml", "us-east-1", stage, given) for stage, (_, given) in stages.items()),
        *((name, name, "us-east-1") for name in ("docs/deploy-policy.yaml", "scripts/artifacts.yaml")),
    ]
    findings.examine.return_value = []
    for name in ("docs/deploy-policy.yaml", "stages/dev.json", "stages/prod.json"):
        (project / name).unlink()
    assert check.check() == 0
    assert capsys.readouterr().out == "make check: nothing found\n"
    (templates,) = findings.examine.call_args.args
    assert [each.given[0] for each in templates] == ["template.yaml", "scripts/artifacts.yaml"]
    assert check.stages() == {"dev": ("us-east-1", {})}


def test_check_in_its_environment(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes the environment, and goes on with the Python of it; errors are one line."""
    check, build = scripts.check, scripts.build
    make, run = Mock(), Mock(return_value=SimpleNamespace(returncode=7))
    monkeypatch.setattr(build, "make_check_venv", make)
    monkeypatch.setattr("subprocess.run", run)
    assert check.main([]) == 7
    run.assert_called_once_with([scripts.project / ".venv-check" / "bin" / "python", check.__file__])
    make.assert_called_once_with()
    for error, code, line in ((ValueError("no"), 1, "no"), (KeyboardInterrupt(), 130, "interrupted")):
        make.side_effect = error
        assert check.main([]) == code
        assert capsys.readouterr().err == f"check.py: {line}.\n"
    monkeypatch.setattr(check, "check", Mock(return_value=5))
    monkeypatch.setattr("sys.prefix", str(build.CHECK_VENV))
    assert check.main([]) == 5


def test_audit(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each lock is asked for, the worst exit code counts, and it is an error if nothing of a lock was audited."""
    check, build = scripts.check, scripts.build
    monkeypatch.setattr(build, "make_check_venv", Mock())
    for lock in (build.LOCK, build.DEV_LOCK, build.CHECK_LOCK):
        lock.write_text(LOCK + "windows==3 ; sys_platform == 'win32' \\\n", encoding="utf-8")
    said = ["none\n", "small could not be audited\n", "one\n"]
    run = Mock(side_effect=[SimpleNamespace(stdout=text, returncode=int(text == "one\n")) for text in said])
    monkeypatch.setattr("subprocess.run", run)
    assert check.main(["--audit"]) == 1
    names = ("app/requirements.txt", "requirements-dev.txt", "requirements-check.txt")
    assert capsys.readouterr().out == "".join(f"{name}:\n{text}" for name, text in zip(names, said, strict=True))
    python = str(scripts.project / ".venv-check" / "bin" / "python")
    command = [python, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    assert [each.args[0] for each in run.mock_calls] == [
        [*command, f"--requirement={scripts.project / name}"] for name in names
    ]
    assert all(each.kwargs["encoding"] == "utf-8" and "stdout" in each.kwargs for each in run.mock_calls)
    skipped = SimpleNamespace(stdout="small could not be audited\nother-one could not be audited\n", returncode=0)
    run.side_effect = [skipped]
    assert check.main(["--audit"]) == 1
    line = "check.py: nothing of app/requirements.txt was audited: pypi.org answers for none of its packages.\n"
    assert capsys.readouterr().err == line


# openapi.py


def test_contract(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is written if it differs, or with --check said to be stale; nothing is compiled into app/."""
    openapi, contract = scripts.openapi, scripts.project / "openapi.json"
    app = Mock(openapi=Mock(return_value={"title": "\u00fc", "paths": {}}))
    monkeypatch.setitem(sys.modules, "main", SimpleNamespace(app=app))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    stale = "openapi.json is stale: run `make openapi`, look at the difference, and commit it.\n"
    for old in (None, "{}\n"):
        assert openapi.main(["--check"]) == 1
        assert capsys.readouterr() == ("", stale)
        assert openapi.main([]) == 0
        assert capsys.readouterr() == ("openapi.json is written.\n", "")
        assert contract.read_bytes() == b'{\n  "title": "\xc3\xbc",\n  "paths": {}\n}\n'
        for arguments in ([], ["--check"]):
            assert openapi.main(arguments) == 0
            assert capsys.readouterr() == ("", "")
        contract.write_text(old or "{}\n", encoding="utf-8")
    assert sys.path[0] == str(scripts.project / "app")
    assert sys.dont_write_bytecode
    app.openapi.side_effect = lambda: warnings.warn("other", stacklevel=1) or {"a": 1}
    assert openapi.main([]) == 0
    assert contract.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    app.openapi.side_effect = lambda: warnings.warn("Duplicate Operation ID a\n  for b", stacklevel=1)
    capsys.readouterr()
    assert openapi.main([]) == 1
    line = "openapi.py: Duplicate Operation ID a for b; give one of the two functions another name.\n"
    assert capsys.readouterr() == ("", line)
    assert contract.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    app.openapi.side_effect = ValueError("of the application, whose traceback is needed")
    with pytest.raises(ValueError, match="of the application"):
        openapi.main([])
    with pytest.raises(SystemExit):
        openapi.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("usage: openapi.py [-h] [--check] Write openapi.json, the contract of the API.")
    assert said.endswith("--check write nothing; exit with 1 if openapi.json is stale")


# invoke.py


def test_context(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the time until the timeout, and an id of its own."""
    clock = Mock(return_value=10.0)
    monkeypatch.setattr("time.monotonic", clock)
    contexts = [scripts.invoke.Context(), scripts.invoke.Context(2.5)]
    assert [each.get_remaining_time_in_millis() for each in contexts] == [28_000, 2500]
    clock.return_value = 12.25
    assert [each.get_remaining_time_in_millis() for each in contexts] == [25_750, 250]
    clock.return_value = 13
    assert [each.get_remaining_time_in_millis() for each in contexts] == [25_000, 0]
    ids = {str(uuid.UUID(each.aws_request_id)) for each in contexts}
    assert ids == {each.aws_request_id for each in contexts}
    assert len(ids) == 2


def test_packages_that_lambda_does_not_have(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that only the development lock has are refused by name; boto3 is there without being in the layer."""
    lock = "# a\npytest==1\nsmall==1.0\nboto3==1\npy-yaml==1 ; b\n    --hash=c\n"
    (scripts.project / "requirements-dev.txt").write_text(lock, encoding="utf-8")
    installed = {"pytest": ["pytest"], "yaml": ["Py_.Yaml"], "small": ["small"], "boto3": ["boto3"], "x": ["x"]}
    installed["shared"] = ["pytest", "small"]
    monkeypatch.setattr(scripts.invoke, "packages_distributions", Mock(return_value=installed))
    finder = scripts.invoke.LayerOnly()
    assert finder.modules == {"pytest", "yaml"}
    assert finder.find_spec("small", None) is None
    with pytest.raises(ModuleNotFoundError) as refusal:
        finder.find_spec("yaml", None, None)
    advice = "add its package to `dependencies` in pyproject.toml, and lock"
    assert (str(refusal.value), refusal.value.name) == (f"yaml is not in the layer: {advice}", "yaml")


def test_files_that_are_read_only(scripts: Scripts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All but those below the folder for temporary ones, unless the project is there too."""
    invoke, project = scripts.invoke, scripts.project
    monkeypatch.setattr(invoke, "TEMPORARY", tmp_path)
    for event, *arguments in (
        ("open", str(project / "a"), "r", os.O_RDONLY),
        ("open", "/etc/a", "r", os.O_RDONLY),
        ("open", 3, "w", os.O_WRONLY),
        ("open", "/dev/tty", "w", os.O_WRONLY),
        ("open", str(tmp_path / "a"), "w", os.O_WRONLY | os.O_CREAT),
        ("os.mkdir", str(tmp_path / "a"), 0o777, -1),
        ("os.remove", "/etc/a", -1),
    ):
        invoke.refuse_writing(event, tuple(arguments))
    for event, path, *more in (
        *(("open", b"/etc/a", "w", flag) for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT)),
        ("os.mkdir", "/etc/a", 0o777, -1),
        ("open", str(project / "a"), "w", os.O_WRONLY),
    ):
        with pytest.raises(OSError, match="read-only") as refusal:
            invoke.refuse_writing(event, (path, *more))
        sentence = f"Lambda's files are read-only, except below {tmp_path}"
        given = refusal.value.errno, refusal.value.strerror, refusal.value.filename
        assert given == (errno.EROFS, sentence, os.fsdecode(path))


REGIONS = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}


def test_process_as_on_lambda(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder, search path and variables are those of Lambda; a region of the user's stays."""
    invoke, hook, folder = scripts.invoke, Mock(), Mock()
    (scripts.project / "requirements-dev.txt").touch()
    monkeypatch.setattr("os.chdir", folder)
    monkeypatch.setattr("sys.addaudithook", hook)
    monkeypatch.setattr("sys.path", ["", str(Path(invoke.__file__).parent), "/x"])
    monkeypatch.setattr("sys.meta_path", [*sys.meta_path])
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    monkeypatch.setitem(sys.modules, "main", SimpleNamespace(handler="handler"))
    with patch.dict(os.environ, {**REGIONS, "_HANDLER": "x", "KEPT": "1"}):
        assert invoke.load_handler() == "handler"
        given = {name: os.environ[name] for name in [*invoke.VARIABLES, "KEPT"]}
    assert given == invoke.VARIABLES | {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2", "KEPT": "1"}
    folder.assert_called_once_with(invoke.APP)
    assert sys.path == [str(invoke.APP), "/x"]
    assert sys.dont_write_bytecode is True
    assert isinstance(sys.meta_path[0], invoke.LayerOnly)
    hook.assert_called_once_with(invoke.refuse_writing)


def test_response(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Status, headers and body are printed, JSON in lines of its own; an error of the server is an exit code."""
    invoke, path = scripts.invoke, tmp_path / "event.json"
    path.write_text('{"a": "\u00fc"}', encoding="utf-8")
    handler = Mock()
    monkeypatch.setattr(invoke, "load_handler", Mock(return_value=handler))
    headers = {"a": "1", "b": "2"}
    encoded = base64.b64encode(b"\xff[").decode()
    for response, code, printed in (
        ({"statusCode": 200}, 0, "200\n\n\n"),
        ({"statusCode": 499, "headers": None, "body": None, "multiValueHeaders": None}, 0, "499\n\n\n"),
        (
            {"statusCode": 500, "headers": headers, "body": '{"c":[1]}'},
            1,
            '500\na: 1\nb: 2\n\n{\n  "c": [\n    1\n  ]\n}\n',
        ),
        (
            {"statusCode": 200, "headers": headers, "multiValueHeaders": {"b": ["3", "4"]}},
            0,
            "200\na: 1\nb: 3\nb: 4\n\n\n",
        ),
        ({"statusCode": 200, "cookies": ["x", "y"]}, 0, "200\nset-cookie: x\nset-cookie: y\n\n\n"),
        ({"statusCode": 200, "body": encoded, "isBase64Encoded": True}, 0, "200\n\n\\xff[\n"),
    ):
        handler.return_value = response
        assert invoke.main([str(path)]) == code
        assert capsys.readouterr().out == printed
    event, context = handler.call_args.args
    assert event == {"a": "\u00fc"}
    assert isinstance(context, invoke.Context)
    path.write_text("{", encoding="utf-8")
    assert invoke.main([str(path)]) == 2
    reason = f"{path} is not a JSON event, such as events/get-item.json: "
    assert capsys.readouterr().err.startswith(f"invoke.py: {reason}Expecting property name")
    with pytest.raises(SystemExit, match="0"):
        invoke.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    usage = "usage: invoke.py [-h] event Call the Lambda handler with an event."
    assert said.startswith(f"{usage} positional arguments: event a JSON file, such as events/get-item.json ")
