"""What becomes of an application's response, without an application."""

import json
import re
from typing import Any

import pytest

from http_responses import (
    LOAD_BALANCER,
    LOAD_BALANCER_LIMIT,
    LOAD_BALANCER_MULTI_VALUE,
    PAYLOAD_1,
    PAYLOAD_2,
    RESPONSE_LIMIT,
    Adapter,
    error_response,
    write_response,
)
from invoke import Context

CONTEXT = Context()


def write(response: Any, adapter: Adapter = PAYLOAD_2) -> dict[str, Any]:
    """Return what Lambda would send for a response to GET."""
    return write_response(response, adapter, {"method": "GET", "aws.context": CONTEXT})


@pytest.mark.parametrize("body", ["x" * RESPONSE_LIMIT, '"' * (RESPONSE_LIMIT // 2), "é" * (RESPONSE_LIMIT // 2)])
def test_response_that_is_too_large(body: str, caplog: pytest.LogCaptureFixture) -> None:
    """It becomes an error that other sites can read, and a line in the log; what counts is its length as JSON."""
    headers = [[b"content-type", b"text/plain"], [b"etag", b"x"], [b"access-control-allow-origin", b"*"]]
    limited = write({"status": 200, "headers": headers, "body": body.encode()})
    assert limited["statusCode"] == 500
    assert limited["headers"] == {"content-type": "application/json", "access-control-allow-origin": "*"}
    detail = {"detail": "The response is larger than Lambda can send", "request_id": CONTEXT.aws_request_id}
    assert json.loads(limited["body"]) == detail
    message = r"The response has \d+ bytes and the limit is 6291556; the client got status 500"
    assert re.fullmatch(message, caplog.messages[0])


@pytest.mark.parametrize(
    ("adapter", "size", "status"),
    [
        (PAYLOAD_2, RESPONSE_LIMIT, 200),
        (PAYLOAD_2, RESPONSE_LIMIT + 1, 500),
        (LOAD_BALANCER, LOAD_BALANCER_LIMIT, 200),
        (LOAD_BALANCER, LOAD_BALANCER_LIMIT + 1, 500),
    ],
)
def test_limit(adapter: Adapter, size: int, status: int) -> None:
    """What counts is what Lambda sends, the response as JSON; a load balancer takes less than Lambda sends."""
    response: dict[str, Any] = {"status": 200, "headers": [[b"content-type", b"text/plain"]], "body": b""}
    around = len(json.dumps(write(response, adapter)))
    assert write(response | {"body": b"x" * (size - around)}, adapter)["statusCode"] == status


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\0"])
def test_line_break_in_a_header(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP forbids it, so the response is refused and the log has the header."""
    response = write({"status": 307, "headers": [[b"location", value], [b"vary", b"origin"]], "body": b""})
    assert response["headers"] == {"content-type": "application/json", "vary": "origin"}
    detail = {"detail": "Internal Server Error", "request_id": CONTEXT.aws_request_id}
    assert (response["statusCode"], json.loads(response["body"])) == (500, detail)
    (message,) = caplog.messages
    assert message.startswith("HTTP forbids line breaks and null in a header; the client got status 500: [[b'location'")


@pytest.mark.parametrize("status", [200, 202, 307])
@pytest.mark.parametrize("adapter", [PAYLOAD_2, PAYLOAD_1, LOAD_BALANCER, LOAD_BALANCER_MULTI_VALUE])
def test_no_content_type(adapter: Adapter, status: int) -> None:
    """A response without a content type stays one."""
    response = write({"status": status, "headers": [], "body": b""}, adapter)
    assert not response.get("headers") and not response.get("multiValueHeaders")


def test_error_without_a_context() -> None:
    """The test events of other tools come without a context, so the response has no request id."""
    response = error_response(400, None)
    assert json.loads(response["body"]) == {"detail": "Bad Request", "request_id": None}


@pytest.mark.parametrize("status", [204, 304])
def test_nothing_to_have_a_type(status: int) -> None:
    """A response that has no body by its status has no content type, and keeps its other headers."""
    headers = [[b"Content-Type", b"text/plain"], [b"etag", b"\xe9"]]
    assert write({"status": status, "headers": headers, "body": b""})["headers"] == {"etag": "é"}
