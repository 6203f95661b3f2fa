"""One service, whichever deployer: what each makes on AWS, property by property.

For SAM and zip it is read from the translation of template.yaml, for osls from the CloudFormation that it writes.
"""

import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake, Package
from tests.sam import translate
from tests.serverless import state, template

APIS = CONTEXT["api"]
DEPLOYERS = CONTEXT["deployer"]

Facts = dict[str, Any]


def plain(value: Any) -> Any:
    """Return a value of a template or a call as text in which only what is written out counts: ARNs lose their ends."""
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return argument[0].join(str(plain(part)) for part in argument[1])
        if function == "Fn::Sub":
            return argument if isinstance(argument, str) else argument[0]
        if function == "Ref":
            return f"${{{argument}}}"
        if function == "Fn::GetAtt":
            return f"${{{'.'.join(argument) if isinstance(argument, list) else argument}}}"
    return value


def statements(document: dict[str, Any]) -> list[tuple[list[str], str]]:
    """Return what a policy allows: the actions, and whether on anything or on the log group."""
    allowed = []
    for statement in document["Statement"]:
        resource = plain(statement["Resource"])
        if resource != "*":
            assert "LogGroup" in resource or re.search(r":log-group:/aws/lambda/[\w/-]+:\*$", resource), resource
            resource = "its own log group"
        assert statement["Effect"] == "Allow"
        allowed.append((sorted(statement["Action"]), resource))
    return sorted(allowed)


def trusted(document: dict[str, Any]) -> list[str]:
    """Return who may take a role."""
    (statement,) = document["Statement"]
    services = statement["Principal"]["Service"]
    actions = statement["Action"]
    assert actions in ("sts:AssumeRole", ["sts:AssumeRole"])
    return services if isinstance(services, list) else [services]


def permission(properties: dict[str, Any]) -> tuple[str, str, str]:
    """Return what a resource-based permission comes to: who, what, under which condition."""
    condition = "none"
    if source := plain(properties.get("SourceArn")):
        # SAM writes one for each route, the others one for the API.
        assert re.search(r":execute-api:[^*]+/", source), source
        condition = "of this API"
    elif properties.get("FunctionUrlAuthType"):
        condition = f"URL of type {properties['FunctionUrlAuthType']}"
    elif properties.get("InvokedViaFunctionUrl"):
        condition = "by way of the URL"
    return properties["Principal"], properties["Action"], condition


def function_facts(function: dict[str, Any], layer: dict[str, Any]) -> Facts:
    """Return the facts about a function and its layer, which templates and calls word alike."""
    logging = function["LoggingConfig"]
    return {
        "runtime": function["Runtime"],
        "architecture": function["Architectures"],
        "handler": function["Handler"],
        "memory": function["MemorySize"],
        "timeout": function["Timeout"],
        "layer": (len(function["Layers"]), layer["CompatibleRuntimes"], layer["CompatibleArchitectures"]),
        "environment": function["Environment"]["Variables"],
        "tracing": function["TracingConfig"]["Mode"],
        "log format": (logging["LogFormat"], logging["ApplicationLogLevel"], logging["SystemLogLevel"]),
    }


def with_defaults(value: Any, parameters: dict[str, Any]) -> Any:
    """Return a template in which each parameter is what it is when none is given."""
    if isinstance(value, dict):
        if value.keys() == {"Ref"} and value["Ref"] in parameters:
            return parameters[value["Ref"]]["Default"]
        return {name: with_defaults(each, parameters) for name, each in value.items()}
    return [with_defaults(each, parameters) for each in value] if isinstance(value, list) else value


def of_type(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the properties of the resources of a type."""
    return [each.get("Properties", {}) for each in resources.values() if each["Type"] == f"AWS::{kind}"]


def template_facts(made: dict[str, Any], api: str, traced: bool | None) -> Facts:
    """Return the facts about a CloudFormation template."""
    resources = with_defaults(made["Resources"], made.get("Parameters", {}))
    (function,), (layer,) = of_type(resources, "Lambda::Function"), of_type(resources, "Lambda::LayerVersion")
    (role,), (log_group,) = of_type(resources, "IAM::Role"), of_type(resources, "Logs::LogGroup")
    assert not role.get("ManagedPolicyArns")
    (policy,) = role["Policies"]
    facts = function_facts(function, layer) | {
        "log retention": log_group["RetentionInDays"],
        "role": statements(policy["PolicyDocument"]),
        "trust": trusted(role["AssumeRolePolicyDocument"]),
        "permissions": sorted({permission(each) for each in of_type(resources, "Lambda::Permission")}),
        "alias": bool(of_type(resources, "Lambda::Alias") or of_type(resources, "Lambda::Version")),
        "outputs": sorted({"ApiUrl", "ApiFunctionName"} & set(made["Outputs"])),
    }
    if api == "function_url":
        (url,) = of_type(resources, "Lambda::Url")
        return facts | {"HTTP front end": ("Function URL", url["AuthType"], url.get("InvokeMode", "BUFFERED"))}
    if api == "http_api":
        return facts | {"HTTP front end": http_api_facts(resources)}
    return facts | {"HTTP front end": rest_api_facts(resources, traced)}


def any_methods(paths: dict[str, dict[str, Any]]) -> set[str]:
    """Return the routes of an OpenAPI document that take any method, and have no other beside it."""
    return {
        f"{'ANY' if list(methods) == ['x-amazon-apigateway-any-method'] else sorted(methods)} {path}"
        for path, methods in paths.items()
    }


def http_api_facts(resources: dict[str, Any]) -> tuple[Any, ...]:
    """Return the routes of an HTTP API, its stages, the payload's format, and whether it answers for CORS."""
    (http_api,), (stage,) = of_type(resources, "ApiGatewayV2::Api"), of_type(resources, "ApiGatewayV2::Stage")
    if "Body" in http_api:
        paths = http_api["Body"]["paths"]
        routes = any_methods(paths)
        integrations = [method["x-amazon-apigateway-integration"] for m in paths.values() for method in m.values()]
        formats = {integration["payloadFormatVersion"] for integration in integrations}
        cors = "x-amazon-apigateway-cors" in http_api["Body"]
    else:
        routes = {route["RouteKey"] for route in of_type(resources, "ApiGatewayV2::Route")}
        formats = {each["PayloadFormatVersion"] for each in of_type(resources, "ApiGatewayV2::Integration")}
        cors = "CorsConfiguration" in http_api
    return "HTTP API", sorted(routes), [(stage["StageName"], stage["AutoDeploy"])], formats, cors


def rest_api_facts(resources: dict[str, Any], traced: bool | None) -> tuple[Any, ...]:
    """Return the routes of a REST API, stages, binary types, kind of endpoint, tracing, and if it answers for CORS."""
    (rest_api,) = of_type(resources, "ApiGateway::RestApi")
    binary = [kind.replace("~1", "/") for kind in rest_api["BinaryMediaTypes"]]
    if "Body" in rest_api:
        paths = rest_api["Body"]["paths"]
        routes = any_methods(paths)
        (stage,) = of_type(resources, "ApiGateway::Stage")
        stages, traced = [stage["StageName"]], stage["TracingEnabled"]
    else:
        parts = {name: each["Properties"]["PathPart"] for name, each in resources.items() if "Resource" in name}
        routes = {
            f"{method['HttpMethod']} /{parts.get(method['ResourceId'].get('Ref'), '')}"
            for method in of_type(resources, "ApiGateway::Method")
        }
        stages = [each["StageName"] for each in of_type(resources, "ApiGateway::Deployment")]
    cors = any(route.startswith("OPTIONS") for route in routes)
    kinds = rest_api["EndpointConfiguration"]["Types"]
    return "REST API", sorted(routes), stages, binary, kinds, traced, cors


@pytest.fixture(scope="module")
def table(bake: Bake, package: Package, shared: Path) -> dict[tuple[str, str], Facts]:
    """Return the facts by deployer and HTTP front end; one worker finds them, and the others read them."""
    stored = shared / "facts"
    with FileLock(f"{stored}.lock"):
        if not stored.exists():
            stored.write_bytes(pickle.dumps(find_facts(bake, package)))
    found: dict[tuple[str, str], Facts] = pickle.loads(stored.read_bytes())  # noqa: S301 - of this run
    return found


def find_facts(bake: Bake, package: Package) -> dict[tuple[str, str], Facts]:
    """Return the facts by deployer and HTTP front end."""
    facts = {}
    for api in APIS:
        for deployer in ("sam", "zip"):
            answers = VARIANTS[f"serverless-{api}".removesuffix("-http_api")] | {"deployer": deployer}
            made = translate(bake(**answers) / "template.yaml", "us-east-1")
            facts[deployer, api] = template_facts(made, api, None)
        project, _ = package(**VARIANTS[f"serverless-{api}".removesuffix("-http_api")])
        # osls turns on the tracing of a REST API by a call after the deployment (test_serverless.py sees it do so).
        traced = state(project)["service"]["provider"]["tracing"].get("apiGateway")
        facts["serverless", api] = template_facts(template(project), api, traced)
    return facts


FEATURES = [
    *("runtime", "architecture", "handler", "memory", "timeout", "layer", "environment", "tracing", "log format"),
    *("log retention", "role", "trust", "permissions", "alias", "outputs", "HTTP front end"),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("feature", FEATURES)
def test_same_whichever_deployer(feature: str, api: str, table: dict[tuple[str, str], Facts]) -> None:
    """What SAM makes, the others make too."""
    for deployer in DEPLOYERS[1:]:
        assert table[deployer, api][feature] == table["sam", api][feature], deployer


def test_every_fact_is_compared(table: dict[tuple[str, str], Facts]) -> None:
    """No feature is read and forgotten."""
    for facts in table.values():
        assert set(facts) == set(FEATURES)


def test_what_everything_should_be(table: dict[tuple[str, str], Facts]) -> None:
    """The same thing three times could be wrong three times."""
    for (_, api), facts in table.items():
        assert facts["permissions"] == {
            "function_url": [
                ("*", "lambda:InvokeFunction", "by way of the URL"),
                ("*", "lambda:InvokeFunctionUrl", "URL of type NONE"),
            ]
        }.get(api, [("apigateway.amazonaws.com", "lambda:InvokeFunction", "of this API")])
        assert facts["role"] == [
            (["logs:CreateLogStream", "logs:PutLogEvents"], "its own log group"),
            (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
        ]
        assert (facts["handler"], facts["log retention"], facts["tracing"]) == ("main.handler", 30, "Active")
        assert facts["environment"] == {"ALLOWED_ORIGINS": "", "DOCS": "on", "PUBLIC_URL": ""}
        assert (
            facts["HTTP front end"]
            == {
                "http_api": ("HTTP API", ["ANY /", "ANY /{proxy+}"], [("$default", True)], {"2.0"}, False),
                "rest_api": ("REST API", ["ANY /", "ANY /{proxy+}"], ["prod"], ["*/*"], ["REGIONAL"], True, False),
                "function_url": ("Function URL", "NONE", "BUFFERED"),
            }[api]
        )
        assert facts["outputs"] == ["ApiFunctionName", "ApiUrl"]


def test_readme_lists_the_deployers(table: dict[tuple[str, str], Facts], bake: Bake) -> None:
    """The README's table, and what it says is the same, are so."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = readme[readme.index("| `deployer=` |") :].partition("\n\n")[0].splitlines()
    rows = {cells[1]: cells[2:5] for cells in ([cell.strip() for cell in line.split("|")] for line in lines)}
    assert rows["`deployer=`"] == [f"`{deployer}`" for deployer in DEPLOYERS]
    for number, deployer in enumerate(DEPLOYERS):
        said = {row: cells[number] for row, cells in rows.items()}
        project = bake(deployer=deployer)
        assert [file for file in re.findall("`(.*?)`", said["files"]) if not (project / file).is_file()] == []
        own = (project / "README.md").read_text(encoding="utf-8")
        assert said["deploy"].strip("`") in own
        assert said["HTTP front end"] == ", ".join(table[deployer, api]["HTTP front end"][0] for api in APIS)
        for row in ("another stage", "roll back"):
            assert all(word in own for word in re.findall("`(.*?)`", said[row])), (deployer, row)
    same = re.search(r"^All three deploy the same: (.*?)\.", readme, re.MULTILINE | re.DOTALL)[1]
    features = re.split(r",\s+|\s+and\s+", same)
    assert set(features) == set(FEATURES) - {"alias", "outputs", "trust"}


def test_planted_difference_is_found(bake: Bake, tmp_path: Path) -> None:
    """The comparison sees what is compared."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    path = project / "template.yaml"
    right = template_facts(translate(path, "us-east-1"), "http_api", None)
    faults = {
        "memory": ("MemorySize: 1024", "MemorySize: 128"),
        "log retention": ("Default: 30", "Default: 7"),
        "HTTP front end": ("Path: /\n            Method: ANY", "Path: /\n            Method: GET"),
        "role": ("logs:PutLogEvents", "logs:CreateLogGroup"),
    }
    text = path.read_text(encoding="utf-8")
    for feature, (old, new) in faults.items():
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        wrong = template_facts(translate(path, "us-east-1"), "http_api", None)
        assert {name for name in right if right[name] != wrong[name]} == {feature}
