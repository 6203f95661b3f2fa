"""What the log of the function has of a request, under Lambda's own runtime, and requests that are out of bounds."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import boto3
import jsonschema
import pytest

from tests.conftest import Bake
from tests.emulator import Emulator
from tests.events import FRONT_ENDS, http_api
from tests.machine import ARCHITECTURE, interpreter
from tests.test_front_ends import headers

ROUTES = """
@app.get("/log")
async def log() -> None:
    logging.getLogger("shop").info("one")
    logging.getLogger("shop").warning("two", extra={"order": 7})


@app.get("/raise")
async def fail() -> None:
    raise RuntimeError("the reason")


@app.get("/wait")
async def wait() -> None:
    import asyncio, signal

    signal.setitimer(signal.ITIMER_REAL, 0.1)  # as if the function's time were nearly over
    await asyncio.sleep(20)
"""
JSON = {"content-type": "application/json"}
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
UNITS = boto3.client("cloudwatch", region_name="us-east-1").meta.service_model.shape_for("StandardUnit").enum
METRIC = {"type": "object", "required": ["Name"], "properties": {"Name": NAME, "Unit": {"enum": UNITS}}}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": NAME,
        "Dimensions": {"type": "array", "minItems": 1, "items": {"type": "array", "maxItems": 30, "items": NAME}},
        "Metrics": {"type": "array", "maxItems": 100, "items": METRIC},
    },
}
METADATA = {"Timestamp": {"type": "integer"}, "CloudWatchMetrics": {"type": "array", "items": DIRECTIVE}}
EMBEDDED = {
    "type": "object",
    "required": ["_aws"],
    "properties": {"_aws": {"type": "object", "required": [*METADATA], "properties": METADATA}},
}


@pytest.fixture(scope="module")
def function(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Return a project's function with routes of ours."""
    project = bake(runtime="python3.13", architecture=ARCHITECTURE, build_layer=True)
    task = shutil.copytree(project / "app", tmp_path_factory.mktemp("log") / "task")
    with (task / "main.py").open("a", encoding="utf-8") as main:
        main.write(ROUTES)
    environment = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "METRICS_NAMESPACE": "orders"}
    with Emulator(interpreter("python3.13"), task, project / "package", **environment) as function:
        yield function


def logged(function: Emulator, request_id: str) -> list[dict[str, Any]]:
    """Return the lines in JSON that the log has between the start and the end of a request."""
    part = re.search(rf"^START RequestId: {request_id}.*?^END RequestId: {request_id}$", function.said(), re.S | re.M)
    return [json.loads(line) for line in part[0].splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("path", "status", "messages"),
    [
        ("/log", 200, ["one", "two", "GET /log 200"]),
        ("/raise", 500, ["GET /raise 500", "Unhandled error in GET /raise"]),
        ("/wait", 504, ["GET /wait 504", "Ended before the timeout of the function: GET /wait, at"]),
    ],
)
def test_request_id(path: str, status: int, messages: list[str], function: Emulator) -> None:
    """Every line that a request logs has the id that its response has, which is that of Lambda."""
    response = function.invoke(http_api(path))
    assert response["statusCode"] == status
    lines = logged(function, response["headers"]["x-request-id"])
    assert {line["requestId"] for line in lines} == {response["headers"]["x-request-id"]}
    assert [line["message"].partition("\n")[0] for line in lines] == messages


def test_metric(function: Emulator) -> None:
    """It is a line of its own, in the embedded metric format, and not within a line of the log."""
    response = function.invoke(http_api("/items", method="POST", send=JSON, body='{"name": "A lamp"}'))
    assert response["statusCode"] == 201
    metric, line = logged(function, response["headers"]["x-request-id"])
    assert line["message"] == "POST /items 201"
    jsonschema.validate(metric, EMBEDDED)
    assert metric["ItemsCreated"] == 1
    (directive,) = metric["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "orders"
    # What CloudWatch reads besides is as in a line of the log, so one query finds both.
    assert metric.keys() - {"_aws", "ItemsCreated"} <= line.keys()
    assert (metric["requestId"], metric["level"]) == (line["requestId"], line["level"])


def test_units(bake: Bake) -> None:
    """Those that the code may name are those of CloudWatch."""
    code = (bake() / "app" / "metrics.py").read_text(encoding="utf-8")
    assert sorted(re.findall(r'"(.+?)"', code.partition("Unit = Literal[")[2].partition("]")[0])) == sorted(UNITS)


BODY = {"method": "POST", "send": JSON}
OUT_OF_BOUNDS: list[tuple[int, dict[str, Any]]] = [
    (413, BODY | {"body": "x" * 1_048_577}),
    (413, BODY | {"body": base64.b64encode(bytes(4_000_000)).decode(), "isBase64Encoded": True}),
    (413, BODY | {"body": "{}", "send": JSON | {"content-length": "1048577"}}),
    (413, {"body": "x" * 1_048_577}),
    (400, BODY | {"body": "[" * 1_000_000}),
    (400, BODY | {"body": base64.b64encode(b'{"name": "caf\xe9"}').decode(), "isBase64Encoded": True}),
    (422, BODY | {"body": "\x1f\x8b\x08", "send": JSON | {"content-encoding": "gzip"}}),
    (422, BODY | {"body": "{}", "send": JSON | {"content-length": "9" * 5000, "x-long": "x" * 10_240}}),
]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_requests_out_of_bounds(front_end: str, function: Emulator) -> None:
    """The application answers a request that is too large or malformed; it is no error of the function."""
    for status, more in OUT_OF_BOUNDS:
        response = function.invoke(FRONT_ENDS[front_end]("/items", **more))
        assert (response["statusCode"], [*json.loads(response["body"])]) == (status, ["detail"])
        lines = logged(function, headers(response)["x-request-id"])
        assert [line["level"] for line in lines] == ["INFO"]


def test_many_parameters(function: Emulator) -> None:
    """Ten thousand of them are answered."""
    query = "&".join(f"name{number}=x" for number in range(10_000))
    assert function.invoke(http_api("/items", rawQueryString=query))["statusCode"] == 200
    assert function.invoke(http_api("/items", rawQueryString=f"{query}&limit=0"))["statusCode"] == 422


def test_size_that_is_none(bake: Bake) -> None:
    """The function does not start, and says why."""
    project = bake(runtime="python3.13", architecture=ARCHITECTURE, build_layer=True)
    python, task, layer = interpreter("python3.13"), project / "app", project / "package"
    with Emulator(python, task, layer, MAX_BODY_SIZE="1 MB") as function:
        with pytest.raises(OSError, match="502") as error:
            function.invoke(http_api("/"))
        reason = json.loads(error.value.read())
    message = "MAX_BODY_SIZE is '1 MB'; it has to be a number of bytes, such as 1048576"
    assert (reason["errorType"], reason["errorMessage"]) == ("ValueError", message)
