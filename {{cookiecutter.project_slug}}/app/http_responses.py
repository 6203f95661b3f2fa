"""Translate ASGI responses to what the HTTP front ends take, with Mangum's adapters."""

import json
import logging
import re
import sys
from collections.abc import Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Any

from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.handlers import ALB, APIGateway, HTTPGateway
from mangum.types import LambdaConfig, Response, Scope

# By default Mangum sends the types added here as base64, which a REST API without binary types delivers undecoded.
TEXT_TYPES = [*DEFAULT_TEXT_MIME_TYPES, "+json", "+xml", "application/yaml"]
CONFIG = LambdaConfig(api_gateway_base_path="/", text_mime_types=TEXT_TYPES, exclude_headers=[])
# Those of a response that are kept when an error replaces it. The others say what is no longer so.
KEPT_HEADERS = re.compile(rb"access-control-.+|vary|x-request-id", re.IGNORECASE)
FORBIDDEN_IN_HEADERS = re.compile(rb"[\0\r\n]")
# 6 MB as the runtime counts them: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
RESPONSE_LIMIT = 6_291_556
# 1 MB: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
LOAD_BALANCER_LIMIT = 1_048_576

logger = logging.getLogger(__name__)

Adapter = ALB | APIGateway | HTTPGateway


class Payload2(HTTPGateway):
    """Mangum's adapter, which makes the scope anew for each response, to read the event from it."""

    @cached_property
    def scope(self) -> Scope:
        """Return the scope of the event below, made once."""
        return super().scope


# Mangum's adapters read from an event in which form the front end takes responses. These events have that alone.
CONTEXT: Any = None
PAYLOAD_2 = Payload2(
    {"version": "2.0", "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": ""}}}, CONTEXT, CONFIG
)
PAYLOAD_1 = APIGateway({}, CONTEXT, CONFIG)
LOAD_BALANCER = ALB({"httpMethod": "GET", "path": "/", "headers": {}}, CONTEXT, CONFIG)
LOAD_BALANCER_MULTI_VALUE = ALB({"httpMethod": "GET", "path": "/", "multiValueHeaders": {}}, CONTEXT, CONFIG)


def write_response(response: Response, adapter: Adapter, scope: Scope) -> dict[str, Any]:
    """Return an ASGI response as the front end of the adapter takes it.

    A response with status 500 replaces one that HTTP forbids, or that is larger than Lambda or the front end takes.
    """
    status, headers = response["status"], list(response["headers"])
    joined = b"".join(map(b"".join, headers))
    if FORBIDDEN_IN_HEADERS.search(joined):
        forbidden = [header for header in headers if FORBIDDEN_IN_HEADERS.search(b"".join(header))]
        logger.error("HTTP forbids line breaks and null in a header; the client got status 500: %r", forbidden)
        return write_response(error_response(500, scope["aws.context"], headers), adapter, scope)
    if status in (204, 304):
        headers = [header for header in headers if header[0].lower() != b"content-type"]
    # The front ends would deliver the body of a response to HEAD.
    body = b"" if scope["method"] == "HEAD" else response["body"]
    encoded = headers
    if not joined.isascii():  # ASGI has Latin-1, and Mangum reads UTF-8
        encoded = [[name, value.decode("latin-1").encode()] for name, value in headers]
    output = adapter({"status": status, "headers": encoded, "body": body})
    if b"content-type" not in [name.lower() for name, _ in headers]:
        (output.get("headers") or {}).pop("content-type", None)  # Mangum has added one for payload format 2.0
    limit = LOAD_BALANCER_LIMIT if isinstance(adapter, ALB) else RESPONSE_LIMIT
    # A character may take six bytes in JSON, so most responses need no counting.
    if len(output["body"]) * 6 > limit:
        size = len(json.dumps(output, ensure_ascii=sys.version_info < (3, 12)).encode())
        if size > limit:
            logger.error("The response has %d bytes and the limit is %d; the client got status 500", size, limit)
            detail = "The response is larger than Lambda can send"
            return write_response(error_response(500, scope["aws.context"], headers, detail), adapter, scope)
    return output


def error_response(status: int, context: Any, replaced: Iterable[Any] = (), detail: str = "") -> Response:
    """Return a response in the form of FastAPI's errors, with the CORS headers and the request id of a replaced one."""
    body = {"detail": detail or HTTPStatus(status).phrase, "request_id": getattr(context, "aws_request_id", None)}
    kept = [[name, value] for name, value in replaced if KEPT_HEADERS.fullmatch(name)]
    kept = [header for header in kept if not FORBIDDEN_IN_HEADERS.search(header[1])]
    return {
        "status": status,
        "headers": [*kept, [b"content-type", b"application/json"]],
        "body": json.dumps(body).encode(),
    }
