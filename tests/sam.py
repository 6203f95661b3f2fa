"""AWS SAM without AWS: the translation that CloudFormation would do, and cfn-lint on its result.

cfn-lint has not translated SAM templates since 1.54, so on one as it stands it overlooks most of what it knows.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.machine import BIN, UV, clean_environment, interpreter, links
from tests.parsers import read_yaml


def translate(template: Path, region: str) -> dict[str, Any]:
    """Return the plain CloudFormation template that a SAM template stands for.

    Local folders are replaced by S3 addresses first, as `sam package` does.

    Raises:
        samtranslator.model.exceptions.InvalidDocumentException: the template is not valid.
    """
    os.environ["AWS_DEFAULT_REGION"] = region
    # Imported late: it reads the region when it is imported.
    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    source = yaml_parse(template.read_text(encoding="utf-8"))
    for resource in source["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if isinstance(properties.get(name), str):
                properties[name] = f"s3://bucket/{properties[name].strip('/')}.zip"

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    return transform(source, {}, NoManagedPolicies())


def resolve(template: dict[str, Any], given: dict[str, object]) -> dict[str, Any]:
    """Return a template as CloudFormation reads it with these values of parameters: without conditions and `Fn::If`."""
    values = {name: each["Default"] for name, each in template.get("Parameters", {}).items()} | given
    nothing = {"Ref": "AWS::NoValue"}

    def holds(condition: dict[str, Any]) -> bool:
        ((kind, argument),) = condition.items()
        if kind == "Condition":
            return holds(template["Conditions"][argument])
        if kind == "Fn::Not":
            return not holds(argument[0])
        if kind == "Fn::And":
            return all(map(holds, argument))
        assert kind == "Fn::Equals", condition
        left, right = (str(replaced(each)) for each in argument)
        return left == right

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(replaced, value) if each != nothing]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"Fn::If"}:
            condition, yes, no = value["Fn::If"]
            return replaced(yes if holds(template["Conditions"][condition]) else no)
        if value.keys() == {"Ref"} and value["Ref"] in values:
            return values[value["Ref"]]
        left = {name: replaced(each) for name, each in value.items()}
        return {name: each for name, each in left.items() if each != nothing}

    def kept(named: dict[str, Any]) -> dict[str, Any]:
        conditions = template.get("Conditions", {})
        return {
            name: replaced(each)
            for name, each in named.items()
            if "Condition" not in each or holds(conditions[each["Condition"]])
        }

    return template | {"Resources": kept(template["Resources"]), "Outputs": kept(template["Outputs"])}


def cfn_lint(template: dict[str, Any], region: str) -> list[str]:
    """Return what cfn-lint finds in a CloudFormation template, errors and warnings, as "E3030 message"."""
    from cfnlint.api import ManualArgs, lint

    findings = lint(json.dumps(template, indent=1), config=ManualArgs(regions=[region]))
    return [f"{finding.rule.id} {finding.message}" for finding in findings]


def sam(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the SAM CLI in a project, and return what it said; without credentials unless they are given."""
    with tempfile.TemporaryDirectory() as home:
        commands = links(Path(home) / "bin", uv=UV, python3=interpreter("python3.13"))
        settings = {"UV_PYTHON_DOWNLOADS": "never", "AWS_EC2_METADATA_DISABLED": "true"}
        return subprocess.run(
            [BIN / "sam", *arguments],
            cwd=project,
            env=clean_environment(Path(home), commands, **settings | environment),
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )


def resources(project: Path) -> dict[str, Any]:
    """Return the resources of a project's template.yaml, as they are written."""
    return read_yaml((project / "template.yaml").read_text(encoding="utf-8"))["Resources"]
