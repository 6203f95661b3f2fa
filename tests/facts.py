"""What a project makes on AWS with each deployer, read from the CloudFormation templates.

For SAM and zip that is the translation of template.yaml, for osls what it writes itself.
"""

import json
import re
from itertools import product
from typing import Any

from tests.conftest import CONTEXT, VARIANTS, Bake, Package
from tests.sam import resolve, translate
from tests.serverless import template

APIS = CONTEXT["api"]
DEPLOYERS = CONTEXT["deployer"]

Facts = dict[str, Any]
Table = dict[tuple[str, str, str], Facts]


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
    """Return what a policy allows: the actions, and whether on anything or on which log group."""
    allowed = []
    for statement in document["Statement"]:
        resource = plain(statement["Resource"])
        assert resource == "*" or "LogGroup" in resource or ":log-group:/aws/application-signals/" in resource, resource
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


def of_type(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the properties of the resources of a type."""
    return [each.get("Properties", {}) for each in resources.values() if each["Type"] == f"AWS::{kind}"]


def template_facts(made: dict[str, Any], api: str, **given: object) -> Facts:
    """Return the facts about a CloudFormation template, with these values of its parameters."""
    made = resolve(made, {"AWS::StackId": STACK_ID} | given)
    resources = made["Resources"]
    (function,), (layer,) = of_type(resources, "Lambda::Function"), of_type(resources, "Lambda::LayerVersion")
    roles = of_type(resources, "IAM::Role")
    (role,) = (each for each in roles if "lambda.amazonaws.com" in trusted(each["AssumeRolePolicyDocument"]))
    assert not role.get("ManagedPolicyArns")
    (policy,) = role["Policies"]
    facts = function_facts(function, layer) | {
        "concurrency": function.get("ReservedConcurrentExecutions"),
        "logs": named(resources, "Logs::LogGroup"),
        "alarms": named(resources, "CloudWatch::Alarm", "SNS::Topic"),
        "dashboard": named(resources, "CloudWatch::Dashboard"),
        "role": statements(policy["PolicyDocument"]),
        "boundary": sorted(str(each.get("PermissionsBoundary")) for each in roles),
        "trust": sorted(who for each in roles for who in trusted(each["AssumeRolePolicyDocument"])),
        "permissions": sorted({permission(each) for each in of_type(resources, "Lambda::Permission")}),
        "alias": bool(of_type(resources, "Lambda::Alias") or of_type(resources, "Lambda::Version")),
        "outputs": {name: made["Outputs"][name]["Value"] for name in OUTPUTS if name in made["Outputs"]},
    }
    if api == "function_url":
        (url,) = of_type(resources, "Lambda::Url")
        facts |= {"limits": None, "access log": None}
        return facts | {"HTTP front end": ("Function URL", url["AuthType"], url.get("InvokeMode", "BUFFERED"))}
    if api == "http_api":
        (stage,) = of_type(resources, "ApiGatewayV2::Stage")
        facts |= {"limits": stage["DefaultRouteSettings"], "access log": stage["AccessLogSettings"]}
        return facts | {"HTTP front end": http_api_facts(resources)}
    (stage,) = of_type(resources, "ApiGateway::Stage")
    facts |= {"limits": stage["MethodSettings"], "access log": stage["AccessLogSetting"]}
    facts["logs"] |= named(resources, "ApiGateway::Account")
    return facts | {"HTTP front end": rest_api_facts(resources)}


def named(resources: dict[str, Any], *kinds: str) -> dict[str, Any]:
    """Return the resources of these types, by their logical ids."""
    ignored = ("Type", "Condition", "Metadata")
    kept = {name: each for name, each in resources.items() if each["Type"].removeprefix("AWS::") in kinds}
    return {name: {key: value for key, value in each.items() if key not in ignored} for name, each in kept.items()}


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
    name = plain(http_api.get("Name") or http_api["Body"]["info"]["title"]).replace(
        "${AWS::StackName}", "orders-api-dev"
    )
    return "HTTP API", name, sorted(routes), [(stage["StageName"], stage["AutoDeploy"])], formats, cors


def rest_api_facts(resources: dict[str, Any]) -> tuple[Any, ...]:
    """Return a REST API's name, routes, stage, binary types, kind of endpoint, tracing, and if it answers for CORS."""
    (rest_api,) = of_type(resources, "ApiGateway::RestApi")
    binary = [kind.replace("~1", "/") for kind in rest_api["BinaryMediaTypes"]]
    (stage,), deployments = of_type(resources, "ApiGateway::Stage"), of_type(resources, "ApiGateway::Deployment")
    assert not [each for each in deployments if "StageName" in each], "a second stage"
    if "Body" in rest_api:
        paths = rest_api["Body"]["paths"]
        routes = any_methods(paths)
    else:
        parts = {name: each["Properties"]["PathPart"] for name, each in resources.items() if "PathPart" in str(each)}
        routes = {
            f"{method['HttpMethod']} /{parts.get(method['ResourceId'].get('Ref'), '')}"
            for method in of_type(resources, "ApiGateway::Method")
        }
    cors = any(route.startswith("OPTIONS") for route in routes)
    kinds, traced = rest_api["EndpointConfiguration"]["Types"], stage["TracingEnabled"]
    name = plain(rest_api["Name"]).replace("${AWS::StackName}", "orders-api-dev")
    return "REST API", name, sorted(routes), stage["StageName"], binary, kinds, traced, cors


STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/name/id"

# What a stage is deployed with. The last one has each parameter set.
STAGES: dict[str, dict[str, object]] = {
    "dev": {},
    "prod": {"Stage": "prod", "Docs": "off", "LogRetentionInDays": 365},
    "all": {
        "Stage": "all",
        "AllowedOrigins": "https://shop.example.com",
        "PublicUrl": "https://www.example.com",
        "MaxBodySize": 2048,
        "MemorySize": 512,
        "Timeout": 20,
        "ReservedConcurrency": 10,
        "LogLevel": "DEBUG",
        "LogKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k",
        "AlarmEmail": "on-call@example.com",
        "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:topic",
        "ConcurrencyLimit": 500,
        "AdotLayerArn": "arn:aws:lambda:us-east-1:123456789012:layer:adot:1",
        "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
        "RateLimit": 7,
        "BurstLimit": 9,
    },
}


def find_facts(bake: Bake, package: Package) -> Table:
    """Return the facts by deployer, HTTP front end and stage."""
    facts = {}
    for api in APIS:
        answers = VARIANTS[f"serverless-{api}".removesuffix("-http_api")]
        made = {
            deployer: translate(bake(**answers | {"deployer": deployer}) / "template.yaml", "us-east-1")
            for deployer in ("sam", "zip")
        }
        # osls has logical ids of its own.
        text = json.dumps(template(package(**answers)[0]))
        made["serverless"] = json.loads(
            text.replace("ApiLambdaFunction", "ApiFunction").replace("ApiGatewayRest", "Rest")
        )
        for deployer, stage in product(DEPLOYERS, STAGES):
            given = {name: value for name, value in STAGES[stage].items() if name in made[deployer]["Parameters"]}
            facts[deployer, api, stage] = template_facts(made[deployer], api, **given)
    return facts


OUTPUTS = ["ApiUrl", "DocsUrl", "ApiFunctionName", "ApiLogGroupName", "AccessLogGroupName", "DashboardUrl"]
