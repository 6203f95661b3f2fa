"""The diagram in a project's README: Mermaid can read it, and it shows what the answers make."""

import json
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
from filelock import FileLock
from jinja2 import Environment, FileSystemLoader

from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake
from tests.machine import CACHE, NODE, npm_ci
from tests.test_rules import GOOD

ENVIRONMENT = Environment(  # noqa: S701 - it renders no HTML
    extensions=CONTEXT["_extensions"], loader=FileSystemLoader(ROOT / "templates"), **CONTEXT["_jinja2_env_vars"]
)
# What has a box of its own, and the resources that it stands for.
BOXES = {
    "API Gateway HTTP API": "HttpApi",
    "API Gateway REST API": "RestApi",
    "Function URL": "ApiFunctionUrl",
    "ApiFunction": "ApiFunction",
    "Table": "Table",
    "Secret": "Secret",
    "WorkQueue": "WorkQueue",
    "WorkerFunction": "WorkerFunction",
    "IdempotencyTable": "IdempotencyTable",
    "DeadLetterQueue": "DeadLetterQueue",
    "Bucket": "Bucket",
    "UploadRule": "UploadRule",
    "Topic": "Topic",
    "Schedule": "Schedule",
    "AlarmTopic": "AlarmTopic",
}


@pytest.fixture(scope="module")
def mermaid() -> Path:
    """Return a folder in which Mermaid is installed, and the script that reads diagrams; it is kept."""
    source, target = ROOT / "tests" / "mermaid", CACHE / "mermaid"
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        lock = (source / "package-lock.json").read_text(encoding="utf-8")
        done = target / "done"
        if not done.exists() or done.read_text(encoding="utf-8") != lock:
            shutil.copytree(source, target, dirs_exist_ok=True)
            npm_ci(target)
            done.write_text(lock, encoding="utf-8")
        shutil.copy(source / "parse.mjs", target)
    return target


def faults(mermaid: Path, diagrams: list[str]) -> list[str]:
    """Return what is wrong with each diagram; an empty text if Mermaid can read it."""
    command = [NODE, "parse.mjs"]
    result = subprocess.run(
        command, cwd=mermaid, input=json.dumps(diagrams), capture_output=True, encoding="utf-8", check=True
    )
    return [str(fault) for fault in json.loads(result.stdout)]


def test_mermaid_reads_each_diagram(mermaid: Path) -> None:
    """Every set of answers has a valid one, with a line for each resource; one that is broken is noticed."""
    names = ("api", "storage", "events", "secret")
    diagrams = []
    for answers in product(*(CONTEXT[name] for name in names[:3]), (False, True)):
        context = GOOD | dict(zip(names, answers, strict=True))
        diagrams.append(ENVIRONMENT.get_template("diagram.mmd").render(cookiecutter=context))
    assert len(set(diagrams)) == 3 * 2 * 5 * 2
    assert faults(mermaid, diagrams) == [""] * len(diagrams)
    broken = faults(mermaid, [diagrams[0].replace("[ApiFunction]", "[ApiFunction", 1), "flowchart LR\n  a --> "])
    assert all("Parse error" in fault for fault in broken)


@pytest.mark.parametrize("name", ["default", "function_url", "rest_api", "data-worker", "worker", "zip-data"])
def test_diagram_shows_what_is_made(name: str, bake: Bake) -> None:
    """Each box is a resource of the template, and each resource that has one is there."""
    project = bake(**VARIANTS[name])
    readme = (project / "README.md").read_text(encoding="utf-8")
    (diagram,) = re.findall(r"^```mermaid\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    shown = set(re.findall(r"(?<=[\[( |:])(?:API Gateway \w+ API|Function URL|\w+)(?=[\])|])", diagram)) & set(BOXES)
    template = (project / "template.yaml").read_text(encoding="utf-8")
    made = set(re.findall(r"^  (\w+):\n    Type:", template, re.MULTILINE))
    made |= {"ApiFunctionUrl"} if "FunctionUrlConfig:" in template else set()
    assert {BOXES[box] for box in shown} == made & set(BOXES.values())
