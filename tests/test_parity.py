"""One service, whichever deployer: what each makes on AWS, property by property."""

import re
import shutil
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import ROOT, Bake
from tests.facts import APIS, DEPLOYERS, STAGES, Table, template_facts
from tests.sam import translate

FEATURES = [
    *("runtime", "architecture", "handler", "memory", "timeout", "layer", "environment", "tracing", "log format"),
    *("role", "boundary", "trust", "permissions", "alias", "outputs", "HTTP front end", "concurrency", "limits"),
    *("logs", "access log", "alarms", "dashboard", "table", "secret"),
]


@pytest.mark.parametrize("api", [*APIS, "data"])
@pytest.mark.parametrize("feature", FEATURES)
def test_same_whichever_deployer(feature: str, api: str, table: Table) -> None:
    """What SAM makes, the others make too."""
    for deployer, stage in product(DEPLOYERS[1:], STAGES):
        assert table[deployer, api, stage][feature] == table["sam", api, stage][feature], (deployer, stage)


def test_every_fact_is_compared(table: Table) -> None:
    """No feature is read and forgotten."""
    for facts in table.values():
        assert set(facts) == set(FEATURES)


def test_what_everything_should_be(table: Table) -> None:
    """The same thing three times could be wrong three times."""
    for (_, api, stage), facts in table.items():
        assert facts["permissions"] == {
            "function_url": [
                ("*", "lambda:InvokeFunction", "by way of the URL"),
                ("*", "lambda:InvokeFunctionUrl", "URL of type NONE"),
            ]
        }.get(api, [("apigateway.amazonaws.com", "lambda:InvokeFunction", "of this API")])
        assert (facts["handler"], facts["tracing"], facts["alias"]) == ("main.handler", "Active", False)
        assert (
            facts["HTTP front end"]
            == {
                "http_api": (
                    "HTTP API",
                    "orders-api-dev",
                    ["ANY /", "ANY /{proxy+}"],
                    [("$default", True)],
                    {"2.0"},
                    False,
                ),
                "rest_api": (
                    "REST API",
                    "orders-api-dev",
                    ["ANY /", "ANY /{proxy+}"],
                    stage,
                    ["*/*"],
                    ["REGIONAL"],
                    True,
                    False,
                ),
                "function_url": ("Function URL", "NONE", "BUFFERED"),
            }[api.replace("data", "http_api")]
        )


def test_page_lists_the_deployers(table: Table, bake: Bake) -> None:
    """The table in docs/questions.md, and what it says is the same, are so."""
    page = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    lines = page[page.index("| `deployer=` |") :].partition("\n\n")[0].splitlines()
    rows = {cells[1]: cells[2:5] for cells in ([cell.strip() for cell in line.split("|")] for line in lines)}
    assert rows["`deployer=`"] == [f"`{deployer}`" for deployer in DEPLOYERS]
    for number, deployer in enumerate(DEPLOYERS):
        said = {row: cells[number] for row, cells in rows.items()}
        project = bake(deployer=deployer)
        assert [file for file in re.findall("`(.*?)`", said["files"]) if not (project / file).is_file()] == []
        own = (project / "README.md").read_text(encoding="utf-8")
        assert said["deploy"].strip("`") in own
        assert said["HTTP front end"] == ", ".join(table[deployer, api, "dev"]["HTTP front end"][0] for api in APIS)
        for row in ("another stage", "roll back"):
            assert all(word in own for word in re.findall("`(.*?)`", said[row])), (deployer, row)
    same = re.search(r"^All three deploy the same: (.*?)\.", page, re.MULTILINE | re.DOTALL)[1]
    features = re.split(r",\s+|\s+and\s+", same)
    # tests/test_worker_stack.py compares the worker.
    assert set(features) == set(FEATURES) - {"alias", "outputs", "trust"} | {"worker"}


def test_planted_difference_is_found(bake: Bake, tmp_path: Path) -> None:
    """The comparison sees what is compared."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    path = project / "template.yaml"
    right = template_facts(translate(path, "us-east-1"), "http_api")
    faults = {
        "memory": ("!Ref MemorySize", "128"),
        "logs": ("Default: 7", "Default: 14"),
        "HTTP front end": ("Path: /, Method: ANY", "Path: /, Method: GET"),
        "role": ("logs:PutLogEvents", "logs:CreateLogGroup"),
        "alarms": ("Period: 60", "Period: 120"),
        "dashboard": ("Cold starts", "Starts"),
        "limits": ("ThrottlingBurstLimit: !Ref BurstLimit", "ThrottlingBurstLimit: 1"),
        "access log": ("$context.path", "$context.domainName"),
    }
    text = path.read_text(encoding="utf-8")
    for feature, (old, new) in faults.items():
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        wrong = template_facts(translate(path, "us-east-1"), "http_api")
        assert {name for name in right if right[name] != wrong[name]} == {feature}
