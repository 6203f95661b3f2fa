"""The translation of events, without an application."""

from typing import Any
from urllib.parse import unquote

import pytest
from starlette.requests import Request

from conftest import http_event
from http_events import NotHttpError, choose_adapter, read_headers, read_scope, split_base_path, split_port

API = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
URL = "a1b2c3d4e5.lambda-url.us-east-1.on.aws"


def payload_2(path: str, domain: str, **context: str) -> dict[str, Any]:
    """Return the parts of an event of an HTTP API or a Function URL that tell the base path."""
    http = {"path": unquote(path) if domain == URL else path}
    return {"rawPath": path, "requestContext": {"http": http, "domainName": domain, **context}}


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
        # A Function URL has decoded one of its two paths.
        (payload_2("/items/a%252Fb", URL), "", "/items/a%2Fb"),
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
        ({"httpMethod": "GET", "requestContext": {"connectionId": "c"}}, "an event of a WebSocket API"),
        ({"Records": [{"cf": {"request": {}}}]}, "an event of Lambda@Edge"),
        ({"eventSource": "aws:kafka", "records": {}}, "an event of aws:kafka"),
        ({"methodArn": "a", "requestContext": {}, "httpMethod": "GET"}, "an event with 'httpMethod', 'methodArn', "),
        ({}, "an event with nothing in it"),
        (None, "a NoneType"),
    ],
)
def test_other_events_are_refused(event: Any, source: str) -> None:
    """An event that is not an HTTP request is refused by its source, not by where reading it failed."""
    with pytest.raises(NotHttpError, match=f"^This function answers HTTP requests, and was called with {source}"):
        choose_adapter(event)


@pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
def test_scheduled_event_is_refused(source: str) -> None:
    """The error shows the event that keeps the function warm, since a schedule is often meant to."""
    with pytest.raises(NotHttpError, match=r'sends \{"warmup": true\} instead'):
        choose_adapter({"source": source, "detail-type": "Scheduled Event", "detail": {}})


def test_null_headers() -> None:
    """The test events of the console have null for headers, or for one of them."""
    for headers in (None, {"host": None}):
        assert read_headers(http_event("/") | {"headers": headers, "multiValueHeaders": headers}) == []


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("203.0.113.7", ("203.0.113.7", 0)),
        ("203.0.113.7:32554", ("203.0.113.7", 32554)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("203.0.113.7:65536", ("203.0.113.7", 0)),
        ("localhost:x", ("localhost:x", 0)),
        ("", ("", 0)),
    ],
)
def test_address(address: str, parts: tuple[str, int]) -> None:
    """A port is no part of the host."""
    assert split_port(address, 0) == parts


@pytest.mark.parametrize("port", ["443", "443,80", "", "abc", "65536", "9" * 5000])
def test_port(port: str) -> None:
    """A forwarded port that cannot be read is left out, and the request is served."""
    event = http_event("/")
    event["headers"] = {"host": "a.example.com", "x-forwarded-port": port, "x-forwarded-proto": "javascript"}
    event["multiValueHeaders"] = None
    scope = read_scope(event, None)
    assert (scope["server"][1], scope["scheme"]) == (443, "https")


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("a.example.com", ("a.example.com", 443)),
        ("a.example.com:8443", ("a.example.com", 8443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
        *((host, None) for host in ("", "[:::]", "[a", "a b", "a/b", "me@a.example.com", "a:b")),
    ],
)
def test_server_of_a_load_balancer(host: str, server: tuple[str, int] | None) -> None:
    """It is known from the Host header alone, into which a client may write what is no host."""
    event = {"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/", "headers": {"host": host}}
    scope = read_scope(event, None)
    assert scope["server"] == server
    assert Request(scope).url.path == "/"
