"""An HTTP server before the emulator that does what a front end does: requests become events, and outputs responses.

Any method goes through, as schemathesis sends odd ones too.
"""

from __future__ import annotations

import base64
import threading
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the conversions are also used where there is no emulator
    from tests.emulator import Emulator


class Bridge:
    """A front end on a free port; leaving the `with` block stops it.

    Args:
        emulator: where the function runs.
        front_end: "http_api", "rest_api" or "function_url", whose events the function gets.
        stage: a named stage, which is then the first part of every path; without it the path is as it came.

    """

    def __init__(self, emulator: Emulator, front_end: str, stage: str = "") -> None:
        make = {"http_api": payload_2, "function_url": payload_2, "rest_api": payload_1}[front_end]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.serve
                raise AttributeError(name)

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                event = make(self, body, stage, front_end == "function_url")
                if event is None:
                    answer: dict[str, Any] = {"statusCode": 403, "body": '{"message":"Forbidden"}'}
                else:
                    answer = emulator.invoke(event)
                    if "statusCode" not in answer:
                        bridge.failures.append(answer)
                        answer = {"statusCode": 502, "body": '{"message":"Internal Server Error"}'}
                data = body_of(answer)
                self.send_response(answer["statusCode"])
                for name, value in sent(answer):
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        bridge = self
        self.failures: list[Any] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}" + (f"/{stage}" if stage else "")

    def __enter__(self) -> Bridge:
        """Start the server."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.server.shutdown()
        self.server.server_close()


def body_of(answer: dict[str, Any]) -> bytes:
    """Return the body of a function's answer."""
    data = (answer.get("body") or "").encode()
    return base64.b64decode(data) if answer.get("isBase64Encoded") else data


def sent(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the headers of a function's answer, one by one."""
    many = answer.get("multiValueHeaders") or {}
    headers = [(name, value) for name, value in (answer.get("headers") or {}).items() if name not in many]
    headers += [(name, value) for name, values in many.items() for value in values]
    return headers + [("set-cookie", cookie) for cookie in answer.get("cookies") or []]


def text_or_base64(body: bytes, binary: bool) -> dict[str, Any]:
    """Return body and isBase64Encoded of an event."""
    try:
        if not binary:
            return {"body": body.decode(), "isBase64Encoded": False} if body else {"isBase64Encoded": False}
    except UnicodeDecodeError:
        pass
    return {"body": base64.b64encode(body).decode() if body else None, "isBase64Encoded": bool(body)}


def payload_2(request: BaseHTTPRequestHandler, body: bytes, stage: str, raw: bool) -> dict[str, Any] | None:
    """Return an event of payload format 2.0; `raw` leaves rawPath encoded, as a Function URL does."""
    path, _, query = request.path.partition("?")
    path = path if raw else urllib.parse.unquote(path, errors="replace")
    if stage and not f"{path}/".startswith(f"/{stage}/"):
        return None
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in request.headers.items():
        if name.lower() == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";")]
        else:
            headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    headers |= {"x-forwarded-proto": "http", "x-forwarded-port": headers.get("host", ":80").rpartition(":")[2]}
    domain = "abc.lambda-url.us-east-1.on.aws" if raw else "abc.execute-api.us-east-1.amazonaws.com"
    own = path.removeprefix(f"/{stage}" if stage else "").lstrip("/")
    route = "$default" if raw else "ANY /{proxy+}" if own else "ANY /"
    decoded = urllib.parse.unquote(path, errors="replace") if raw else path
    http = {"method": request.command, "path": decoded, "sourceIp": "127.0.0.1", "userAgent": ""}
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "apiId": "abc",
            "domainName": domain,
            "http": http,
            "requestId": uuid.uuid4().hex,
            "routeKey": route,
            "stage": stage or "$default",
        },
        **({"cookies": cookies} if cookies else {}),
        **({"pathParameters": {"proxy": own}} if own and not raw else {}),
        **text_or_base64(body, binary=False),
    }


def payload_1(request: BaseHTTPRequestHandler, body: bytes, stage: str, raw: bool) -> dict[str, Any] | None:
    """Return an event of a REST API with binary types: the stage is in the context's path only."""
    path, _, query = request.path.partition("?")
    if not f"{path}/".startswith(f"/{stage}/"):
        return None
    own = path.removeprefix(f"/{stage}") or "/"
    many: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        many.setdefault(name, []).append(value)
    many |= {"X-Forwarded-Proto": ["http"], "X-Forwarded-Port": [many.get("Host", [":80"])[0].rpartition(":")[2]]}
    queries = urllib.parse.parse_qs(query, keep_blank_values=True) or None
    proxy = urllib.parse.unquote(own.strip("/"), errors="replace")
    return {
        "resource": "/{proxy+}" if proxy else "/",
        "path": own,
        "httpMethod": request.command,
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": queries and {name: values[-1] for name, values in queries.items()},
        "multiValueQueryStringParameters": queries,
        "pathParameters": {"proxy": proxy} if proxy else None,
        "requestContext": {
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "identity": {"sourceIp": "127.0.0.1"},
            "path": path,
            "requestId": str(uuid.uuid4()),
            "stage": stage,
        },
        "body": None,
        **text_or_base64(body, binary=True),
    }


def balanced(request: BaseHTTPRequestHandler, body: bytes) -> dict[str, Any]:
    """Return an event of a load balancer with multi-value headers, which decodes neither path nor query."""
    path, _, query = request.path.partition("?")
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    queries: dict[str, list[str]] = {}
    for parameter in filter(None, query.split("&")):
        name, _, value = parameter.partition("=")
        queries.setdefault(name, []).append(value)
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/t/1"}},
        "httpMethod": request.command,
        "path": path,
        "multiValueHeaders": headers,
        "multiValueQueryStringParameters": queries,
        "body": "",
        **text_or_base64(body, binary=False),
    }
