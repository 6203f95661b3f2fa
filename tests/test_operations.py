"""Stages, limits, logs, alarms and the dashboard of a deployed service, which are the same whichever deployer."""

import json
import re
from itertools import chain, product
from typing import Any

import pytest

from tests.conftest import CONTEXT, Bake
from tests.facts import APIS, STACK_ID, STAGES, Table, plain
from tests.parsers import read_toml, read_yaml
from tests.sam import resolve, translate


def one(table: Table, feature: str, api: str, stage: str) -> Any:
    """Return a fact as SAM makes it."""
    return table["sam", api, stage][feature]


@pytest.mark.parametrize("api", APIS)
def test_stages(api: str, table: Table) -> None:
    """What dev and prod differ in: the documentation, how long logs are kept, and if they outlive the stack."""
    kept = "" if api == "function_url" else "access"
    groups = {stage: one(table, "logs", api, stage) for stage in STAGES}
    for stage, prefix, days, policy in (
        ("dev", "", 7, "Delete"),
        ("prod", "Kept", 365, "Retain"),
        ("all", "", 7, "Delete"),
    ):
        names = [f"{prefix}ApiLogGroup", *([f"{prefix}AccessLogGroup"] if kept else [])]
        assert sorted(set(groups[stage]) - {"ApiGatewayAccount"}) == sorted(names)
        for group in (groups[stage][name] for name in names):
            assert group["Properties"]["RetentionInDays"] == days
            assert (group.get("DeletionPolicy"), group.get("UpdateReplacePolicy")) == (policy, policy)
            assert group["Properties"].get("KmsKeyId") == STAGES[stage].get("LogKeyArn")
    assert groups["dev"]["ApiLogGroup"]["Properties"]["LogGroupName"] == {
        "Fn::Sub": "/aws/lambda/${AWS::StackName}/api"
    }
    # A stack that is made again finds its own names free.
    name = groups["prod"]["KeptApiLogGroup"]["Properties"]["LogGroupName"]["Fn::Join"][1]
    assert name[-1] == {"Fn::Select": [2, {"Fn::Split": ["/", STACK_ID]}]}
    for stage, docs in (("dev", "on"), ("prod", "off")):
        assert one(table, "environment", api, stage)["DOCS"] == docs
        outputs = {name: plain(value) for name, value in one(table, "outputs", api, stage).items()}
        assert outputs.get("DocsUrl") == (f"{outputs['ApiUrl']}docs" if docs == "on" else None)


def test_files_of_the_stages(bake: Bake) -> None:
    """Each deployer gives a stage the same parameters, and prod alone protection; what dev uploads is not prod's."""
    of_prod = {name: str(value) for name, value in STAGES["prod"].items()}
    sam = read_toml((bake() / "samconfig.toml").read_text(encoding="utf-8"))
    for name, stage in (("default", "dev"), ("prod", "prod")):
        settings = sam[name]["global"]["parameters"] | sam[name]["deploy"]["parameters"]
        assert (settings["stack_name"], settings["s3_prefix"]) == (f"orders-api-{stage}", f"orders-api-{stage}")
        given = dict(each.split("=") for each in settings.get("parameter_overrides", []))
        assert given == (of_prod if stage == "prod" else {})
        made = json.loads((bake(deployer="zip") / "stages" / f"{stage}.json").read_text(encoding="utf-8"))
        assert made == {"Parameters": given or {"Stage": "dev"}}
    osls = read_yaml((bake(deployer="serverless") / "serverless.yml").read_text(encoding="utf-8"))
    assert osls["params"] == {
        "default": {"docs": "on", "logRetentionInDays": 7},
        "prod": {"docs": STAGES["prod"]["Docs"], "logRetentionInDays": STAGES["prod"]["LogRetentionInDays"]},
    }
    assert osls["provider"]["deletionProtection"] == {"stages": ["prod"]}


def test_what_other_apis_use_stays(bake: Bake) -> None:
    """The role by which API Gateway writes logs is that of all REST APIs of a region, and so is what names it."""
    sam = read_yaml((bake(api="rest_api") / "template.yaml").read_text(encoding="utf-8"))
    project = bake(deployer="serverless", api="rest_api")
    osls = read_yaml((project / "serverless.yml").read_text(encoding="utf-8"))["resources"]
    for resources, name in product((sam["Resources"], osls["Resources"]), ("ApiGatewayAccount", "ApiGatewayLogRole")):
        policies = resources[name].get("DeletionPolicy"), resources[name].get("UpdateReplacePolicy")
        assert policies == ("Retain", "Retain"), name


def test_ranges_of_parameters(bake: Bake) -> None:
    """What AWS allows is allowed, and nothing else; test_sam.py has that of Timeout, which the front end limits."""
    made = read_yaml((bake() / "template.yaml").read_text(encoding="utf-8"))["Parameters"]
    ranges = {name: (each.get("MinValue"), each.get("MaxValue")) for name, each in made.items()}
    del ranges["Timeout"]
    assert {name: limits for name, limits in ranges.items() if limits != (None, None)} == {
        "MaxBodySize": (1024, 6 * 1024**2),
        "MemorySize": (128, 10240),
        "ReservedConcurrency": (0, 10000),
        "ConcurrencyLimit": (10, None),
        "RateLimit": (1, 10000),
        "BurstLimit": (1, 5000),
    }


@pytest.mark.parametrize("api", APIS)
def test_parameters_take_effect(api: str, table: Table, bake: Bake) -> None:
    """Each has a place in what is made; those that are not set leave no trace."""
    for stage, given in STAGES.items():
        facts = table["sam", api, stage]
        variables = {"ALLOWED_ORIGINS": "", "PUBLIC_URL": "", "DOCS": given.get("Docs", "on")}
        variables |= {
            "MAX_BODY_SIZE": given.get("MaxBodySize", 1048576),
            "METRICS_NAMESPACE": {"Ref": "AWS::StackName"},
        }
        if stage == "all":
            variables |= {"ALLOWED_ORIGINS": given["AllowedOrigins"], "PUBLIC_URL": given["PublicUrl"]}
            variables["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/otel-instrument"
        assert facts["environment"] == variables
        assert (facts["memory"], facts["timeout"]) == ((512, 20) if stage == "all" else (1024, 28))
        assert facts["concurrency"] == (10 if stage == "all" else None)
        assert facts["layer"][0] == (2 if stage == "all" else 1)
        assert facts["log format"] == ("JSON", given.get("LogLevel", "INFO"), "INFO")
        assert set(facts["boundary"]) == {str(given.get("PermissionsBoundaryArn"))}
        limits = {
            "ThrottlingRateLimit": given.get("RateLimit", 100),
            "ThrottlingBurstLimit": given.get("BurstLimit", 200),
        }
        every = {"ResourcePath": "/*", "HttpMethod": "*"}
        assert facts["limits"] == {"http_api": limits, "rest_api": [every | limits], "function_url": None}[api]
        alarms = facts["alarms"]
        assert ("AlarmTopic" in alarms) == (stage != "all")
        to = given.get("AlarmTopicArn", {"Ref": "AlarmTopic"})
        assert all(each["Properties"]["AlarmActions"] == [to] for name, each in alarms.items() if name != "AlarmTopic")
        logs = "KeptApiLogGroup" if stage == "prod" else "ApiLogGroup"
        statements = [(["logs:CreateLogStream", "logs:PutLogEvents"], f"${{{logs}.Arn}}")]
        statements.append((["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"))
        if stage == "all":
            adot = (
                "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/application-signals/data:*"
            )
            statements.append((["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], adot))
        assert facts["role"] == sorted(statements)
    made = resolve(translate(bake(api=api) / "template.yaml", "us-east-1"), {"AlarmEmail": "on-call@example.com"})
    topic = made["Resources"]["AlarmTopic"]["Properties"]
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": "on-call@example.com"}]


@pytest.mark.parametrize("api", APIS)
def test_alarms(api: str, table: Table) -> None:
    """Each reads a metric that the front end, or Lambda, writes, with the dimensions that it has; and says nothing
    without requests.
    """
    namespace, names, dimensions = {
        "http_api": ("AWS/ApiGateway", ("5xx", "Count", "Latency"), {"ApiId": {"Ref": "HttpApi"}}),
        "rest_api": (
            "AWS/ApiGateway",
            ("5XXError", "Count", "Latency"),
            {"ApiName": {"Ref": "AWS::StackName"}, "Stage": "dev"},
        ),
        "function_url": (
            "AWS/Lambda",
            ("Url5xxCount", "UrlRequestCount", "UrlRequestLatency"),
            {"FunctionName": {"Ref": "ApiFunction"}},
        ),
    }[api]
    alarms = {
        name: each["Properties"] for name, each in one(table, "alarms", api, "dev").items() if name != "AlarmTopic"
    }
    assert sorted(alarms) == ["ConcurrencyAlarm", "ErrorAlarm", "LatencyAlarm", "ThrottleAlarm"]
    assert {each["TreatMissingData"] for each in alarms.values()} == {"notBreaching"}
    read = {
        (alarm, each["Id"]): each["MetricStat"]
        for alarm, properties in alarms.items()
        for each in properties["Metrics"]
        if "MetricStat" in each
    }

    def metric(alarm: str, name: str) -> tuple[object, ...]:
        stat = read[alarm, name]
        found = {each["Name"]: each["Value"] for each in stat["Metric"].get("Dimensions", [])}
        return stat["Metric"]["Namespace"], stat["Metric"]["MetricName"], found, stat["Stat"], stat["Period"]

    assert metric("ErrorAlarm", "errors") == (namespace, names[0], dimensions, "Sum", 300)
    assert metric("ErrorAlarm", "requests") == (namespace, names[1], dimensions, "Sum", 300)
    assert metric("LatencyAlarm", "latency") == (namespace, names[2], dimensions, "p99", 300)
    function = {"FunctionName": {"Ref": "ApiFunction"}}
    assert metric("ThrottleAlarm", "throttles") == ("AWS/Lambda", "Throttles", function, "Sum", 300)
    assert metric("ConcurrencyAlarm", "used") == ("AWS/Lambda", "ConcurrentExecutions", {}, "Maximum", 60)
    assert len(read) == 5
    assert expression(alarms, "ErrorAlarm") == "IF(errors > 1, 100 * errors / requests, 0)"
    assert expression(alarms, "LatencyAlarm") == "latency / (10 * 28)"  # of milliseconds, as a percentage of seconds
    assert expression(alarms, "ConcurrencyAlarm") == "100 * used / 1000"
    reserved = {name: each["Properties"] for name, each in one(table, "alarms", api, "all").items()}
    assert expression(reserved, "ConcurrencyAlarm") == "100 * used / 10"
    (used,) = (each["MetricStat"] for each in reserved["ConcurrencyAlarm"]["Metrics"] if each["Id"] == "used")
    assert used["Metric"]["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "ApiFunction"}}]
    keys = ("Threshold", "DatapointsToAlarm", "EvaluationPeriods")
    assert [tuple(alarms[name].get(key) for key in keys) for name in sorted(alarms)] == [
        *((80, None, 5), (5, None, 1), (80, 2, 3), (1, None, 1)),
    ]
    assert {each["ComparisonOperator"] for each in alarms.values()} == {"GreaterThanOrEqualToThreshold"}


def expression(alarms: dict[str, Any], name: str) -> str:
    """Return the expression that an alarm compares, with its parameters in it."""
    (found,) = (each["Expression"] for each in alarms[name]["Metrics"] if each.get("ReturnData", True))
    if isinstance(found, str):
        return found
    text, values = found["Fn::Sub"] if isinstance(found["Fn::Sub"], list) else (found["Fn::Sub"], {})
    return re.sub(r"\$\{(\w+)\}", lambda match: str({"Timeout": 28, **values}[match[1]]), text)


@pytest.mark.parametrize("api", APIS)
def test_dashboard(api: str, table: Table) -> None:
    """It is JSON, names what is there, and plots what the alarms read."""
    (dashboard,) = one(table, "dashboard", api, "dev").values()
    text, values = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    assert values == {"Log": {"Ref": "ApiLogGroup"}}
    assert set(re.findall(r"\$\{([\w:]+)", text)) <= {
        *("AWS::Region", "AWS::StackName", "Stage", "Log", "ApiFunction", "HttpApi"),
        *one(table, "alarms", api, "dev"),
    }
    widgets = json.loads(text)["widgets"]
    shown = {widget["properties"]["title"]: widget for widget in widgets}
    assert list(shown) == [
        *("Alarms", "Requests", "Errors", "Latency in ms", "Cold starts", "Concurrent executions"),
        *("Metrics of the application", "Last errors"),
    ]
    assert len(shown["Alarms"]["properties"]["alarms"]) == 4
    for title, alarm, name in (
        ("Requests", "ErrorAlarm", "requests"),
        ("Errors", "ErrorAlarm", "errors"),
        ("Latency in ms", "LatencyAlarm", "latency"),
    ):
        metrics = one(table, "alarms", api, "dev")[alarm]["Properties"]["Metrics"]
        (read,) = (each["MetricStat"]["Metric"] for each in metrics if each["Id"] == name)
        where = [(each["Name"], plain(each["Value"]).replace("dev", "${Stage}")) for each in read["Dimensions"]]
        metric = [read["Namespace"], read["MetricName"], *chain(*where)]
        assert [each for each in shown[title]["properties"]["metrics"][0] if isinstance(each, str)] == metric
    assert {shown[title]["properties"]["stat"] for title in ("Requests", "Errors")} == {"Sum"}
    assert [each[-1] for each in shown["Latency in ms"]["properties"]["metrics"]] == [{"stat": "p50"}, {"stat": "p99"}]
    # The names that Lambda's JSON format has; a metric has the level of the log.
    assert "level in ['ERROR', 'CRITICAL'] and not ispresent(_aws" in shown["Last errors"]["properties"]["query"]
    cold = "type = 'platform.report' | stats count(record.metrics.initDurationMs)"
    assert cold in shown["Cold starts"]["properties"]["query"]


def test_access_log(table: Table) -> None:
    """A line is JSON with the id of the request in the function, and has no header, body or query string."""
    for api in ("http_api", "rest_api"):
        log = one(table, "access log", api, "dev")
        assert log["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
        assert one(table, "access log", api, "prod")["DestinationArn"] == {"Fn::GetAtt": ["KeptAccessLogGroup", "Arn"]}
        line = json.loads(log["Format"])
        known = KNOWN_VARIABLES | (HTTP_API_VARIABLES if api == "http_api" else REST_API_VARIABLES)
        assert {name: value.removeprefix("$context.") for name, value in line.items()} == known


# Documented at https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html and, for
# REST APIs, at https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
KNOWN_VARIABLES = {
    "requestId": "integration.requestId",
    "apiRequestId": "requestId",
    "time": "requestTime",
    "sourceIp": "identity.sourceIp",
    "method": "httpMethod",
    "path": "path",
    "status": "status",
    "latency": "responseLatency",
    "error": "error.message",
}
HTTP_API_VARIABLES = {
    "route": "routeKey",
    "integrationLatency": "integrationLatency",
    "integrationStatus": "integration.integrationStatus",
    "integrationError": "integrationErrorMessage",
}
REST_API_VARIABLES = {
    "route": "resourcePath",
    "integrationLatency": "integration.latency",
    "integrationStatus": "integration.status",
    "integrationError": "integration.error",
}


@pytest.mark.parametrize(("deployer", "api"), product(CONTEXT["deployer"], APIS))
def test_docs_say_what_is_made(deployer: str, api: str, bake: Bake, table: Table) -> None:
    """docs/operate.md lists each parameter with its default and each alarm, and counts what alarms cost by metrics."""
    project = bake(deployer=deployer, api=api)
    page = (project / "docs" / "operate.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    made = read_yaml((bake(deployer="sam", api=api) / "template.yaml").read_text(encoding="utf-8"))
    parameters = {name: str(each["Default"]) or "none" for name, each in made["Parameters"].items()}
    if deployer == "serverless":
        del parameters["Stage"]  # it is an option of osls
        text = (project / "serverless.yml").read_text(encoding="utf-8")
        assert {name[0].lower() + name[1:] for name in parameters} == set(re.findall(r"\$\{param:(\w+),", text))
        parameters = {name[0].lower() + name[1:]: default for name, default in parameters.items()}
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows if "Alarm`" not in row[0]}
    assert listed == parameters
    alarms = {name: each for name, each in one(table, "alarms", api, "dev").items() if name != "AlarmTopic"}
    assert sorted(row[0].strip("`") for row in rows if "Alarm`" in row[0]) == sorted(alarms)
    metrics = sum("MetricStat" in each for name in alarms for each in alarms[name]["Properties"]["Metrics"])
    assert f"alarms: {metrics} metrics at $0.10" in page
    limit = made["Parameters"]["Timeout"]["MaxValue"]
    assert f"seconds, 1 to {limit} |" in page
    for stage, days in (("dev", "7 days"), ("prod", "365 days")):
        kept = {
            each["Properties"]["RetentionInDays"]
            for name, each in one(table, "logs", api, stage).items()
            if "Log" in name
        }
        assert kept == {int(days.split()[0])}
        assert days in page
