"""The translation of events, without an application."""

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from starlette.requests import Request

import http_responses
import settings
from conftest import http_event
from http_events import (
    NotHttpError,
    choose_adapter,
    read_body,
    read_encoded_path,
    read_headers,
    read_scope,
    read_server,
    split_base_path,
    split_port,
)

API = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
CLIENTS = "10.0.0.1, 10.0.0.2, 203.0.113.7:5000"  # the last one is what a load balancer saw
URL = "a1b2c3d4e5.lambda-url.us-east-1.on.aws"


@pytest.fixture(autouse=True)
def no_address_from_before() -> None:
    """Let each test read the address of its own event."""
    read_server.cache_clear()


def payload_2(path: str, domain: str, **context: str) -> dict[str, Any]:
    """Return the parts of an event of an HTTP API or a Function URL that tell the base path."""
    http = {"path": unquote(path) if domain == URL else path}
    return {"rawPath": path, "requestContext": {"http": http, "domainName": domain, **context}}


def routed(key: str, proxy: str) -> dict[str, Any]:
    """Return what the event of an HTTP API has of the route that it matches."""
    return {"routeKey": key, "pathParameters": {"proxy": proxy}}


def payload_1(path: str, resource: str, proxy: str, **context: Any) -> dict[str, Any]:
    """Return the parts of an event of a REST API that tell the base path; a custom domain's is in both paths."""
    parameters = {"pathParameters": {"proxy": proxy}}
    return {"resource": resource, "path": path, "requestContext": {"path": path, **context}} | parameters


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
        (payload_2("/items/50%41", API, stage="$default"), "", "/items/50%41"),  # an HTTP API has decoded it
        (payload_2("", URL), "", "/"),
        (payload_2("", API), "", "/"),
        (payload_2("/dev", "api.example.com", stage="dev"), "", "/"),
        # The base path of a custom domain is what the route does not match.
        (payload_2("/shop/items/X", "x.com") | routed("ANY /{proxy+}", "items/X"), "/shop", "/shop/items/X"),
        (payload_2("/shop/", "x.com") | routed("ANY /", ""), "/shop", "/shop/"),
        (payload_2("/shop", "x.com") | routed("ANY /", ""), "/shop", "/shop/"),
        (payload_2("/shop/items", "x.com") | routed("$default", "items"), "", "/shop/items"),
        (payload_2("/shop/items", "x.com") | routed("", "items"), "", "/shop/items"),
        (payload_2("/shop/items", URL) | routed("ANY /{proxy+}", "items"), "", "/shop/items"),
        (payload_1("/shop/items/1", "/{proxy+}", "items/1"), "/shop", "/shop/items/1"),
        (payload_1("/shop/a%2Fb", "/{proxy+}", "a%2Fb"), "/shop", "/shop/a/b"),
        (payload_1("/shop", "/", ""), "/shop", "/shop/"),
        # Of a route with a resource of its own, the event has the path without a stage.
        (payload_1("/prod/items/1", "/items/{id}", "1") | {"path": "/items/1"}, "/prod", "/prod/items/1"),
        (payload_1("/shop/b", "/{proxy+}", "b", elb={}), "", "/shop/b"),
    ],
)
def test_base_path(event: dict[str, Any], base_path: str, path: str) -> None:
    """A named stage is the base path, and a client cannot make up another."""
    assert split_base_path(event, read_encoded_path(event)) == (base_path, path)


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
        (dict.fromkeys("ihgfedcba", 1), "an event with 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' in it"),
        ({"Records": ["text"]}, "an event with 'Records' in it"),
        ({"requestContext": {"elb": {}}}, "an event with 'requestContext' in it"),
        ({"version": "2.0", "requestContext": {}, "routeArn": "a"}, "an event with 'requestContext', 'routeArn', "),
        ({"version": "2.0", "requestContext": {}}, "an event with 'requestContext', 'version' in it"),
        ({"httpMethod": "GET", "requestContext": {}, "version": "3.0"}, "an event with 'httpMethod', "),
        (http_event("/") | {"methodArn": "a"}, "an event with "),
        (http_event("/") | {"routeArn": "a"}, "an event with "),
        (http_event("/") | {"requestContext": {"elb": {}, "http": {}, "connectionId": "c"}}, "an event of a WebSocket"),
        ([], "a list"),
    ],
)
def test_other_events_are_refused(event: Any, source: str) -> None:
    """An event that is not an HTTP request is refused by its source, not by where reading it failed."""
    with pytest.raises(NotHttpError) as refused:
        choose_adapter(event)
    message = str(refused.value)
    assert message.startswith(f"This function answers HTTP requests, and was called with {source}")
    assert message.endswith(". Give it a function of its own.")


@pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
def test_scheduled_event_is_refused(source: str) -> None:
    """The error shows the event that keeps the function warm, since a schedule is often meant to."""
    message = r'own\. A schedule that keeps this function warm sends \{"warmup": true\} instead\.$'
    with pytest.raises(NotHttpError, match=message):
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
        ("203.0.113.7:65535", ("203.0.113.7", 65535)),
        ("203.0.113.7:65536", ("203.0.113.7", 0)),
        ("203.0.113.7:000080", ("203.0.113.7", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
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


def http_api(**changed: Any) -> dict[str, Any]:
    """Return an event of an HTTP API, which has decoded the path."""
    context = {"domainName": API, "stage": "$default", "http": {"method": "POST", "path": "/a b;/é", "sourceIp": "::1"}}
    return {
        "version": "2.0",
        "routeKey": "ANY /{proxy+}",
        "rawPath": "/a b;/é",
        "rawQueryString": "q=%C3%A9&q=&empty",
        "cookies": ["a=1", "b=2"],
        "headers": {"Host": API, "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "HTTPS", "Cookie": "no"},
        "pathParameters": {"proxy": "a b;/é"},
        "requestContext": context,
    } | changed


def rest_api(**changed: Any) -> dict[str, Any]:
    """Return an event of a REST API with the base path `shop` of a custom domain."""
    return {
        "resource": "/{proxy+}",
        "path": "/items/a%20b/",
        "httpMethod": "GET",
        "headers": {"Host": "no"},
        "multiValueHeaders": {"Host": ["api.example.com"], "Cookie": ["a=1", "b=2"], "X-Null": None},
        "queryStringParameters": {"q": "no"},
        "multiValueQueryStringParameters": {"q": ["é", "a b"], "empty": [None]},
        "pathParameters": {"proxy": "items/a%20b"},
        "requestContext": {
            "domainName": "api.example.com",
            "path": "/shop/items/a%20b/",
            "identity": {"sourceIp": "203.0.113.7"},
        },
    } | changed


def load_balancer(**changed: Any) -> dict[str, Any]:
    """Return an event of a load balancer."""
    return {
        "path": "/a%20b/%2F",
        "httpMethod": "GET",
        "headers": {"host": "lb.example.com:81", "x-forwarded-for": CLIENTS, "cookie": "a=1"},
        "queryStringParameters": {"q": "%C3%A9", "empty": ""},
        "requestContext": {"elb": {}},
    } | changed


@pytest.mark.parametrize(
    ("event", "adapter", "expected"),
    [
        (
            http_api(),
            http_responses.PAYLOAD_2,
            {
                "method": "POST",
                "scheme": "https",
                "root_path": "",
                "path": "/a b;/é",
                "raw_path": b"/a%20b;/%C3%A9",
                "query_string": b"q=%C3%A9&q=&empty",
                "headers": {
                    b"host": API.encode(),
                    b"x-forwarded-port": b"8443",
                    b"x-forwarded-proto": b"HTTPS",
                    b"cookie": b"a=1; b=2",
                },
                "server": (API, 8443),
                "client": ("::1", 0),
            },
        ),
        (
            # The base path `shop` of a custom domain, and a proxy in front that uses HTTP.
            http_api(
                headers={"X-Forwarded-Proto": "http"},
                cookies=None,
                rawQueryString=None,
                requestContext={
                    "domainName": None,
                    "http": {"method": "GET", "path": "/shop/a b;/é", "sourceIp": None},
                },
            ),
            http_responses.PAYLOAD_2,
            {
                "method": "GET",
                "scheme": "http",
                "root_path": "/shop",
                "path": "/shop/a b;/é",
                "raw_path": b"/shop/a%20b;/%C3%A9",
                "query_string": b"",
                "headers": {b"x-forwarded-proto": b"http"},
                "server": None,
                "client": None,
            },
        ),
        (
            # A Function URL has decoded one of its two paths.
            http_api(
                routeKey="$default",
                rawPath="/%41%252Fb",
                pathParameters=None,
                requestContext={"domainName": URL, "http": {"method": "GET", "path": "/A%2Fb", "sourceIp": "1.2.3.4"}},
            ),
            http_responses.PAYLOAD_2,
            {
                "method": "GET",
                "root_path": "",
                "path": "/A%2Fb",
                "raw_path": b"/%41%252Fb",
                "server": (URL, 8443),
                "client": ("1.2.3.4", 0),
            },
        ),
        (
            rest_api(),
            http_responses.PAYLOAD_1,
            {
                "method": "GET",
                "scheme": "https",
                "root_path": "/shop",
                "path": "/shop/items/a b/",
                "raw_path": b"/shop/items/a%20b/",
                "query_string": b"q=%C3%A9&q=a+b&empty=",
                "headers": {b"host": b"api.example.com", b"cookie": b"a=1; b=2"},
                "server": ("api.example.com", 443),
                "client": ("203.0.113.7", 0),
            },
        ),
        (
            # An HTTP API's older format, and the console's test events, which have null for what is empty.
            rest_api(
                version="1.0",
                resource=None,
                path="/items",
                headers={"host": API, "x-forwarded-port": "81,80"},
                multiValueHeaders=None,
                queryStringParameters={"q": "é", "empty": None},
                multiValueQueryStringParameters=None,
                pathParameters=None,
                requestContext={"domainName": API, "path": "/dev/items", "identity": None},
            ),
            http_responses.PAYLOAD_1,
            {
                "root_path": "/dev",
                "path": "/dev/items",
                "query_string": b"q=%C3%A9&empty=",
                "headers": {b"host": API.encode(), b"x-forwarded-port": b"81,80"},
                "server": (API, 81),
                "client": None,
            },
        ),
        (
            load_balancer(),
            http_responses.LOAD_BALANCER,
            {
                "method": "GET",
                "scheme": "https",
                "root_path": "",
                "path": "/a b//",
                "raw_path": b"/a%20b/%2F",
                "query_string": b"q=%C3%A9&empty=",
                "headers": {
                    b"host": b"lb.example.com:81",
                    b"x-forwarded-for": CLIENTS.encode(),
                    b"cookie": b"a=1",
                },
                "server": ("lb.example.com", 81),
                "client": ("203.0.113.7", 5000),
            },
        ),
        (
            load_balancer(
                headers=None,
                multiValueHeaders={"host": ["lb.example.com"], "x-forwarded-proto": ["http"], "cookie": ["a=1", "b=2"]},
                multiValueQueryStringParameters={"q": ["1", "2"]},
                path="",
            ),
            http_responses.LOAD_BALANCER_MULTI_VALUE,
            {
                "scheme": "http",
                "path": "/",
                "raw_path": b"/",
                "query_string": b"q=1&q=2",
                "headers": {b"host": b"lb.example.com", b"x-forwarded-proto": b"http", b"cookie": b"a=1; b=2"},
                "server": ("lb.example.com", 80),
                "client": None,
            },
        ),
    ],
)
def test_scope(event: dict[str, Any], adapter: http_responses.Adapter, expected: dict[str, Any]) -> None:
    """The ASGI scope of a request to each front end."""
    assert choose_adapter(event) is adapter
    context = object()
    scope = read_scope(event, context)
    assert dict(scope["headers"]) == expected.get("headers", dict(scope["headers"]))
    assert len(dict(scope["headers"])) == len(scope["headers"])
    assert {name: scope[name] for name in expected if name != "headers"} == {
        name: value for name, value in expected.items() if name != "headers"
    }
    assert (scope["type"], scope["http_version"]) == ("http", "1.1")
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert (scope["aws.event"], scope["aws.context"]) == (event, context)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/shop/items", ("/shop", "/shop/items")),
        ("/items", ("/shop", "/shop/items")),
        ("/shopping", ("/shop", "/shop/shopping")),
    ],
)
def test_public_url(path: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its host is the only one, and its base path comes first, whether the proxy in front passes it on or not."""
    monkeypatch.setattr(settings, "PUBLIC_URL", urlsplit("http://www.example.com/shop"))
    event = load_balancer(path=path, headers={"host": "lb.example.com", "x-a": "b", "x-forwarded-proto": "https"})
    scope = read_scope(event, None)
    assert (scope["root_path"], scope["path"]) == expected
    assert (scope["scheme"], scope["server"]) == ("http", ("www.example.com", 80))
    assert scope["raw_path"] == expected[1].encode()
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"www.example.com"]
    assert (b"x-a", b"b") in scope["headers"]


def test_public_url_of_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage of an API behind a proxy is no part of what clients see."""
    monkeypatch.setattr(settings, "PUBLIC_URL", urlsplit("https://www.example.com"))
    scope = read_scope(payload_1("/prod/a%20b;$", "/{proxy+}", "a%20b;$") | {"httpMethod": "GET"}, None)
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("", "/a b;$", b"/a%20b;$")


@pytest.mark.parametrize(
    ("sent", "path", "raw_path"),
    [("/%41", "/A", b"/%41"), ("/é", "/é", b"/%C3%A9"), ("/a%20b", "/a b", b"/a%20b"), ("/a;b", "/a;b", b"/a;b")],
)
def test_raw_path(sent: str, path: str, raw_path: bytes) -> None:
    """It is what the client has sent, encoded as far as it has to be."""
    scope = read_scope(load_balancer(path=sent), None)
    assert (scope["path"], scope["raw_path"]) == (path, raw_path)


def test_half_a_character() -> None:
    """JSON may have half of a surrogate pair, which no encoding has: a question mark is in its place."""
    headers = {"host": "lb.example.com", "x-\ud800": "a\ud800"}
    scope = read_scope(load_balancer(headers=headers, queryStringParameters={"q": "\ud800"}), None)
    assert (b"x-?", b"a?") in scope["headers"]
    assert scope["query_string"] == b"q=?"


def test_older_format_without_a_resource() -> None:
    """Either of its two marks tells an event of payload format 1.0."""
    event = {"httpMethod": "GET", "requestContext": {}}
    assert choose_adapter(event | {"version": "1.0"}) is http_responses.PAYLOAD_1
    assert choose_adapter(event | {"resource": "/"}) is http_responses.PAYLOAD_1


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ({}, b""),
        ({"body": "é\udc80"}, "é?".encode()),
        ({"body": "w6k=", "isBase64Encoded": True}, "é".encode()),
        ({"body": "a*b=", "isBase64Encoded": True}, None),
    ],
)
def test_body(event: dict[str, Any], body: bytes | None) -> None:
    """A body is text or base64; one that says it is base64 and is not cannot be read."""
    assert read_body(event) == body
