"""Translate Lambda events to ASGI requests.

The events are those of API Gateway HTTP APIs and REST APIs, Lambda Function URLs and Application Load Balancers.
"""

import re
from base64 import b64decode
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from mangum.types import Scope

import settings
from http_responses import LOAD_BALANCER, LOAD_BALANCER_MULTI_VALUE, PAYLOAD_1, PAYLOAD_2, Adapter

HOST = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d*)?", re.ASCII)
DEFAULT_PORTS = {"http": 80, "https": 443}
UNQUOTED = "/!$&'()*+,;=:@"  # what a path may have besides letters, digits and -._~
PLAIN_PATH = re.compile(rf"[\w.~{UNQUOTED}-]*", re.ASCII)  # quoting would not change it

Event = dict[str, Any]


class NotHttpError(ValueError):
    """The function was called with something that is not an HTTP request."""

    def __init__(self, event: object) -> None:
        source = describe_event(event)
        message = f"This function answers HTTP requests, and was called with {source}. Give it a function of its own."
        if source.endswith((" aws.events", " aws.scheduler")):
            message += ' A schedule that keeps this function warm sends {"warmup": true} instead.'
        super().__init__(message)


def choose_adapter(event: Any) -> Adapter:
    """Return Mangum's adapter for responses to the front end that has sent an event.

    Raises:
        NotHttpError: no HTTP front end sends such an event.
    """
    context = event.get("requestContext") if isinstance(event, dict) else None
    # The events of a WebSocket API have a connection, those of an authorizer an ARN.
    if not isinstance(context, dict) or "connectionId" in context or "methodArn" in event or "routeArn" in event:
        raise NotHttpError(event)
    if isinstance(event.get("httpMethod"), str):
        if "elb" in context:
            return LOAD_BALANCER_MULTI_VALUE if "multiValueHeaders" in event else LOAD_BALANCER
        if "resource" in event or event.get("version") == "1.0":
            return PAYLOAD_1
    if event.get("version") == "2.0" and isinstance(context.get("http"), dict):
        return PAYLOAD_2
    raise NotHttpError(event)


def read_scope(event: Event, context: Any) -> Scope:
    """Return the ASGI scope of the request in an HTTP event.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: the event has not the fields that front ends send.
    """
    request = event["requestContext"]
    headers = read_headers(event)
    last = dict(headers)
    scheme, host = last.get("x-forwarded-proto", "").lower(), last.get("host", "")
    encoded = read_encoded_path(event)
    root_path, path = split_base_path(event, encoded)
    if settings.PUBLIC_URL.netloc:
        scheme, host = settings.PUBLIC_URL.scheme, settings.PUBLIC_URL.netloc
        headers = [("host", host), *(header for header in headers if header[0] != "host")]
        own_path, root_path = path.removeprefix(root_path), settings.PUBLIC_URL.path
        path = own_path if f"{own_path}/".startswith(f"{root_path}/") else root_path + own_path
    if scheme not in ("http", "https"):
        scheme = "https"
    if "elb" in request:  # it appends the address that it saw to those that the client has claimed
        address = last.get("x-forwarded-for", "").rpartition(",")[2]
    else:
        address = (request.get("http") or request.get("identity") or {}).get("sourceIp") or ""
    client = split_port(address.strip(), 0)
    server, port = read_server(scheme, host, last.get("x-forwarded-port", ""))
    server = request.get("domainName") or server
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": event["httpMethod"] if "httpMethod" in event else request["http"]["method"],
        "scheme": scheme,
        "root_path": root_path,
        "path": path,
        "raw_path": quote_path(path, encoded).encode(),
        "query_string": read_query(event).encode(errors="replace"),
        "headers": encode_headers(headers),
        "server": (server, port) if server else None,
        "client": client if client[0] else None,
        "aws.event": event,
        "aws.context": context,
    }


def read_body(event: Event) -> bytes | None:
    """Return the body of a request, or None if it is not base64 although the event says so."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode(errors="replace")
    try:
        return b64decode(body, validate=True)
    except ValueError:
        return None


def read_headers(event: Event) -> list[tuple[str, str]]:
    """Return the headers of a request, with names in lower case and all cookies in one header."""
    if many := event.get("multiValueHeaders"):
        headers = [
            (name.lower(), value)
            for name, values in many.items()
            for value in (values if isinstance(values, list) else [values])
            if value is not None
        ]
    else:  # both may be null in the test events of the console
        headers = [(name.lower(), value) for name, value in (event.get("headers") or {}).items() if value is not None]
    # HTTP/2 has a header for each cookie; payload format 2.0 has a list beside the headers.
    cookies = event.get("cookies") or [value for name, value in headers if name == "cookie"]
    if not cookies:
        return headers
    return [header for header in headers if header[0] != "cookie"] + [("cookie", "; ".join(cookies))]


def encode_headers(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them; half a surrogate, which JSON may have and UTF-8 may not, becomes a ?."""
    try:
        return [(name.encode(), value.encode()) for name, value in headers]
    except UnicodeEncodeError:
        return [(name.encode(errors="replace"), value.encode(errors="replace")) for name, value in headers]


def read_query(event: Event) -> str:
    """Return the query string of a request; a parameter without a value may be null in an event."""
    if "http" in event["requestContext"]:
        return event.get("rawQueryString") or ""
    many = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    pairs = [
        (name, value or "")
        for name, values in many.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    # A load balancer, unlike a REST API, leaves parameters as the client has encoded them.
    return "&".join(map("=".join, pairs)) if "elb" in event["requestContext"] else urlencode(pairs)


def read_encoded_path(event: Event) -> str:
    """Return the path as the client has sent it; an HTTP API has decoded it."""
    context = event["requestContext"]
    if "http" not in context:
        return context.get("path") or event["path"] or "/"
    if ".lambda-url." in (context.get("domainName") or ""):
        return event["rawPath"] or "/"
    path = context["http"]["path"] or "/"
    return path if PLAIN_PATH.fullmatch(path) else quote(path, UNQUOTED)


def quote_path(path: str, encoded: str) -> str:
    """Return a path encoded as the client has encoded it, where that is known."""
    if path == encoded and PLAIN_PATH.fullmatch(path):
        return path
    return quote(encoded, f"%{UNQUOTED}") if unquote(encoded) == path else quote(path, UNQUOTED)


def split_base_path(event: Event, encoded: str) -> tuple[str, str]:
    """Return the base path and the whole path of a request, both decoded: ASGI's `root_path` and `path`.

    The base path is a stage or that of a custom domain. An application leaves `root_path` out when it looks for a
    route, and puts it into redirects, links and the address of the OpenAPI schema. It is another one for each address
    of the service, so no setting could hold it.
    """
    context, path = event["requestContext"], unquote(encoded)
    proxy = (event.get("pathParameters") or {}).get("proxy") or ""
    if "elb" in context or ".lambda-url." in (context.get("domainName") or ""):
        return "", path
    if "http" in context:
        # A stage called $default is not in the path.
        stage = f"/{context.get('stage') or '$default'}"
        if stage != "/$default" and f"{path}/".startswith(f"{stage}/"):
            if ".execute-api." in (context.get("domainName") or ""):
                return stage, path if path != stage else f"{stage}/"
            path = path.removeprefix(stage) or "/"  # a custom domain's stage is not in the client's address
        matched = [proxy] if (event.get("routeKey") or "").rpartition(" ")[2] in ("/", "/{proxy+}") else []
    else:
        matched = [proxy, unquote(proxy)] if event.get("resource") in ("/", "/{proxy+}") else [unquote(event["path"])]
    for own in matched:
        route_path = f"/{own.strip('/')}"  # a slash at its end may be missing
        base_path = path.rstrip("/").removesuffix(route_path.rstrip("/"))
        if f"{base_path}{route_path}".rstrip("/") == path.rstrip("/"):
            return base_path, path if path != base_path else f"{base_path}/"
    return "", path


@lru_cache(maxsize=64)  # requests come to a few addresses
def read_server(scheme: str, host: str, forwarded_port: str) -> tuple[str, int]:
    """Return the host and the port that the headers name; no host if the header has none."""
    _, port = split_port(f":{forwarded_port.partition(',')[0].strip()}", DEFAULT_PORTS[scheme])
    return split_port(host if is_host(host) else "", port)


def split_port(address: str, default: int) -> tuple[str, int]:
    """Return the host and the port of an address such as 203.0.113.7:443 or [2001:db8::1]:443."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port) if len(port) < 6 and int(port) < 65536 else default
    return address.strip("[]"), default


def is_host(host: str) -> bool:
    """Return True if the value of a Host header is a host, with a port or without; clients may send anything."""
    if not HOST.fullmatch(host):
        return False
    try:
        return not host.startswith("[") or bool(urlsplit(f"//{host}").hostname)  # which looks into an IPv6 address
    except ValueError:
        return False


def describe_event(event: Any) -> str:
    """Return where an event comes from, without its content."""
    if not isinstance(event, dict):
        return f"a {type(event).__name__}"
    context, records = event.get("requestContext"), event.get("Records")
    record = records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else event
    if isinstance(context, dict) and "connectionId" in context:
        return "an event of a WebSocket API"
    if "cf" in record:
        return "an event of Lambda@Edge"
    for name in ("eventSource", "EventSource", "source"):  # those of Kafka and other brokers have it at the top
        if isinstance(record.get(name), str):
            return f"an event of {record[name]}"
    return f"an event with {', '.join(sorted(map(repr, event))[:8]) or 'nothing'} in it"
