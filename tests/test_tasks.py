"""What docs/data.md and docs/worker.md say to do for a field and a second queue, done as they say."""

import json
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from tests.check import check, prepare
from tests.conftest import VARIANTS, Bake, Venv
from tests.machine import interpreter

PYTHON = interpreter("python3.13")
# An item that was stored before the field was added, and one after it.
TEST = """
import pytest
from fastapi.testclient import TestClient

import clients
import items
import store
from conftest import empty_table


@pytest.mark.usefixtures("empty_table")
def test_colour(client: TestClient) -> None:
    old = items.Item(name="A lamp", price=1).model_dump(exclude={"colour"})
    clients.client("dynamodb").put_item(TableName="table", Item={"kind": {"S": "item"}} | store.to_attributes(old))
    assert client.get(f"/items/{old['id']}").json()["colour"] == "white"
    green = client.put(f"/items/{old['id']}", json={"name": "A lamp", "price": 1, "colour": "green"})
    assert (green.status_code, green.json()["colour"]) == (200, "green")
    assert client.get("/items").json()["items"] == [green.json()]
"""
READ = "import json, local; found = local.read_resources(); made = local.handlers(found)"
READ += "; print(json.dumps([made, sorted(local.environment(found, dict.fromkeys(made, '')))]))"


def blocks(page: Path) -> list[str]:
    """Return the blocks of code of a page."""
    return re.findall(r"^```(?:python|yaml)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def change(path: Path, *changes: tuple[str, str]) -> None:
    """Replace texts in a file, each wherever it is."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["default", "data", "worker", "data-worker", "serverless-data"])
def test_costs_add_up(name: str, bake: Bake) -> None:
    """What README.md says that a stage costs is the sum of the rows in docs/operate.md, of the same month."""
    project = bake(**VARIANTS[name])
    readme, operate = ((project / page).read_text(encoding="utf-8") for page in ("README.md", "docs/operate.md"))
    table = operate[operate.index("## Costs") :].partition("\n| | a month |\n")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ")[1] for line in table.splitlines()[1:]]
    costs = [re.findall(r"\$([\d.]+)", row) for row in rows if not row.startswith("less than")]
    least, most = (sum(Decimal(cost[end]) for cost in costs) for end in (0, -1))
    low, high, when = re.search(r"costs \$([\d.]+) to \$([\d.]+) a month, as of (\w+ \d+)", readme).groups()
    assert (Decimal(low), Decimal(high)) == (least, most)
    others = [project / "docs" / name for name in ("data.md", "worker.md")]
    pages = [operate, *(path.read_text(encoding="utf-8") for path in others if path.exists())]
    assert all(f"us-east-1 in {when}" in " ".join(page.split()) for page in pages)


def test_add_a_field(bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """Items that were stored before have its default, new ones what a client sends, and the other tests still pass."""
    project = tmp_path / "project"
    shutil.copytree(bake(storage="dynamodb"), project)
    field, *_ = blocks(project / "docs" / "data.md")
    change(project / "app" / "items.py", ("    price: Price\n", f"    price: Price\n{indent(field, '    ')}"))
    (project / "tests" / "test_colour.py").write_text(TEST, encoding="utf-8")
    command = [project_venv(project, PYTHON) / "bin" / "python", "-B", "-m", "pytest", "-q"]
    result = subprocess.run(
        [*command, "tests/test_colour.py", "tests/test_items.py", "tests/test_store.py"],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.deployment  # make check runs three times
@pytest.mark.parametrize("deployer", ["zip", pytest.param("serverless", marks=pytest.mark.long)])
def test_add_a_second_queue(deployer: str, bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """`make check` finds nothing, both queues have the worker when AWS is in memory, and the API knows the new one."""
    project = prepare(bake(events="sqs", deployer=deployer), tmp_path / "project")
    page = " ".join((project / "docs" / "worker.md").read_text(encoding="utf-8").split())
    (queue,) = blocks(project / "docs" / "worker.md")
    path = project / ("serverless.yml" if deployer == "serverless" else "template.yaml")
    before = " " * (4 if deployer == "serverless" else 2)
    both, old = "Resource: [!GetAtt WorkQueue.Arn, !GetAtt SlowQueue.Arn]", "Resource: !GetAtt WorkQueue.Arn\n"
    variable = "SLOW_QUEUE_URL: !Ref SlowQueue"
    assert all(f"`{text}`" in page for text in (both, variable))
    assert path.read_text(encoding="utf-8").count(old) == 2
    arn = re.search(r'(!Sub "arn:.*?)-work"\]', path.read_text(encoding="utf-8"))[1]
    space = re.search(r"^( +)QUEUE_URL:", path.read_text(encoding="utf-8"), re.MULTILINE)[1]
    change(
        path,
        (f'{arn}-work"]', f'{arn}-work", {arn}-slow"]'),
        (old, f"{both}\n"),
        ("QUEUE_URL: !Ref WorkQueue\n", f"QUEUE_URL: !Ref WorkQueue\n{space}{variable}\n"),
        (f"{before}WorkQueuePolicy:\n", f"{indent(queue, before)}\n{before}WorkQueuePolicy:\n"),
    )
    assert check(project) == (0, ["make check: nothing found"])
    command = [project_venv(project, PYTHON) / "bin" / "python", "-B", "-c", READ]
    result = subprocess.run(command, cwd=project / "scripts", capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    found: Any = json.loads(result.stdout)
    assert found == [dict.fromkeys(("WorkQueue", "SlowQueue"), "worker.handler"), ["QUEUE_URL", "SLOW_QUEUE_URL"]]
    change(
        path, ("MaximumConcurrency: 2}", "MaximumConcurrency: 1}"), ("VisibilityTimeout: 360", "VisibilityTimeout: 30")
    )
    code, lines = check(project)
    found = {tuple(line.split(": ")[1:3]) for line in lines}
    assert (code, found >= {("SlowMapping", "E3034"), ("SlowQueue", "E3505")}) == (1, True), lines
