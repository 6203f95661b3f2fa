"""What becomes of an application's response, without an application."""

from typing import Any

import pytest

from http_responses import LOAD_BALANCER, LOAD_BALANCER_LIMIT, PAYLOAD_2, RESPONSE_LIMIT, Adapter, write_response


def write(response: Any, adapter: Adapter = PAYLOAD_2) -> dict[str, Any]:
    """Return what Lambda would send for a response to GET."""
    return write_response(response, adapter, {"method": "GET", "aws.context": None})


@pytest.mark.parametrize("body", ["x" * RESPONSE_LIMIT, '"' * (RESPONSE_LIMIT // 2), "é" * (RESPONSE_LIMIT // 2)])
def test_response_that_is_too_large(body: str, caplog: pytest.LogCaptureFixture) -> None:
    """It becomes an error that other sites can read, and a line in the log; what counts is its length as JSON."""
    headers = [[b"content-type", b"text/plain"], [b"etag", b"x"], [b"access-control-allow-origin", b"*"]]
    limited = write({"status": 200, "headers": headers, "body": body.encode()})
    assert limited["statusCode"] == 500
    assert limited["headers"] == {"content-type": "application/json", "access-control-allow-origin": "*"}
    assert "The response is larger than Lambda can send" in limited["body"]
    assert "the limit is 6291556" in caplog.text


@pytest.mark.parametrize(
    ("adapter", "size", "status"),
    [
        (PAYLOAD_2, RESPONSE_LIMIT - 1000, 200),
        (LOAD_BALANCER, LOAD_BALANCER_LIMIT - 1000, 200),
        (LOAD_BALANCER, LOAD_BALANCER_LIMIT, 500),
    ],
)
def test_limit(adapter: Adapter, size: int, status: int) -> None:
    """A load balancer takes less than Lambda sends."""
    response = write({"status": 200, "headers": [[b"content-type", b"text/plain"]], "body": b"x" * size}, adapter)
    assert response["statusCode"] == status


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\0"])
def test_line_break_in_a_header(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP forbids it, so the response is refused and the log has the header."""
    response = write({"status": 307, "headers": [[b"location", value]], "body": b""})
    assert (response["statusCode"], response["headers"]) == (500, {"content-type": "application/json"})
    assert "location" in caplog.text


@pytest.mark.parametrize("status", [200, 202, 307])
def test_no_content_type(status: int) -> None:
    """A response without a content type stays one."""
    assert not write({"status": status, "headers": [], "body": b""}).get("headers")
