"""Translate Lambda events to ASGI requests and ASGI responses to Lambda's, with Mangum's adapters.

The events are those of API Gateway HTTP APIs and REST APIs, Lambda Function URLs and Application Load Balancers.
"""

import json
import logging
import sys
from typing import Any
from urllib.parse import unquote

from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.handlers import ALB, APIGateway, HTTPGateway
from mangum.types import LambdaConfig, Response, Scope

# 6 MB as the runtime counts them: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
RESPONSE_LIMIT = 6_291_556
# By default Mangum sends the types added here as base64, which a REST API without binary types delivers undecoded.
TEXT_TYPES = [*DEFAULT_TEXT_MIME_TYPES, "+json", "+xml", "application/yaml"]
CONFIG = LambdaConfig(api_gateway_base_path="/", text_mime_types=TEXT_TYPES, exclude_headers=[])

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Adapter = ALB | APIGateway | HTTPGateway


class NotHttpError(ValueError):
    """The function was called with something that is not an HTTP request."""

    def __init__(self, event: object) -> None:
        source = describe_event(event)
        message = f"This function answers HTTP requests, and was called with {source}. Give it a function of its own."
        if source.endswith((" aws.events", " aws.scheduler")):
            message += ' A schedule that keeps this function warm sends {"warmup": true} instead.'
        super().__init__(message)


def read_request(event: Any, context: Any) -> tuple[Adapter, Scope, bytes]:
    """Return Mangum's adapter for an event, and the ASGI scope and the body of its request.

    Raises:
        NotHttpError: the event is not an HTTP request.
    """
    adapter_class = choose_adapter(event)
    try:
        request = normalize_event(event)
        adapter = adapter_class(request, context, CONFIG)
        scope, body = adapter.scope, adapter.body
        scope["root_path"], scope["path"] = split_base_path(request)
        # A load balancer appends the address that it saw to those that the client has claimed.
        scope["client"] = (str(scope["client"][0]).rpartition(",")[2].strip(), 0)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotHttpError(event) from error
    return adapter, scope, body


def write_response(response: Response, adapter: Adapter, scope: Scope) -> dict[str, Any]:
    """Return an ASGI response in the form that the front end of the adapter takes."""
    output = adapter(
        {
            "status": response["status"],
            # ASGI has Latin-1, and Mangum reads UTF-8.
            "headers": [[name, value.decode("latin-1").encode()] for name, value in response["headers"]],
            # The front ends would deliver the body of a response to HEAD.
            "body": b"" if scope["method"] == "HEAD" else response["body"],
        }
    )
    if response["status"] in (204, 304):
        (output.get("headers") or {}).pop("content-type", None)  # Mangum has added it, although there is no content
    return limit_response(output, scope["aws.context"])


def choose_adapter(event: Any) -> type[Adapter]:
    """Return Mangum's adapter for the events of a front end.

    Raises:
        NotHttpError: no HTTP front end sends such an event.
    """
    context = event.get("requestContext") if isinstance(event, dict) else None
    if not isinstance(context, dict) or "methodArn" in event or "routeArn" in event:  # an authorizer's have an ARN
        raise NotHttpError(event)
    if "httpMethod" in event:
        if "elb" in context:
            return ALB
        if "resource" in event or event.get("version") == "1.0":
            return APIGateway
    if event.get("version") == "2.0" and "http" in context:
        return HTTPGateway
    raise NotHttpError(event)


def normalize_event(event: Event) -> Event:
    """Return an HTTP event in the form in which Mangum reads it right."""
    normalized = dict(event)
    headers = event.get("headers") or {}  # null in the test events of the console
    normalized["headers"] = {name: value for name, value in headers.items() if value is not None}
    many = normalized.pop("multiValueHeaders", None)
    if many:  # HTTP/2 has a header for each cookie, and Mangum joins headers by a comma
        normalized["multiValueHeaders"] = {
            name: ["; ".join(values)] if name.lower() == "cookie" else values for name, values in many.items() if values
        }
    for name in ("queryStringParameters", "multiValueQueryStringParameters"):
        if event.get(name):  # a parameter without a value is null, which Mangum writes as "None"
            normalized[name] = {
                key: [item or "" for item in value] if isinstance(value, list) else value or ""
                for key, value in event[name].items()
            }
    return normalized


def split_base_path(event: Event) -> tuple[str, str]:
    """Return the base path and the whole path of a request, both decoded: ASGI's `root_path` and `path`.

    The base path is a stage or that of a custom domain. An application leaves `root_path` out when it looks for a
    route, and puts it into redirects, links and the address of the OpenAPI schema. It is another one for each address
    of the service, so no setting could hold it.
    """
    context = event["requestContext"]
    if "elb" in context:
        return "", unquote(event["path"] or "/")
    proxy = (event.get("pathParameters") or {}).get("proxy") or ""
    if "http" in context:
        path, domain = context["http"]["path"] or "/", context.get("domainName") or ""
        if ".lambda-url." in domain:
            return "", unquote(path)
        # An HTTP API has decoded the path; doing so again would change `50%41`. A stage called $default is not in it.
        stage = f"/{context.get('stage') or '$default'}"
        if stage != "/$default" and f"{path}/".startswith(f"{stage}/"):
            if ".execute-api." in domain:
                return stage, path if path != stage else f"{stage}/"
            path = path.removeprefix(stage) or "/"  # a custom domain's stage is not in the client's address
        matched = [proxy] if (event.get("routeKey") or "").rpartition(" ")[2] in ("/", "/{proxy+}") else []
    else:
        path = unquote(context.get("path") or event["path"] or "/")
        matched = [proxy, unquote(proxy)] if event.get("resource") in ("/", "/{proxy+}") else [unquote(event["path"])]
    for route_path in (f"/{own.strip('/')}" for own in matched):  # a slash at its end may be missing
        base_path = path.rstrip("/").removesuffix(route_path.rstrip("/"))
        if f"{base_path}{route_path}".rstrip("/") == path.rstrip("/"):
            return base_path, path if path != base_path else f"{base_path}/"
    return "", path


def limit_response(response: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the response, or a small one with status 500 in place of one that is larger than Lambda can send."""
    # A character may take six bytes in JSON, so most responses need no counting.
    if len(response.get("body") or "") * 6 < RESPONSE_LIMIT:
        return response
    size = len(json.dumps(response, ensure_ascii=sys.version_info < (3, 12)).encode())
    if size <= RESPONSE_LIMIT:
        return response
    logger.error("The response has %d bytes and Lambda takes %d; the client got status 500", size, RESPONSE_LIMIT)
    for group, json_type in (("headers", "application/json"), ("multiValueHeaders", ["application/json"])):
        if response.get(group):
            kept = {name: value for name, value in response[group].items() if not name.lower().startswith("content-")}
            response[group] = kept | {"content-type": json_type}
    request_id = getattr(context, "aws_request_id", None)
    body = json.dumps({"detail": "The response is larger than Lambda can send", "request_id": request_id})
    return response | {"statusCode": 500, "body": body, "isBase64Encoded": False}


def describe_event(event: Any) -> str:
    """Return where an event comes from, without its content."""
    if not isinstance(event, dict):
        return f"a {type(event).__name__}"
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        return f"an event of {records[0].get('eventSource') or records[0].get('EventSource')}"
    if isinstance(event.get("requestContext"), dict) and "connectionId" in event["requestContext"]:
        return "an event of a WebSocket API"
    if isinstance(event.get("source"), str):
        return f"an event of {event['source']}"
    return f"an event with {', '.join(sorted(map(repr, event))[:8]) or 'nothing'} in it"
