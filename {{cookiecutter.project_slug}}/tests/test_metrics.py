"""Metrics in the embedded metric format."""

import json
import time

import pytest
from fastapi import FastAPI

import metrics
import settings
from conftest import http_event
from invoke import Context
from lambda_handler import LambdaHandler
from middleware import add_middleware


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the namespace, as the stack does."""
    monkeypatch.setattr(settings, "METRICS_NAMESPACE", "orders")


def test_emit(capsys: pytest.CaptureFixture[str]) -> None:
    """A metric is one line of JSON that has the form of CloudWatch and of Lambda's log."""
    metrics.emit("Total", 9.5, "None", country="NL", name="value")
    line, after = capsys.readouterr().out.split("\n")
    written = json.loads(line)
    written_at = written["_aws"].pop("Timestamp")
    assert abs(written_at - time.time() * 1000) < 60_000
    assert isinstance(written_at, int)
    assert written.pop("timestamp") == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(written_at / 1000))
    directive = {"Namespace": "orders", "Dimensions": [["country", "name"]]}
    assert written == {
        "level": settings.LOG_LEVEL,
        "requestId": "",
        "_aws": {"CloudWatchMetrics": [directive | {"Metrics": [{"Name": "Total", "Unit": "None"}]}]},
        "country": "NL",
        "name": "value",
        "Total": 9.5,
    }
    assert after == ""


@pytest.mark.parametrize(
    ("name", "value", "dimensions"),
    [
        ("Total", float("nan"), {}),
        ("Total", float("inf"), {}),
        ("Total", 1, {f"d{number}": "x" for number in range(31)}),
        ("Total", 1, {"Total": "x"}),
        ("Total", 1, {"level": "x"}),
        ("requestId", 1, {}),
        ("_aws", 1, {}),
    ],
)
def test_what_cloudwatch_refuses(
    name: str, value: float, dimensions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error of the code, also in tests, where nothing is written."""
    monkeypatch.setattr(settings, "METRICS_NAMESPACE", "")
    with pytest.raises(ValueError, match=r"The metric '|Out of range"):
        metrics.emit(name, value, "Count", **dimensions)


def test_as_many_dimensions_as_there_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count("Total", **{f"d{number}": "x" for number in range(30)})
    written = json.loads(capsys.readouterr().out)
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert len(directive["Dimensions"][0]) == 30
    assert (directive["Metrics"], written["Total"]) == ([{"Name": "Total", "Unit": "Count"}], 1)


def test_request_of_a_metric(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric has the id of its request, and without a namespace none is written, as in tests and under uvicorn."""
    app = FastAPI()
    add_middleware(app)

    @app.get("/asynchronous")
    async def asynchronous() -> None:
        metrics.count("Seen")

    @app.get("/thread")
    def thread() -> None:
        metrics.count("Seen")

    handler = LambdaHandler(app)
    for path in ("/asynchronous", "/thread"):
        context = Context()
        handler(http_event(path), context)
        written = json.loads(capsys.readouterr().out)
        assert (written["Seen"], written["requestId"]) == (1, context.aws_request_id)
    monkeypatch.setattr(settings, "METRICS_NAMESPACE", "")
    assert handler(http_event("/thread"), Context())["statusCode"] == 200
    assert capsys.readouterr().out == ""
