"""Events of the HTTP front ends, made from a path."""

from typing import Any
from urllib.parse import quote, unquote

HOST = "abc.execute-api.eu-west-1.amazonaws.com"
URL_HOST = "abc.lambda-url.eu-west-1.on.aws"
CLIENT = "203.0.113.7"


def http_api(
    path: str,
    stage: str | None = "$default",
    method: str = "GET",
    host: str = HOST,
    proxy: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an event of an HTTP API, payload format 2.0; with a named stage the path starts with the stage.

    With `proxy` the route is ANY /{proxy+}, without it is the default route.
    """
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": CLIENT, "userAgent": "t"}
    route = "$default" if proxy is None else "ANY /{proxy+}" if proxy else "ANY /"
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": host, "x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": CLIENT},
        "requestContext": {"apiId": "abc", "domainName": host, "stage": stage, "http": http, "routeKey": route},
        "isBase64Encoded": False,
    }
    if proxy:
        event["pathParameters"] = {"proxy": proxy}
    return with_headers(event, more.pop("send", {})) | more


def function_url(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return an event of a Function URL: rawPath is the path as the client has sent it, the context has it decoded."""
    event = http_api(quote(path, safe="/%"), method=method, host=URL_HOST, **more)
    event["requestContext"]["http"]["path"] = unquote(event["rawPath"])
    return event


def rest_api(
    path: str, stage: str = "Prod", ctx: str | None = None, method: str = "GET", host: str = HOST, **more: Any
) -> dict[str, Any]:
    """Return an event of a REST API; the stage, or a base path, is in `ctx` only, the path of the client's address."""
    headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443", "X-Forwarded-For": CLIENT}
    event = {
        "resource": "/{proxy+}" if path != "/" else "/",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path[1:]} if path != "/" else None,
        "requestContext": {
            "stage": stage,
            "path": f"/{stage}{path}" if ctx is None else ctx,
            "domainName": host,
            "identity": {"sourceIp": CLIENT},
        },
        "body": None,
        "isBase64Encoded": False,
    }
    return with_headers(event, more.pop("send", {})) | more


def load_balancer(path: str, method: str = "GET", many: bool = False, **more: Any) -> dict[str, Any]:
    """Return an event of an Application Load Balancer, with multi-value headers or without."""
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/1"
    headers = {
        "host": "lb.example.com",
        "x-forwarded-for": CLIENT,
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
    }
    event: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": arn}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": headers,
        "body": "",
        "isBase64Encoded": False,
    }
    event = with_headers(event, more.pop("send", {}))
    if many:
        event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
        event["multiValueQueryStringParameters"] = {
            name: [value] for name, value in event.pop("queryStringParameters").items()
        }
    return event | more


def with_headers(event: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Return the event with more headers, in each form that it has them."""
    event["headers"] |= headers
    if "multiValueHeaders" in event:
        event["multiValueHeaders"] |= {name: [value] for name, value in headers.items()}
    return event


FRONT_ENDS = {
    "http_api": http_api,
    "rest_api": rest_api,
    "function_url": function_url,
    "load_balancer": load_balancer,
}
