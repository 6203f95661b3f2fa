"""The translation of events and responses, without an application."""

from typing import Any

import pytest

from conftest import http_event
from http_events import RESPONSE_LIMIT, NotHttpError, limit_response, normalize_event, read_request, split_base_path
from invoke import Context

API = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
URL = "a1b2c3d4e5.lambda-url.us-east-1.on.aws"


def payload_2(path: str, domain: str, **context: str) -> dict[str, Any]:
    """Return the parts of an event of an HTTP API or a Function URL that tell the base path."""
    return {"requestContext": {"http": {"path": path}, "domainName": domain, **context}}


@pytest.mark.parametrize(
    ("event", "base_path", "path"),
    [
        (payload_2("/items/1", API, stage="$default"), "", "/items/1"),
        (payload_2("/dev/items/1", API, stage="dev"), "/dev", "/dev/items/1"),
        (payload_2("/dev", API, stage="dev"), "/dev", "/dev/"),
        (payload_2("/dev/items/1", "api.example.com", stage="dev"), "", "/items/1"),
        # No front end puts $default into a path: rules in front of the service would not know such a path.
        (payload_2("/$default/items/1", API, stage="$default"), "", "/$default/items/1"),
        (payload_2("/$default/items/1", "api.example.com", stage="$default"), "", "/$default/items/1"),
        (payload_2("/%24default/items/1", URL, stage="$default"), "", "/$default/items/1"),
        (payload_2("/None/items/1", API), "", "/None/items/1"),
        (payload_2("/None/items/1", URL), "", "/None/items/1"),
    ],
)
def test_base_path(event: dict[str, Any], base_path: str, path: str) -> None:
    """A named stage is the base path, and a client cannot make up another."""
    assert split_base_path(event) == (base_path, path)


@pytest.mark.parametrize(
    ("event", "source"),
    [
        ({"Records": [{"eventSource": "aws:sqs"}]}, "an event of aws:sqs"),
        ({"Records": [{"EventSource": "aws:sns"}]}, "an event of aws:sns"),
        ({"source": "aws.s3", "detail": {}}, "an event of aws.s3"),
        ({"requestContext": {"routeKey": "$connect", "connectionId": "c"}}, "an event of a WebSocket API"),
        ({"methodArn": "a", "requestContext": {}, "httpMethod": "GET"}, "an event with 'httpMethod', 'methodArn', "),
        ({}, "an event with nothing in it"),
        (None, "a NoneType"),
    ],
)
def test_other_events_are_refused(event: Any, source: str) -> None:
    """An event that is not an HTTP request is refused by its source, not by where reading it failed."""
    with pytest.raises(NotHttpError, match=f"^This function answers HTTP requests, and was called with {source}"):
        read_request(event, Context())


@pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
def test_scheduled_event_is_refused(source: str) -> None:
    """The error shows the event that keeps the function warm, since a schedule is often meant to."""
    with pytest.raises(NotHttpError, match=r'sends \{"warmup": true\} instead'):
        read_request({"source": source, "detail-type": "Scheduled Event", "detail": {}}, Context())


def test_null_headers() -> None:
    """The test events of the console have null for headers, or for one of them."""
    for headers in (None, {"host": None}):
        event = normalize_event(http_event("/") | {"headers": headers, "multiValueHeaders": headers})
        assert (event["headers"], event.get("multiValueHeaders") or {}) == ({}, {})


@pytest.mark.parametrize("body", ["x" * RESPONSE_LIMIT, '"' * (RESPONSE_LIMIT // 2), "é" * (RESPONSE_LIMIT // 2)])
def test_response_that_is_too_large(body: str, caplog: pytest.LogCaptureFixture) -> None:
    """It becomes an error with the other headers kept, and a line in the log; what counts is its length as JSON."""
    headers = {"content-type": "text/plain", "content-encoding": "x", "access-control-allow-origin": "*"}
    response = {"statusCode": 200, "headers": headers, "body": body}
    limited = limit_response(response, Context())
    assert limited["statusCode"] == 500
    assert limited["headers"] == {"content-type": "application/json", "access-control-allow-origin": "*"}
    assert "The response is larger than Lambda can send" in limited["body"]
    assert "Lambda takes 6291556" in caplog.text
    small = {"statusCode": 200, "body": "x" * (RESPONSE_LIMIT - 1000)}
    assert limit_response(small, Context()) == small
