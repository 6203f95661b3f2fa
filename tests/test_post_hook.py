"""The post-gen hook: it builds package/ if it can, says what comes next, and never fails."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest
from cookiecutter.environment import StrictEnvironment

from hooks import post_gen_project
from tests.conftest import CONTEXT, ROOT, Bake
from tests.test_rules import GOOD


def test_when_to_build() -> None:
    """Only when asked, and not for an update tool, whose answers name the commit they came from."""
    assert post_gen_project.should_build(GOOD)
    assert not post_gen_project.should_build(GOOD | {"build_layer": False})
    assert not post_gen_project.should_build(GOOD | {"_commit": "abc"})


def test_when_to_be_silent(tmp_path: Path) -> None:
    """In a temporary folder of an update tool, and nowhere else."""
    cruft = GOOD | {"_commit": "abc"}
    temporary = Path(tempfile.gettempdir()).resolve() / "tmpabc" / "orders-api"
    assert post_gen_project.is_cruft_comparison(cruft, temporary)
    assert not post_gen_project.is_cruft_comparison(GOOD, temporary)
    assert not post_gen_project.is_cruft_comparison(cruft, tmp_path / "orders-api")


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "x = ", "import os; os.abort()"])
def test_failed_build_is_said(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However build.py ends, the hook goes on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "build.py").write_text(code, encoding="utf-8")
    assert not post_gen_project.build_layer()
    assert post_gen_project.LATER in post_gen_project.summary(GOOD, tmp_path, built=False)


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_next_command_is_that_of_the_readme(deployer: str, tmp_path: Path, bake: Bake) -> None:
    """What is to be typed after the tests deploys the service, and the project's README says the same."""
    last = post_gen_project.summary(GOOD | {"deployer": deployer}, tmp_path, built=True)[-1]
    assert last.startswith("  ")
    readme = (bake(deployer=deployer) / "README.md").read_text(encoding="utf-8")
    assert f"\n{last.strip()}\n```" in readme


def test_successful_build_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the layer built there is nothing to finish. The build reads nothing, and writes no bytecode."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    (tmp_path / "scripts").mkdir()
    code = "import os, sys; assert (sys.argv[1:], sys.stdin.read(), os.environ['KEPT']) == (['layer'], '', '1')\n"
    code += "assert os.environ['PYTHONDONTWRITEBYTECODE'] == '1'"
    (tmp_path / "scripts" / "build.py").write_text(code, encoding="utf-8")
    before = signal.getsignal(signal.SIGINT)
    assert post_gen_project.build_layer()
    assert signal.getsignal(signal.SIGINT) == before
    assert post_gen_project.LATER not in post_gen_project.summary(GOOD, tmp_path, built=True)


def test_interrupted_build_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the build, which may tidy up; a second one is not in its way."""
    handlers = []

    def wait() -> int:
        handlers.append(signal.getsignal(signal.SIGINT))
        if len(handlers) == 1:
            raise KeyboardInterrupt
        return 130

    process = MagicMock()
    process.return_value.__enter__.return_value.wait = wait
    monkeypatch.setattr("subprocess.Popen", process)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        post_gen_project.build_layer()
    assert handlers == [signal.default_int_handler, signal.SIG_IGN]
    assert process.call_args.kwargs["stdin"] == subprocess.DEVNULL
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize(
    ("name", "start", "command"),
    [("orders-api", ".", "cd orders-api"), ("an API", ".", 'cd "an API"'), ("orders-api", "a/b/c", "cd {project}")],
)
def test_summary(name: str, start: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was created, and the next commands, with the shortest path from where the user is."""
    monkeypatch.setenv("PWD", str(tmp_path / start))
    project = tmp_path / name if start == "." else Path("/p") / name
    created = "Created orders-api: python3.13, arm64, sam, http_api, us-east-1."
    commands = [f"  {command.format(project=project)}", "  make test", "  make deploy"]
    assert post_gen_project.summary(GOOD, project, built=True) == [created, "Next:", *commands]
    later = "package/ is not built yet: run `python scripts/build.py layer` in the project, or `make layer`."
    assert post_gen_project.summary(GOOD, project, built=False) == [created, later, "Next:", *commands]
    with monkeypatch.context() as context:
        context.setattr("os.path.relpath", Mock(side_effect=ValueError("another drive")))
        assert post_gen_project.summary(GOOD, Path("/p/x"), built=True)[2] == "  cd /p/x"
    monkeypatch.delenv("PWD")
    assert post_gen_project.summary(GOOD, project, built=True)[2] == (
        f'  cd "{name}"' if " " in name else f"  cd {name}"
    )


def test_all_that_the_hook_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It removes the folder that has no files for this deployer, builds if asked, and says what there is."""
    build = Mock(return_value=True)
    monkeypatch.setattr(post_gen_project, "build_layer", build)
    project = tmp_path / "orders-api"
    (project / "stages").mkdir(parents=True)
    post_gen_project.main(GOOD, ["A warning."], project)
    said = post_gen_project.summary(GOOD, project, built=True)
    assert capsys.readouterr().out.splitlines() == ["A warning.", *said]
    assert not (project / "stages").exists()

    (project / "stages").mkdir()
    (project / "stages" / "dev.json").touch()
    post_gen_project.main(GOOD | {"build_layer": False}, [], project)
    assert capsys.readouterr().out.splitlines() == post_gen_project.summary(GOOD, project, built=False)
    assert (project / "stages" / "dev.json").exists()
    build.assert_called_once_with()

    build.side_effect = KeyboardInterrupt
    post_gen_project.main(GOOD, [], project)
    assert capsys.readouterr().out == f"Stopped: orders-api is complete, but {post_gen_project.LATER}\n"

    monkeypatch.setattr("tempfile.gettempdir", Mock(return_value=str(tmp_path.parent)))
    post_gen_project.main(GOOD | {"_commit": "abc"}, ["A warning."], project)
    assert capsys.readouterr().out == ""


def test_lines_on_any_console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In ASCII, at once; and nobody has to read them."""
    post_gen_project.say("B\u00fcro")
    assert capsys.readouterr().out == "B\\xfcro\n"
    stream = Mock()
    monkeypatch.setattr("sys.stdout", stream)
    post_gen_project.say("ready")
    stream.flush.assert_called_once_with()
    for error in (OSError, ValueError):
        monkeypatch.setattr("sys.stdout", Mock(write=Mock(side_effect=error), fileno=Mock(side_effect=error)))
        post_gen_project.say("nobody")
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:  # noqa: PTH123 - it has no path
        monkeypatch.setattr("sys.stdout", closed)
        post_gen_project.say("nobody")
        assert os.fstat(writer).st_rdev == Path(os.devnull).stat().st_rdev
        os.write(writer, b"for Python, which tries once more at exit")


def test_python_that_does_not_start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even that stops the hook."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert not post_gen_project.build_layer()
    reason = "build.py could not be started: [Errno 2] No such file or directory: '/nowhere/python'\n"
    assert capsys.readouterr().out == reason


def test_jinja_brings_values_alone() -> None:
    """The hook is plain Python but for the lines that bring in what Cookiecutter's process knows."""
    text = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    marked = [line.strip() for line in text.splitlines() if any(mark in line for mark in ("{{", "{%", "{#"))]
    assert marked == [
        'json.loads(r"""{{ cookiecutter | tojson }}"""),',
        'json.loads(r"""{{ cookiecutter | warnings | tojson }}"""),',
    ]


def test_hook_imports_only_the_standard_library() -> None:
    """It runs in whatever environment Cookiecutter was installed into."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import hooks.post_gen_project"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def rendered_hook(tmp_path: Path, **answers: object) -> subprocess.CompletedProcess[str]:
    """Render the hook as Cookiecutter does, and run it."""
    text = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    environment = StrictEnvironment(context={"cookiecutter": {"_extensions": CONTEXT["_extensions"]}})
    rendered = environment.from_string(text).render(cookiecutter=GOOD | {"build_layer": False} | answers)
    (tmp_path / "hook.py").write_text(rendered, encoding="utf-8")
    return subprocess.run([sys.executable, "hook.py"], cwd=tmp_path, capture_output=True, text=True)


def test_rendered_hook_reads_hostile_text(tmp_path: Path) -> None:
    """Text that would end a Python string is text."""
    hostile = '"""; raise SystemExit(9) # \\" \\\\ \' {{ 7*7 }} \U0001f600'
    result = rendered_hook(tmp_path, project_name=hostile, description=hostile)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Created orders-api: ")


def test_warning_comes_first(tmp_path: Path) -> None:
    """A region that the template does not know is said where it is seen."""
    result = rendered_hook(tmp_path, aws_region="eu-west-9")
    assert result.stdout.startswith("aws_region: 'eu-west-9' is not a region this template knows, ")
