"""What README.md and the pages in docs/ of a project say: commands, links, settings, and nothing of other answers."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from tests.conftest import ROOT, VARIANTS, Bake, Venv
from tests.machine import ARCHITECTURE, free_port, interpreter
from tests.parsers import anchors, prose, read_yaml

PYTHON = interpreter("python3.13")
# What make does in another way: `sam build` runs make itself, `make run` changes the folder and names the port, and the
# coverage of a few tests says nothing.
WITHOUT_MAKE = {
    "sam build": "python scripts/build.py sam",
    "uvicorn main:app --reload --host 127.0.0.1 --port 8000": (
        "uvicorn main:app --app-dir app --reload --reload-dir app"
    ),
    "python scripts/local.py --port 8000": "python scripts/local.py",
    "coverage run -m pytest -k items": "pytest -k items",
}
DEPLOYERS = {
    "sam": ["samconfig", "SAM CLI", "sam deploy"],
    "serverless": ["osls", "serverless.yml", "npx"],
    "zip": ["deploy.py", "stages/", "AWS Console"],
}


def pages(project: Path) -> dict[str, str]:
    """Return what people read in a project, by its path."""
    found = [project / "README.md", *sorted((project / "docs").glob("*.md"))]
    return {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in found}


def table_of(project: Path) -> list[tuple[str, list[str], list[str]]]:
    """Return the rows of the table of commands without its head."""
    page = pages(project)["README.md"].partition("## Commands\n")[2]
    rows = []
    for line in page.partition("|---|---|---|\n")[2].partition("\n\n")[0].splitlines():
        first, with_make, without = (cell.strip() for cell in line.strip("|").split("|"))
        rows.append((first, re.findall("`(.+?)`", with_make), re.findall("`(.+?)`", without)))
    return rows


def test_short_and_whole(variant: Path) -> None:
    """The README is short, its tree fits into the page, and each link leads to a file or a heading."""
    read = pages(variant)
    lines = read["README.md"].splitlines()
    assert len(lines) < 220
    tree = read["README.md"].partition("## Where things are\n")[2].partition("\n```\n\n")[0]
    assert [line for line in tree.splitlines() if len(line) > 92] == []
    for name, page in read.items():
        for target, anchor in re.findall(r"(?<!\\)\]\((?!https://)([^)#]*)(?:#([^)]*))?\)", prose(page)):
            path = Path(os.path.normpath(variant / Path(name).parent / target)) if target else variant / name
            assert path.is_file(), (name, target)
            assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), (name, target, anchor)
        named = re.findall(r"`((?:app|docs|scripts|tests|events|stages)/[\w./-]+\.\w+)`", page)
        assert [path for path in named if not (variant / path).is_file()] == [], name


@pytest.mark.parametrize("deployer", DEPLOYERS)
def test_only_the_chosen_deployer(deployer: str, bake: Bake) -> None:
    """No word of the others, nor of GitHub's workflows, a table, a worker or a secret that nobody asked for."""
    text = "\n".join(pages(bake(deployer=deployer, ci="none")).values())
    for other, words in DEPLOYERS.items():
        assert [word for word in words if (word in text) != (other == deployer)] == [], other
    assert not re.search(r"GitHub Actions|github/workflows|DynamoDB:|TABLE_NAME|QUEUE_URL|SECRET_ARN|worker\.py", text)


# Without what `make test` hands on to other makes, such as ARGS.
OUTSIDE_MAKE = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def without_make(project: Path, command: str) -> list[str]:
    """Return what a command of make would run, as it is typed in the environment of the project."""
    dry = [*shlex.split(command), "--dry-run", "PYTHON=python"]
    printed = subprocess.run(
        dry, cwd=project, env=OUTSIDE_MAKE, capture_output=True, encoding="utf-8", check=True
    ).stdout
    typed = []
    for line in printed.splitlines():
        line = (
            line.replace("cd app && ../.venv", ".venv")
            .replace(".venv/bin/python", "python")
            .replace("python -B", "python")
        )
        line = " ".join(line.replace("python -m ", "").replace(" --no-cache", "").split())
        if not line.startswith("touch "):
            typed.append(WITHOUT_MAKE.get(line, line))
    return typed


@pytest.mark.parametrize("answers", [{}, {"storage": "dynamodb"}, {"secret": "true"}, {"events": "sqs"}])
def test_what_needs_aws(answers: dict[str, str], bake: Bake) -> None:
    """Where a route needs AWS, the first block has it in memory, and the steps by hand name what they do not make."""
    read = pages(bake(deployer="zip", **answers))
    first = read["README.md"].partition("\n```\n")[2].partition("\n```\n")[0]
    served = [line.partition("#")[0].strip() for line in first.splitlines() if line.startswith("make run")]
    assert served == ["make run AWS=local" if answers else "make run"]
    parts = {"storage": "the table", "secret": "the secret", "events": "the worker with its queue"}
    made = [parts[question] for question in answers]
    assert re.findall(r"the other two ways also make (.+), with the permissions\.", read["docs/deploy.md"]) == made


@pytest.mark.parametrize("name", ["default", "serverless", "zip", "data-worker"])
def test_commands_are_those_of_make(name: str, bake: Bake, tmp_path: Path) -> None:
    """Each target has its row, in the groups and the order of `make`, and the right column runs what make runs."""
    project = tmp_path / "project"
    shutil.copytree(bake(**VARIANTS[name]), project)
    run = subprocess.run(["make"], cwd=project, env=OUTSIDE_MAKE, capture_output=True, encoding="utf-8", check=True)
    listed = run.stdout
    targets = [line.split()[1].rstrip(":") if line[0] == " " else line for line in listed.splitlines()]
    told, by_target = [], {}
    for first, with_make, without in table_of(project):
        target = with_make[0].split()[1] if with_make else first.strip("*")
        told += [] if target in told else [target]
        by_target.setdefault(target, without)
        if target == "ci":
            parts = [command for part in ("lint", "test", "check", "layer") for command in by_target.get(part, [])]
            without = [*parts, "python scripts/build.py layer", *without]
        if with_make and (target, name) != ("delete", "serverless"):  # there make asks before
            ran = without_make(project, with_make[0])
            assert (ran[:-1] if "ARGS=" in with_make[0] else ran) == without
        if target == "install":
            for done in (".venv/installed", "node_modules/.package-lock.json"):
                (project / done).parent.mkdir()
                (project / done).touch()
    assert ["help", *told] == targets


def test_commands_are_valid_in_powershell(bake: Bake) -> None:
    """The right column and the blocks of commands are read by a parser of PowerShell, as one command without `&&`."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))

    def commands_in(text: str) -> int | None:
        tree = parser.parse(text.encode()).root_node
        if tree.has_error or "&&" in text:
            return None
        found, nodes = 0, [tree]
        while nodes:
            node = nodes.pop()
            found += node.type == "command"
            nodes += node.children
        return found

    for name in ("default", "serverless", "zip", "data-worker"):
        project = bake(**VARIANTS[name])
        typed = [command for _, _, without in table_of(project) for command in without]
        readme = pages(project)["README.md"]
        typed += re.findall(r"`(\.venv\\\S+|uvicorn main:app .+? 8080|pip install .+?|python scripts/.+?)`", readme)
        assert len(typed) > 20
        assert [command for command in typed if commands_in(command) != 1] == []
        page = pages(project)["docs/develop.md"]
        assert commands_in(re.search(r"`(\$env:.+?)`", page)[1]) == 0  # it sets a variable
    assert [commands_in(text) for text in ("a 'b", "ALLOWED=x make run", "npm ci && npx osls deploy")][::2] == [
        None
    ] * 2


@pytest.mark.parametrize("name", ["default", "serverless", "zip-data", "data-worker", "function_url"])
def test_configuration_is_that_of_the_code(name: str, bake: Bake) -> None:
    """The table has each variable that settings.py reads, with the parameter that sets it, and its default."""
    project = bake(**VARIANTS[name])
    table = pages(project)["README.md"].partition("| parameter | variable |")[2].partition("\n\n")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    settings = (project / "app" / "settings.py").read_text(encoding="utf-8")
    assert sorted(row[1] for row in rows) == sorted(re.findall(r'environ\.get\("(\w+)"', settings))
    template = project / ("serverless.yml" if name == "serverless" else "template.yaml")
    text = template.read_text(encoding="utf-8")
    parsed = read_yaml(text)
    parameters = (parsed["resources"] if name == "serverless" else parsed)["Parameters"]
    for parameter, variable, default, _ in rows:
        stack = parameter[0].upper() + parameter[1:]
        value = re.search(rf"^ +{variable}: (.+)$", text, re.MULTILINE)
        if parameter == "set by the stack":
            assert default == "" and not any(f"!Ref {each}\n" in f"{value[1]}\n" for each in parameters)
            continue
        shown = str(parameters[stack]["Default"])
        shown = re.sub(r'^\$\{param:\w+, [\'"]?(.*?)[\'"]?\}$', r"\1", shown)
        assert (shown or "none") == default, parameter
        if variable == "AWS_LAMBDA_LOG_LEVEL":
            assert re.search(rf"ApplicationLogLevel: !Ref {stack}\b", text)
        else:
            assert value[1] == f"!Ref {stack}"


def test_cold_start_is_the_measured_one(bake: Bake) -> None:
    """The figure that a project quotes is that of the benchmark."""
    measured = json.loads((ROOT / "benchmarks" / "cold_start.json").read_text(encoding="utf-8"))["medians"]
    quoted = re.search(r"of the example takes ([\d.]+) s in Lambda's emulator", pages(bake())["README.md"])[1]
    assert float(quoted) == round(measured["this project"]["init+first"] / 1000, 1)


@pytest.mark.parametrize("use", ["without make", "in a container"])
def test_uvicorn_as_the_readme_starts_it(use: str, bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """The command serves the application from the folder of the project, and loads it again after a change."""
    project = tmp_path / "project"
    shutil.copytree(bake(architecture=ARCHITECTURE), project)
    readme, port = pages(project)["README.md"], free_port()
    if use == "without make":
        command = f"{re.search('`(uvicorn .+?--reload.*?)`', readme)[1]} --port {port}"
    else:
        command = re.search("`(uvicorn .+? 8080)`", readme)[1]
        command = command.replace("8080", str(port)).replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - what it replaces
    venv = project_venv(project, PYTHON)
    run = subprocess.Popen(
        [venv / "bin" / "python", "-B", "-m", *command.split()],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def wait_for(text: str, path: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:  # noqa: S310
                    if text in response.read().decode():
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{path} has no {text!r}")

    try:
        wait_for('"ok"', "/health")
        if use == "without make":
            main = project / "app" / "main.py"
            main.write_text(main.read_text(encoding="utf-8").replace('"status": "ok"', '"status": "new"'), "utf-8")
            wait_for('"new"', "/health")
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait(10)
