"""findings.py, which `make check` runs: each rule, and how what tools and rules find becomes lines."""

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from tests.conftest import Bake


@pytest.fixture(scope="module")
def module(bake: Bake) -> ModuleType:
    """Return findings.py of a project, as a module."""
    scripts = str(bake(deployer="zip") / "scripts")
    sys.path.insert(0, scripts)
    found = importlib.import_module("findings")
    sys.path.remove(scripts)
    return found


def made(**resources: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a template with these resources: type without AWS::, and properties."""
    types = {name: (f"AWS::{kind}", properties) for name, (kind, properties) in resources.items()}
    return {"Resources": {name: {"Type": kind, "Properties": each} for name, (kind, each) in types.items()}}


def test_read(module: ModuleType, tmp_path: Path) -> None:
    """The short forms of functions are read like the long ones; what is no YAML is said, with its line."""
    path = tmp_path / "it.yaml"
    path.write_text("A: !Sub b\nB: [!Ref c]\n", encoding="utf-8")
    read = module.read(path)
    assert read == {"A": {"Fn::Sub": "b"}, "B": [{"Ref": "c"}]}
    assert type(read) is dict
    path.write_text("A: b\nA: c\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^it\.yaml: line 1: Duplicate found .A. \(line 1\)$"):
        module.read(path)


CONDITIONS = {
    "Same": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
    "Other": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
    "Five": {"Fn::Equals": [{"Ref": "Size"}, "5"]},
    "Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
    "Empty": {"Fn::Equals": [{"Ref": "None"}, ""]},
    "Named": {"Condition": "Same"},
    "Not": {"Fn::Not": [{"Condition": "Same"}]},
    "Truly": {"Fn::Not": [{"Condition": "Other"}]},
    "Both": {"Fn::And": [{"Condition": "Same"}, {"Condition": "Other"}]},
    "All": {"Fn::And": [{"Condition": "Same"}, {"Condition": "Five"}]},
    "One": {"Fn::Or": [{"Condition": "Other"}, {"Condition": "Same"}]},
    "None": {"Fn::Or": [{"Condition": "Other"}, {"Condition": "Other"}]},
}
HOLD = {"Same", "Five", "Here", "Empty", "Named", "Truly", "All", "One"}


def test_resolve(module: ModuleType) -> None:
    """Parameters have their defaults, numbers as numbers; what a condition excludes is left out."""
    nothing = {"Ref": "AWS::NoValue"}
    properties = {
        "Size": {"Ref": "Size"},
        "Stage": [{"Ref": "Stage"}, {"Ref": "Other"}, nothing],
        "Gone": nothing,
        "Chosen": {"Fn::If": ["Same", {"Ref": "Text"}, "b"]},
        "Other": {"Fn::If": ["Other", "a", [{"Ref": "AWS::Region"}]]},
        "Left": {"Fn::If": ["Other", "a", nothing]},
        "Deep": {"Fn::Sub": {"Ref": "Stage"}, "Ref": "Stage"},
    }
    template = {
        "Description": "it",
        "Parameters": {
            "Stage": {"Type": "String", "Default": "dev"},
            "Size": {"Type": "Number", "Default": "5"},
            "Text": {"Type": "String", "Default": "7"},
            "None": {"Type": "String"},
        },
        "Conditions": CONDITIONS,
        "Resources": {"It": {"Type": "A", "Properties": properties}}
        | {name: {"Type": name, "Condition": name} for name in CONDITIONS},
        "Outputs": {"No": {"Condition": "Not", "Value": 1}},
    }
    resolved = {
        "Size": 5,
        "Stage": ["dev", {"Ref": "Other"}],
        "Chosen": "7",
        "Other": ["eu-west-1"],
        "Deep": {"Fn::Sub": "dev", "Ref": "Stage"},
    }
    assert module.resolve(template, "eu-west-1") == {
        "Description": "it",
        "Parameters": template["Parameters"],
        "Resources": {"It": {"Type": "A", "Properties": resolved}} | {name: {"Type": name} for name in HOLD},
    }
    assert module.resolve({"Outputs": {"A": {"Value": {"Ref": "AWS::Region"}}}}, "a") == {
        "Outputs": {"A": {"Value": "a"}}
    }


LOGS_FOR_EVER = "Lambda makes a log group that keeps its logs for ever; set LoggingConfig.LogGroup"
ALLOW = {"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": "arn"}
UNNAMED = "allows actions that the template does not name; "
POWERS = ["arn:aws:iam::aws:policy/AdministratorAccess", {"Fn::Sub": "arn:aws:iam::aws:policy/AmazonS3FullAccess"}]


def role(**statement: object) -> tuple[str, dict[str, Any]]:
    """Return a role with one statement."""
    return "IAM::Role", {"Policies": [{"PolicyDocument": {"Statement": [ALLOW | statement]}}]}


@pytest.mark.parametrize(
    ("rule", "resources", "found"),
    [
        ("alarms", {"A": ("CloudWatch::Alarm", {"MetricName": "a", "Period": 60})}, []),
        ("alarms", {"A": ("CloudWatch::Alarm", {"Metrics": []}), "B": ("Logs::LogGroup", {"MetricName": "a"})}, []),
        (
            "alarms",
            {"A": ("CloudWatch::Alarm", {"MetricName": "a"})},
            [("A", "CloudWatch refuses an alarm on a metric without a period; set Period")],
        ),
        ("log_groups", {"A": ("Logs::LogGroup", {"RetentionInDays": 7})}, []),
        (
            "log_groups",
            {"A": ("Logs::LogGroup", {}), "B": ("Lambda::Function", {"LoggingConfig": {"LogGroup": {"Ref": "A"}}})},
            [("A", "it keeps its logs for ever; set RetentionInDays")],
        ),
        ("log_groups", {"A": ("Lambda::Function", {})}, [("A", LOGS_FOR_EVER)]),
        ("log_groups", {"A": ("Lambda::Function", {"LoggingConfig": {"LogGroup": "a"}})}, [("A", LOGS_FOR_EVER)]),
        (
            "log_groups",
            {"A": ("Lambda::Function", {"LoggingConfig": {"LogGroup": {"Ref": "B"}}}), "B": ("S3::Bucket", {})},
            [("A", LOGS_FOR_EVER)],
        ),
        (
            "log_groups",
            {
                "A": ("Lambda::Function", {"FunctionName": "a"}),
                "B": ("Lambda::Function", {}),
                "C": ("Logs::LogGroup", {"RetentionInDays": 1, "LogGroupName": "/aws/lambda/a"}),
                "D": ("Logs::LogGroup", {"RetentionInDays": 1, "LogGroupName": {"Fn::Sub": "/aws/lambda/${B}"}}),
            },
            [],
        ),
        ("statements", {"A": role(), "B": role(Effect="Deny", Action="*", NotResource=[])}, []),
        ("statements", {"A": role(Action="s3:Get*")}, [("A", f"s3:Get* {UNNAMED}name each")]),
        (
            "statements",
            {"A": ("SQS::QueuePolicy", {"PolicyDocument": {"Statement": ALLOW | {"Action": "*", "Resource": "*"}}})},
            [("A", f"* {UNNAMED}name each")],
        ),
        ("statements", {"A": ("KMS::Key", {"KeyPolicy": {"Statement": ALLOW | {"Action": "*"}}}), "B": role()}, []),
        (
            "statements",
            {"A": role(Resource=["*"], Action=["Logs:PutLogEvents", "xray:PutTraceSegments", "none:None", "None"])},
            [("A", "Logs:PutLogEvents is allowed on every resource; name an ARN (log-stream)")],
        ),
        ("statements", {"A": role(Action=[{"Ref": "Action"}], Resource="*")}, []),
        *(
            (
                "statements",
                {"A": role(**{name: ["iam:*"]}), "B": ("SNS::TopicPolicy", {"Statement": ALLOW | {name: ["iam:*"]}})},
                [("A", "NotAction and NotResource allow all but what they name; use Action and Resource")],
            )
            for name in ("NotAction", "NotResource")
        ),
        (
            "statements",
            {"K": ("KMS::Key", {"ManagedPolicyArns": POWERS}), "A": ("IAM::Role", {"ManagedPolicyArns": POWERS})},
            [
                ("A", f"{POWERS[0]} {UNNAMED}write the statements"),
                ("A", f"arn:aws:iam::aws:policy/AmazonS3FullAccess {UNNAMED}write the statements"),
            ],
        ),
        (
            "statements",
            {"A": ("IAM::Role", {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/PowerUserAccess", "arn:Read"]})},
            [("A", f"arn:aws:iam::aws:policy/PowerUserAccess {UNNAMED}write the statements")],
        ),
    ],
)
def test_rules(
    rule: str, resources: dict[str, tuple[str, dict[str, Any]]], found: list[tuple[str, str]], module: ModuleType
) -> None:
    """Each names the resource, what is wrong with it, and what to do."""
    assert list(getattr(module, rule)({}, made(**resources))) == found
    assert list(getattr(module, rule)({}, {})) == []


def api(kind: str, timeout: object, *, principal: str = "apigateway.amazonaws.com", **more: object) -> dict[str, Any]:
    """Return a template with an API and a function behind it."""
    caller = {"Principal": principal, "FunctionName": {"Fn::GetAtt": ["F", "Arn"]}}
    function = ("Lambda::Function", {} if timeout is None else {"Timeout": timeout})
    other = ("Lambda::Function", {"Timeout": 900})
    return made(A=(kind, dict(more)), P=("Lambda::Permission", caller), Other=other, F=function)


LATE = "API Gateway answers with an error after"


@pytest.mark.parametrize(
    ("template", "maximum", "found"),
    [
        (api("ApiGatewayV2::Api", 30), None, []),
        (api("ApiGatewayV2::Api", 31), None, [("F", f"Timeout is 31 s, and {LATE} 30 s")]),
        (api("ApiGateway::RestApi", 30), None, [("F", f"Timeout is 30 s, and {LATE} 29 s")]),
        (api("ApiGateway::RestApi", 30, Body=[{"timeoutInMillis": 60_000}]), None, []),
        (api("ApiGateway::RestApi", 30, TimeoutInMillis="x"), None, [("F", f"Timeout is 30 s, and {LATE} 29 s")]),
        (api("ApiGatewayV2::Api", 2, TimeoutInMillis="1500"), None, [("F", f"Timeout is 2 s, and {LATE} 1.5 s")]),
        (api("ApiGatewayV2::Api", None, TimeoutInMillis=3000), None, []),
        (api("S3::Bucket", 31), None, []),
        (api("ApiGatewayV2::Api", 31, principal="s3.amazonaws.com"), None, []),
        (api("ApiGatewayV2::Api", 28), 30, []),
        (api("ApiGatewayV2::Api", 28), 31, [("Time", f"{LATE} 30 s; set MaxValue to at most that")]),
        (api("ApiGatewayV2::Api", 28), 0, [("Time", f"{LATE} 30 s; set MaxValue to at most that")]),
    ],
)
def test_timeouts(
    template: dict[str, Any], maximum: int | None, found: list[tuple[str, str]], module: ModuleType
) -> None:
    """Of the functions that API Gateway calls; a maximum of the parameter that is not there allows what Lambda does."""
    written = json.loads(json.dumps(template))
    if maximum is not None:
        written["Resources"]["F"]["Properties"]["Timeout"] = {"Ref": "Time"}
        written["Parameters"] = {"Time": {"Type": "Number", **({"MaxValue": maximum} if maximum else {})}}
    assert list(module.timeouts(written, template)) == found
    assert list(module.timeouts({}, {})) == []


def test_partitions(module: ModuleType) -> None:
    """An ARN in which it is written out, at any depth."""
    texts = ["arn:aws:s3:::a", ["b arn:aws-cn:iam::1", {"c": "arn:${AWS::Partition}:s3:::a"}]]
    template = made(A=("S3::Bucket", {"B": texts}), C=("S3::Bucket", {}))
    assert list(module.fixed_partitions(template)) == [("A", "arn:aws:s3:"), ("A", "arn:aws-cn:iam:")]
    assert list(module.fixed_partitions({})) == []


def test_small_functions(module: ModuleType) -> None:
    """A number stays a text where the parameter is one; a path that leads nowhere is that of the template."""
    assert (module.number("5", "Number"), module.number("5", "String"), module.number("a", "Number")) == (5, "5", "a")
    assert [module.place(path) for path in ([], ["Resources"], ["Resources", "A"], ["Resources", "A", "B"])] == [
        *("template", "template", "A", "A")
    ]
    assert module.listed("a") == module.listed(["a"]) == ["a"]
    assert list(module.walk({"a": [1, {"b": 2}]})) == [{"a": [1, {"b": 2}]}, [1, {"b": 2}], 1, {"b": 2}, 2]
    assert module.of_type({"Resources": {"A": {"Type": "X"}, "B": {"Type": "Y"}}}, "X", "Z") == {"A": {}}


def test_examine(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is so in each stage of a file is said once, the rest with its stages."""
    finding = ("a.yaml", "A", "rule", "some\n  text")
    every = {"dev": [finding, finding], "qa": [finding, *[("a.yaml", "B", "rule", "b")] * 2], "prod": [finding]}
    every["prod"].append(("a.yaml", "B", "rule", "b"))
    engine = Mock()

    def found(template: Any, used: object) -> list[tuple[str, ...]]:
        assert used is engine.return_value
        return every.get(template.stage, [("b.yaml", "C", "rule", "c")])

    monkeypatch.setattr(module, "findings", found)
    monkeypatch.setattr(module, "CompositeEngine", engine)
    templates = [module.Template("a.yaml", {}, "us-east-1", stage) for stage in every]
    assert module.examine([*templates, module.Template("b.yaml", {}, "us-east-1")]) == [
        "a.yaml: A: rule: some text",
        "a.yaml: B: rule: b (stage qa, prod)",
        "b.yaml: C: rule: c",
    ]
    engine.assert_called_once_with()


def test_findings(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of each tool and rule; what cloudformation-validate says too, or what has no meaning then, is left out."""
    name = {"Fn::Sub": "arn:aws:s3:x", "Region": {"Ref": "AWS::Region"}}
    content = made(A=("CloudWatch::Alarm", {"MetricName": name}))
    content["Parameters"] = {"Size": {"Type": "Number", "Default": 1}, "Kept": {"Type": "String", "Default": "k"}}
    problems = [
        ("E3004", ["Resources", "A", 0]),
        ("E2015", ["Parameters", "Size"]),
        ("W1", None),
        ("E1", ["a", "Kept"]),
    ]
    matches = [
        SimpleNamespace(rule=SimpleNamespace(id=rule), path=path, message="Default is wrong") for rule, path in problems
    ]
    lint, engine = Mock(return_value=matches), Mock()
    said = [
        ("ERROR", "A", "F3004"),
        ("ERROR", None, "E9"),
        ("INFO", "A", "E8"),
        ("WARN", "A", "W2001"),
        ("WARN", "B", "E3004"),
    ]
    engine.validate_template.return_value.diagnostics = [
        SimpleNamespace(
            severity=SimpleNamespace(name=severity),
            entity=name and SimpleNamespace(logical_id=name),
            rule_id=rule,
            message="wrong",
        )
        for severity, name, rule in said
    ]
    monkeypatch.setattr(module, "lint", lint)
    given = Mock()
    monkeypatch.setattr(module, "TemplateContent", given, raising=False)  # it may not be installed here
    template = module.Template("it.yaml", content, "eu-west-1", "qa", {"Size": "7", "Sise": "1"})
    advice = "; the function needs no address of itself: `request.base_url` has it"
    period = "CloudWatch refuses an alarm on a metric without a period; set Period"
    assert list(module.findings(template, engine)) == [
        ("it.yaml", "Sise", "parameter", "the stage sets it, but it.yaml has no such parameter"),
        ("it.yaml", "A", "partition", "arn:aws:s3: names one partition of AWS; use !Sub with AWS::Partition"),
        ("it.yaml", "A", "E3004", f"Default is wrong{advice}"),
        ("it.yaml", "Size", "E2015", "It is wrong"),
        ("it.yaml", "template", "W1", "Default is wrong"),
        ("it.yaml", "Kept", "E1", "Default is wrong"),
        ("it.yaml", "A", "alarms", period),
        ("it.yaml", "template", "E9", "wrong"),
        ("it.yaml", "B", "E3004", "wrong"),
    ]
    (linted,), options = lint.call_args
    assert json.loads(linted)["Parameters"] == content["Parameters"] | {"Size": {"Type": "Number", "Default": 7}}
    options = vars(options["config"]) if hasattr(options["config"], "__dict__") else options["config"]
    assert options == {"regions": ["eu-west-1"], "include_checks": ["I"], "ignore_checks": module.IGNORED}
    deployed, file = given.call_args.args
    assert (json.loads(deployed), file) == (module.resolve(content, "eu-west-1"), "it.yaml")
    engine.validate_template.assert_called_once_with(given.return_value)
    assert len(list(module.findings(template, None))) == 7, "without cloudformation-validate"
    assert len(list(module.findings(module.Template("it.yaml", {}, "eu-west-1"), None))) == 4


SAM = {"Transform": "AWS::Serverless-2016-10-31"}


def test_translation(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CloudFormation makes it, with an address for each archive; what it refuses is a finding by itself."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "none")
    logging.getLogger("samtranslator").setLevel(logging.INFO)
    layer = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "dist/layer.zip"}}
    function = {"Handler": "a.b", "Runtime": "python3.13", "CodeUri": "dist/function.zip"}
    other = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    resources = {"F": {"Type": "AWS::Serverless::Function", "Properties": function}, "L": layer, "H": other}
    template = module.Template("it.yaml", SAM | {"Resources": resources}, "eu-west-1")
    translated, problems = module.translate(template)
    assert problems == []
    assert (os.environ["AWS_DEFAULT_REGION"], logging.getLogger("samtranslator").level) == ("eu-west-1", logging.ERROR)
    properties = [each.get("Properties", {}) for each in translated["Resources"].values()]
    archives = [each.get("Code") or each.get("Content") for each in properties]
    stored = {"S3Bucket": "bucket", "S3Key": "archive.zip"}
    assert [each for each in archives if each] == [stored, {f"{name}": value for name, value in stored.items()}]

    wrong = SAM | {"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {"Handlr": "a.b"}}}}
    found = list(module.findings(module.Template("it.yaml", wrong, "eu-west-1"), None))
    ((file, name, rule, text),) = found
    assert (file, name, rule) == ("it.yaml", "F", "translation")
    assert "Handlr" in text
    plain = made(A=("S3::Bucket", {}))
    assert module.translate(module.Template("it.yaml", plain, "us-east-1")) == (plain, [])
