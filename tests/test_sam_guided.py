"""`sam deploy --guided` as a newcomer answers it at a terminal, and the deployments after it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, Bake
from tests.machine import BIN, UV, clean_environment, interpreter, links
from tests.ministack import Ministack
from tests.parsers import read_yaml
from tests.terminal import Terminal
from tests.wheels import ask_for, make_wheel

STACK, ORIGIN = "guided-by-hand", "https://shop.example.com"
QUESTION = r"`(.+) has no authentication\. Is this okay\?`(, which it asks twice)?"


def questions(project: Path) -> list[str]:
    """Return the questions that docs/deploy.md says to answer with `y`, in the order in which they come up."""
    resource, twice = re.search(QUESTION, (project / "docs" / "deploy.md").read_text(encoding="utf-8")).groups()
    return [f"{resource} has no authentication. Is this okay?"] * (2 if twice else 1)


# The SAM CLI calls deprecated functions of its own libraries.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("api", CONTEXT["api"])
def test_questions_are_those_of_the_page(api: str, bake: Bake) -> None:
    """The SAM CLI asks about each event and Function URL without authentication, and ends unless the answer is yes."""
    from samcli.commands.deploy.auth_utils import auth_per_resource
    from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

    project = bake(api=api)
    stacks, _ = SamLocalStackProvider.get_stacks(str(project / "template.yaml"))
    asked = [resource for resource, authenticated in auth_per_resource(stacks) if not authenticated]
    assert [f"{resource} has no authentication. Is this okay?" for resource in asked] == questions(project)


@pytest.mark.deployment
def test_answers_hold(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """What docs/deploy.md says to answer deploys; the next deployment asks nothing, and prints the address."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    (project / "app" / "requirements.txt").write_text(make_wheel(tmp_path / "wheels", "small"), encoding="utf-8")
    ask_for(project, "small")
    (tmp_path / "uv.toml").write_text('no-index = true\nfind-links = ["wheels"]\n', encoding="utf-8")
    # As `make install` makes it; here no index has the packages.
    (project / ".venv" / "bin").mkdir(parents=True)
    python = project / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -B "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (project / ".venv" / "installed").touch()
    commands = links(tmp_path / "bin", uv=UV, python3=interpreter("python3.13"), sam=BIN / "sam")
    settings = {
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"),
        "UV_PYTHON_DOWNLOADS": "never",
        "SAM_CLI_POLL_DELAY": "0.1",
    }
    environment = clean_environment(tmp_path, commands, **settings | ministack.environment)

    def run(*command: str) -> str:
        how = {"capture_output": True, "encoding": "utf-8", "stdin": subprocess.DEVNULL}
        result = subprocess.run(command, cwd=project, env=environment, **how)
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    def parameters() -> dict[str, str]:
        (stack,) = ministack.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

    template = read_yaml((project / "template.yaml").read_text(encoding="utf-8"))
    chosen = {name: str(each["Default"]) for name, each in template["Parameters"].items()}
    chosen |= {"AllowedOrigins": ORIGIN, "LogRetentionInDays": "14"}
    given = {"Stack Name": STACK, "Parameter AllowedOrigins": ORIGIN, "Parameter LogRetentionInDays": "14"}
    asked = ["Stack Name", "AWS Region", *(f"Parameter {name}" for name in chosen), "Confirm changes before deploy"]
    asked += ["Allow SAM CLI IAM role creation", "Disable rollback", *questions(project)]
    asked += ["Save arguments to configuration file", "SAM configuration file", "SAM configuration environment"]
    run("sam", "build")
    before = (project / "samconfig.toml").read_bytes()
    terminal = Terminal([BIN / "sam", "deploy", "--guided"], project, environment)
    for words in asked[: asked.index(questions(project)[0]) + 1]:
        terminal.type("\n", after=words)
    assert terminal.end() == 1
    assert "Security Constraints Not Satisfied!" in terminal.shown
    assert (project / "samconfig.toml").read_bytes() == before

    terminal = Terminal([BIN / "sam", "deploy", "--guided"], project, environment)
    for words in asked:
        terminal.type(given.get(words, "y" if "authentication" in words else "") + "\n", after=words)
    assert terminal.end() == 0, terminal.shown
    assert parameters() == chosen

    printed = run("make", "deploy")
    assert f"No changes to deploy. Stack {STACK} is up to date" in printed
    assert re.search(r"^ApiUrl: (\S+)$", printed, re.MULTILINE)[1] in terminal.shown

    # An option on the command line is for one deployment, as docs/develop.md says.
    run("sam", "deploy", "--parameter-overrides", "Docs=off")
    assert parameters() == chosen | {"Docs": "off"}
    run("sam", "deploy")
    assert parameters() == chosen
