"""The questions at a terminal: a bad answer is asked again at once, and Ctrl-C leaves nothing or a whole project."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from cookiecutter_fastapi_lambda.environment import ignore_interrupts
from tests import pictures
from tests.conftest import ROOT, Bake, files
from tests.machine import BIN, CI, interpreter
from tests.terminal import Terminal
from tests.test_updates import Git, change

Open = Callable[..., Terminal]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Return git and cruft, with a HOME of their own."""
    return Git(tmp_path / "home")


@pytest.fixture
def open_terminal(tmp_path: Path, git: Git) -> Iterator[Open]:
    """Return a function that runs a command in a terminal and in the folder `output`, wide enough for any line."""
    opened: list[Terminal] = []

    def open_terminal(*command: str | Path) -> Terminal:
        (tmp_path / "output").mkdir()
        environment = git.environment | {"COLUMNS": "250", "TERM": "xterm"}
        opened.append(Terminal([*command], tmp_path / "output", environment))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.close()


def type_defaults(terminal: Terminal, *defaults: str) -> None:
    """Press Enter at each question that offers a default."""
    for default in defaults:
        terminal.type("\n", after=f"({default}): ")


@pytest.mark.parametrize("program", ["cookiecutter", "cruft", "sam"])
def test_bad_answer_is_asked_again(
    program: str, clone: Path, git: Git, open_terminal: Open, tmp_path: Path, bake: Bake
) -> None:
    """At once, with the rule, and with an answer made of what was typed; then the project is the one that was meant."""
    git.commit(clone, "a version")
    commands = {"cookiecutter": [clone], "cruft": ["create", clone], "sam": ["init", "--location", clone]}
    terminal = open_terminal(BIN / program, *commands[program])
    terminal.type("x" * 81 + "\n", after="(Orders API): ")
    terminal.type("Calendar\n", after=f"project_name ({'x' * 60}): ")
    terminal.type("Team_Calendar\n", after="(calendar-api): ")
    terminal.type("email\n", after="project_slug (team-calendar): ")
    terminal.type("\n", after="project_slug (email-api): ")
    type_defaults(terminal, "A FastAPI service on AWS Lambda")
    terminal.type("eu_wset_3\n", after="(us-east-1): ")
    terminal.type("\n", after="aws_region (eu-west-3): ")
    terminal.type("Python3.12\n", after="(python3.13): ")
    terminal.type("3\n", after="Select runtime")
    terminal.type("2\n", after="(arm64): ")
    terminal.type("zip\n", after="(sam): ")
    type_defaults(terminal, "http_api", "none", "none", "n", "github")
    terminal.type("n\n", after="(y): ")
    type_defaults(terminal, "n")
    assert terminal.end() == 0, terminal.shown
    lines = terminal.shown.splitlines()
    assert (
        "project_slug: 'Team_Calendar' must be lower-case words joined by hyphens, the first one starting with a "
        "letter; for example 'team-calendar'." in lines
    )
    assert "aws_region: 'eu_wset_3' must be the code of a region, in lower case; for example " in terminal.shown
    assert "Traceback" not in terminal.shown
    project = files(tmp_path / "output" / "email-api")
    project.pop(".cruft.json", None)
    chosen = {"runtime": "python3.12", "architecture": "x86_64", "deployer": "zip", "aws_region": "eu-west-3"}
    assert project == files(bake(project_name="Calendar", project_slug="email-api", **chosen))


def test_answers_that_do_not_go_together(open_terminal: Open, tmp_path: Path, bake: Bake) -> None:
    """Either can be changed, and is asked for until they do."""
    terminal = open_terminal(BIN / "cookiecutter", ROOT)
    type_defaults(terminal, "Orders API", "orders-api", "A FastAPI service on AWS Lambda")
    terminal.type("eusc-de-east-1\n", after="(us-east-1): ")
    type_defaults(terminal, "python3.13", "arm64")
    terminal.type("2\n", after="(sam): ")
    terminal.type("2\n", after="2 - aws_region")
    terminal.type("ca-west-1\n", after="aws_region (us-east-1): ")
    terminal.type("3\n", after="(http_api): ")
    terminal.type("1\n", after="2 - aws_region")
    terminal.type("2\n", after="Select api")
    type_defaults(terminal, "none", "none", "n", "github")
    terminal.type("n\n", after="(y): ")
    type_defaults(terminal, "n")
    assert terminal.end() == 0, terminal.shown
    assert "\ndeployer=serverless and aws_region=eusc-de-east-1: osls does not know that region; " in terminal.shown
    assert "\napi=function_url and aws_region=ca-west-1: that region has no Function URLs; " in terminal.shown
    right = bake(deployer="serverless", aws_region="ca-west-1", api="rest_api")
    assert files(tmp_path / "output" / "orders-api") == files(right)


@pytest.mark.parametrize("slug", ["Orders_API", "../x"])
def test_nobody_is_asked_with_no_input(slug: str, open_terminal: Open, tmp_path: Path) -> None:
    """Also at a terminal."""
    terminal = open_terminal(BIN / "cookiecutter", ROOT, "--no-input", f"project_slug={slug}")
    assert terminal.end() == 1
    assert terminal.shown.startswith(f"project_slug: '{slug}' must be ")
    assert terminal.shown.endswith("\nNothing was written, because of project_slug.\n")
    assert not list((tmp_path / "output").iterdir())


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("question", ["(calendar-api): ", "project_slug (orders-api): "])
def test_stopped_at_a_question(question: str, key: str, open_terminal: Open, tmp_path: Path) -> None:
    """Nothing is left, and nothing but one word is said."""
    terminal = open_terminal(BIN / "cookiecutter", ROOT)
    terminal.type("Calendar\n", after="(Orders API): ")
    if question.startswith("project_slug"):
        terminal.type("Orders_API\n", after="(calendar-api): ")
    terminal.interrupt(key, after=question)
    assert terminal.end() == 1
    assert terminal.shown.endswith("Aborted!\n")
    assert "Traceback" not in terminal.shown
    assert not list((tmp_path / "output").iterdir())


def test_stopped_while_files_are_written(clone: Path, open_terminal: Open, tmp_path: Path, bake: Bake) -> None:
    """The project is whole."""
    filters = clone / "cookiecutter_fastapi_lambda" / "filters.py"
    change(filters, "def markdown(text: str) -> str:\n", "def markdown(text: str) -> str:\n    print('writing')\n")
    change(filters, "    text = re.sub", "    import time; time.sleep(0.5)\n    text = re.sub")
    terminal = open_terminal(BIN / "cookiecutter", clone, "--no-input", "build_layer=no")
    terminal.interrupt("\x03", after="writing")
    assert terminal.end() == 0, terminal.shown
    assert "Traceback" not in terminal.shown
    assert set(files(tmp_path / "output" / "orders-api")) == set(files(bake()))


def test_ctrl_c_after_the_command() -> None:
    """It is ignored until the command ends, and no longer: another one may follow in the same process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with click.Context(click.Command("cookiecutter")):
            ignore_interrupts()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_stopped_while_the_layer_is_built(clone: Path, open_terminal: Open, tmp_path: Path) -> None:
    """The project is whole, and one line says how to finish it."""
    build = clone / "{{cookiecutter.project_slug}}" / "scripts" / "build.py"
    build.write_text(
        "import time\ntry:\n    print('building', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n"
        "    time.sleep(1)\n    print('build.py has ended')\n    raise SystemExit(130)\n"
    )
    terminal = open_terminal(BIN / "cookiecutter", clone, "--no-input")
    terminal.interrupt("\x03", after="building")
    assert terminal.end() == 0, terminal.shown
    said = terminal.shown.partition("building\n")[2].removeprefix("^C")
    assert said == (
        "build.py has ended\nStopped: orders-api is complete, but package/ is not built yet: "
        "run `python scripts/build.py layer` in the project, or `make layer`.\n"
    )
    assert (tmp_path / "output" / "orders-api" / "README.md").exists()


def test_picture_is_what_a_terminal_shows(tmp_path: Path) -> None:
    """The one in README.md was drawn from these questions, and needs no other server; else run `make pictures`."""
    if interpreter("python3.13") is None:
        pytest.fail("no python3.13 here") if CI else pytest.skip("no python3.13 here; `uv python install 3.13`")
    picture = pictures.drawn(pictures.recorded(tmp_path))
    assert pictures.PICTURE.read_text(encoding="utf-8") == picture
    assert set(re.findall(r"https?://[^\s\"<]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert "docs/questions.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
