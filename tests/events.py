"""What the front doors hand to the function, made from a path."""

from typing import Any

HOST = "abc.execute-api.eu-west-1.amazonaws.com"


def http_api(path: str, stage: str = "$default", method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return an event of an HTTP API, payload format 2.0; with a named stage the path starts with the stage."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "t"}
    return {
        "version": "2.0",
        "routeKey": "ANY /{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": HOST, "x-forwarded-proto": "https", "x-forwarded-port": "443"},
        "requestContext": {"apiId": "abc", "domainName": HOST, "stage": stage, "http": http},
        "isBase64Encoded": False,
    } | more
