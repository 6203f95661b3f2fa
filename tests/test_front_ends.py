"""The events of every HTTP front end through the handler of a rendered project, on its built layer.

There is a test for each fault that people have reported of FastAPI on Lambda, with the right outcome.
"""

import base64
import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake
from tests.events import CLIENT, FRONT_ENDS, HOST, function_url, http_api, load_balancer, rest_api
from tests.machine import ARCHITECTURE, interpreter
from tests.worker import HandlerError, Worker

ORIGIN = "https://ex.com"


@pytest.fixture(scope="module")
def project(bake: Bake) -> Path:
    """Return a project with its layer, for this machine's processor."""
    return bake(architecture=ARCHITECTURE, build_layer=True)


@pytest.fixture(scope="module")
def call(project: Path) -> Iterator[Worker]:
    """Return the handler, with an allowed origin."""
    with Worker(interpreter("python3.13"), project, ALLOWED_ORIGINS=ORIGIN + "/") as worker:
        yield worker


def headers(response: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a response, whichever form they have."""
    many = {name.lower(): values[-1] for name, values in (response.get("multiValueHeaders") or {}).items()}
    return {name.lower(): value for name, value in (response.get("headers") or {}).items()} | many


def content(response: dict[str, Any]) -> Any:
    """Return the decoded body: JSON where it is, else bytes."""
    body = response.get("body") or ""
    data = base64.b64decode(body) if response["isBase64Encoded"] else body.encode()
    return json.loads(data) if headers(response).get("content-type", "").endswith("json") else data


DOCS = [
    (rest_api("/docs"), "/Prod/openapi.json"),
    (rest_api("/docs", ctx="/docs", host="api.example.com"), "/openapi.json"),
    (rest_api("/docs", ctx="/shop/docs", host="api.example.com"), "/shop/openapi.json"),
    (rest_api("/docs/", ctx="/Prod/docs/", pathParameters={"proxy": "docs"}), None),
    # A base path is in `path` too, while what the route has matched is not.
    (rest_api("/shop/docs", ctx="/shop/docs", pathParameters={"proxy": "docs"}), "/shop/openapi.json"),
    (rest_api("/docs", stage="dev", ctx="/dev/docs"), "/dev/openapi.json"),
    (http_api("/docs"), "/openapi.json"),
    (http_api("/docs", proxy="docs"), "/openapi.json"),
    (http_api("/dev/docs", stage="dev"), "/dev/openapi.json"),
    (http_api("/dev/docs", stage="dev", proxy="docs"), "/dev/openapi.json"),
    (http_api("/dev/docs", stage="dev", host="api.example.com"), "/openapi.json"),
    (http_api("/dev/docs", stage="dev", host="api.example.com", proxy="docs"), "/openapi.json"),
    (http_api("/shop/docs", host="api.example.com", proxy="docs"), "/shop/openapi.json"),
    (http_api("/a/b/docs", host="api.example.com", proxy="docs"), "/a/b/openapi.json"),
    (function_url("/docs"), "/openapi.json"),
    (load_balancer("/docs"), "/openapi.json"),
    (load_balancer("/docs", many=True), "/openapi.json"),
    (rest_api("/docs"), "/Prod/openapi.json"),
]


def test_docs_find_their_schema(call: Worker) -> None:
    """Below a stage, below a base path, at the root, from one request to the next in the same process."""
    for event, schema in DOCS:
        page = call(event)
        if schema is None:
            continue
        assert page["statusCode"] == 200
        assert f"'{schema}'" in page["body"]
        text = json.dumps(event).replace("/docs", "/openapi.json").replace('"docs"', '"openapi.json"')
        document = content(call(json.loads(text)))
        prefix = schema.removesuffix("/openapi.json")
        assert document.get("servers") == ([{"url": prefix}] if prefix else None)


def test_root_path_is_nowhere_in_the_code(project: Path) -> None:
    """Importing gives no warning, and a variable with a stage in it changes nothing."""
    paths = [str(project / "app"), str(project / "package" / "python")]
    code = f"import sys; sys.path[:0] = {paths!r}; import main; assert main.app.root_path == ''"
    command = [interpreter("python3.13"), "-S", "-B", "-W", "error", "-c", code]
    subprocess.run(command, check=True, env={"STAGE": "dev", "ROOT_PATH": "/dev"})


@pytest.mark.parametrize(
    "event",
    [
        http_api("/dev/health", stage="dev"),
        http_api("/health"),
        http_api("/dev/health", stage="dev", host="api.example.com"),
        http_api("/health", stage="dev"),
        rest_api("/health"),
        rest_api("/health", ctx="/health"),
        function_url("/health"),
        load_balancer("/health"),
        load_balancer("/health", many=True),
    ],
)
def test_stage_is_not_part_of_the_route(event: dict[str, Any], call: Worker) -> None:
    """The same answer with a stage in the path and without."""
    response = call(event)
    assert (response["statusCode"], content(response)) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "event",
    [
        http_api("/$default/health"),
        http_api("/$default/health", proxy="$default/health"),
        http_api("/$default/health", host="api.example.com"),
        http_api("/$default/health", stage="dev"),
        http_api("/None/health", stage=None),
        http_api("/undefined/health", stage=None),
        http_api("//health", stage=""),
        function_url("/$default/health"),
        function_url("/%24default/health"),
        function_url("/None/health", stage=None),
        rest_api("/$default/health", stage="$default"),
        load_balancer("/$default/health"),
    ],
)
def test_client_cannot_make_up_a_stage(event: dict[str, Any], call: Worker) -> None:
    """No front end puts $default into a path, and rules in front of the service would not know such a path."""
    assert call(event)["statusCode"] == 404


def test_stage_without_slash(call: Worker) -> None:
    """The address of a stage without a final slash is that with one."""
    for host in (HOST, "api.example.com"):
        bare, slash = (call(http_api(path, stage="prod", host=host)) for path in ("/prod", "/prod/"))
        assert (bare["statusCode"], bare["body"]) == (slash["statusCode"], slash["body"])
        assert bare["statusCode"] == 200
    assert call(http_api("/prod", stage="prod", proxy=""))["statusCode"] == 200
    assert call(rest_api("/", ctx="/Prod"))["statusCode"] == 200


SLASH = [
    (rest_api("/probe/slash"), f"https://{HOST}/Prod/probe/slash/"),
    (http_api("/dev/probe/slash", stage="dev"), f"https://{HOST}/dev/probe/slash/"),
    (http_api("/probe/slash"), f"https://{HOST}/probe/slash/"),
    (
        rest_api("/probe/slash", ctx="/shop/probe/slash", host="api.example.com"),
        "https://api.example.com/shop/probe/slash/",
    ),
    (load_balancer("/probe/slash"), "https://lb.example.com/probe/slash/"),
]


@pytest.mark.parametrize(("event", "location"), SLASH)
def test_redirect_stays_inside(event: dict[str, Any], location: str, call: Worker) -> None:
    """The redirect to the address with a slash keeps the prefix, the public name and https."""
    response = call(event)
    assert (response["statusCode"], headers(response)["location"]) == (307, location)


def test_https_unless_told_otherwise(call: Worker) -> None:
    """A request without X-Forwarded-Proto came by https."""
    event = rest_api("/probe/slash")
    for group in ("headers", "multiValueHeaders"):
        event[group] = {name: value for name, value in event[group].items() if name != "X-Forwarded-Proto"}
    assert headers(call(event))["location"].startswith("https://")


def test_links_have_the_prefix(call: Worker) -> None:
    """A link that the application makes is one that works."""
    assert content(call(rest_api("/probe/link"))) == f"https://{HOST}/Prod/probe/link"
    assert content(call(rest_api("/probe/link", ctx="/probe/link"))) == f"https://{HOST}/probe/link"
    assert content(call(http_api("/dev/probe/link", stage="dev"))) == f"https://{HOST}/dev/probe/link"


def test_every_cookie_leaves(call: Worker) -> None:
    """Two cookies are two cookies behind each front end."""
    assert len(call(http_api("/probe/cookies"))["cookies"]) == 2
    assert len(call(function_url("/probe/cookies"))["cookies"]) == 2
    assert len(call(rest_api("/probe/cookies"))["multiValueHeaders"]["set-cookie"]) == 2
    single = call(load_balancer("/probe/cookies"))["headers"]
    assert len({name for name in single if name.lower() == "set-cookie"}) == 2
    assert len(call(load_balancer("/probe/cookies", many=True))["multiValueHeaders"]["set-cookie"]) == 2


COOKIES = [
    http_api("/probe/seen", cookies=["a=1", "b=2"]),
    function_url("/probe/seen", cookies=["a=1", "b=2"]),
    rest_api("/probe/seen", multiValueHeaders={"Host": [HOST], "Cookie": ["a=1", "b=2"]}),
    load_balancer("/probe/seen", send={"cookie": "a=1; b=2"}),
    load_balancer(
        "/probe/seen", multiValueHeaders={"host": ["lb"], "cookie": ["a=1", "b=2"], "x-forwarded-for": ["x"]}
    ),
]


@pytest.mark.parametrize("event", COOKIES)
def test_every_cookie_arrives(event: dict[str, Any], call: Worker) -> None:
    """Several Cookie headers, as browsers send with HTTP/2, are one set of cookies."""
    assert content(call(event))["cookies"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_binary_leaves_whole(front_end: str, call: Worker) -> None:
    """Bytes and compressed text are sent as base64 and arrive as they were."""
    response = call(FRONT_ENDS[front_end]("/probe/binary"))
    assert response["isBase64Encoded"]
    assert content(response) == bytes(range(256))
    response = call(FRONT_ENDS[front_end]("/probe/gzip", send={"accept-encoding": "gzip"}))
    assert response["isBase64Encoded"]
    assert json.loads(gzip.decompress(base64.b64decode(response["body"]))) == {"a": 1}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_text_leaves_as_text(front_end: str, call: Worker) -> None:
    """So do types that end in +json and +xml, and YAML."""
    for path, body in (("/probe/problem", '{"title":"no"}'), ("/probe/svg", "<svg/>"), ("/probe/yaml", "a: 1")):
        response = call(FRONT_ENDS[front_end](path))
        assert (response["isBase64Encoded"], response["body"]) == (False, body)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_binary_arrives_whole(front_end: str, call: Worker) -> None:
    """An upload that came as base64 is the file that was sent."""
    data = bytes(range(256)) * 4
    event = FRONT_ENDS[front_end](
        "/probe/sum", method="POST", body=base64.b64encode(data).decode(), isBase64Encoded=True
    )
    assert content(call(event)).startswith("785b0751")


def test_rest_api_takes_uploads(bake: Bake) -> None:
    """A REST API has to be told that bodies may be binary, the others need not."""
    places = {
        "sam": ("template.yaml", 'BinaryMediaTypes: ["*~1*"]'),  # CloudFormation's way to write */*
        "serverless": ("serverless.yml", 'binaryMediaTypes: ["*/*"]'),
        "zip": ("template.yaml", 'BinaryMediaTypes: ["*~1*"]'),
    }
    for deployer, (file, setting) in places.items():
        assert setting in (bake(deployer=deployer, api="rest_api") / file).read_text(encoding="utf-8")
        for api in ("http_api", "function_url"):
            text = (bake(deployer=deployer, api=api) / file).read_text(encoding="utf-8")
            assert "BinaryMediaTypes".lower() not in text.lower()


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_null_headers(front_end: str, call: Worker) -> None:
    """The console's test button sends null for headers."""
    event = FRONT_ENDS[front_end]("/health") | {"headers": None}
    assert call(event | ({"multiValueHeaders": None} if "multiValueHeaders" in event else {}))["statusCode"] == 200


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_no_content(front_end: str, call: Worker) -> None:
    """A response that has no content has no content type."""
    for path, method, status in (("/probe/nothing", "DELETE", 204), ("/probe/unchanged", "GET", 304)):
        response = call(FRONT_ENDS[front_end](path, method=method))
        assert (response["statusCode"], response.get("body") or "") == (status, "")
        assert "content-type" not in headers(response)


@pytest.mark.parametrize(
    "event",
    [
        {"requestContext": {"routeKey": "$connect", "connectionId": "c"}},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"type": "REQUEST", "version": "2.0", "routeArn": "arn", "requestContext": {"http": {"method": "GET"}}},
        {},
    ],
)
def test_other_events_are_refused(event: dict[str, Any], call: Worker) -> None:
    """A WebSocket's event, a queue's, an authorizer's are refused with one clear sentence."""
    with pytest.raises(
        HandlerError, match="This function answers HTTP requests, and was called with an event"
    ) as error:
        call(event)
    assert error.value.kind == "NotHttpError"


@pytest.mark.parametrize("event", [{"warmup": True}, {"source": "serverless-plugin-warmup"}])
def test_warm_up(event: dict[str, Any], call: Worker) -> None:
    """An event that keeps the execution environment warm gets an empty response."""
    assert call(event) == {"statusCode": 204, "body": ""}


def test_scheduled_event_is_refused(call: Worker) -> None:
    """The error shows the event that keeps the function warm."""
    event = {"source": "aws.events", "detail-type": "Scheduled Event", "resources": ["arn"], "detail": {}}
    with pytest.raises(HandlerError, match=r'an event of aws\.events\..* \{"warmup": true\}'):
        call(event)


def infrastructure(project: Path) -> str:
    """Return the file that says what a project is on AWS."""
    (file,) = (name for name in ("template.yaml", "serverless.yml") if (project / name).exists())
    return (project / file).read_text(encoding="utf-8")


def test_no_websocket_and_no_streaming_is_rendered(variant: Path) -> None:
    """Nothing offers what this handler cannot do."""
    text = infrastructure(variant).lower()
    assert "websocket" not in text
    assert "response_stream" not in text
    assert "invokemode" not in text


def test_background_error_is_logged(call: Worker) -> None:
    """A task that fails after the answer fails in the log, once."""
    assert call(http_api("/probe/background"))["statusCode"] == 200
    (error,) = (log for log in call.logs if log["level"] == "ERROR")
    assert "in the background" in error["trace"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_crash(front_end: str, call: Worker) -> None:
    """A crash has CORS headers, FastAPI's shape and an id; the traceback is in the log alone, once."""
    response = call(FRONT_ENDS[front_end]("/probe/crash", send={"origin": ORIGIN}))
    assert response["statusCode"] == 500
    sent = headers(response)
    assert sent["access-control-allow-origin"] == ORIGIN
    assert content(response) == {"detail": "Internal Server Error", "request_id": sent["x-request-id"]}
    (error,) = (log for log in call.logs if log["level"] == "ERROR")
    assert "what happened" in error["trace"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_cors(front_end: str, call: Worker) -> None:
    """Preflight, success, validation error and unknown path carry the same headers."""
    preflight = {"origin": ORIGIN, "access-control-request-method": "GET"}
    for event in (
        FRONT_ENDS[front_end]("/items/42", method="OPTIONS", send=preflight),
        FRONT_ENDS[front_end]("/items/42", send={"origin": ORIGIN}),
        FRONT_ENDS[front_end]("/items/x", send={"origin": ORIGIN}),
        FRONT_ENDS[front_end]("/nowhere", send={"origin": ORIGIN}),
    ):
        sent = headers(call(event))
        assert sent["access-control-allow-origin"] == ORIGIN
        assert sent["access-control-allow-credentials"] == "true"
        assert sent["vary"].startswith("Origin")
        assert sent["x-request-id"]
    other = headers(call(FRONT_ENDS[front_end]("/items/42", send={"origin": "https://other.com"})))
    assert "access-control-allow-origin" not in other


def test_cors_has_one_owner(variant: Path) -> None:
    """No front end answers preflight requests for the application, and by default no origin is allowed."""
    text = infrastructure(variant)
    # CORS in a description or a comment is not a setting.
    assert not re.search(r"^\s*cors\w*:", text, re.IGNORECASE | re.MULTILINE)
    assert re.search(r"""AllowedOrigins: \{Type: String, Default: (""|"\$\{param:allowedOrigins, ''\}"),""", text)


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (http_api("/probe/path/50%41"), "50%41"),
        (http_api("/probe/path/50%41", proxy="probe/path/50%41"), "50%41"),
        (http_api("/dev/probe/path/50%41", stage="dev"), "50%41"),
        (function_url("/probe/path/50%41"), "50A"),
        (function_url("/probe/path/a%252Fb"), "a%2Fb"),
        (rest_api("/probe/path/50%41"), "50A"),
        (rest_api("/probe/path/a%20b", pathParameters={"proxy": "probe/path/a b"}), "a b"),
        (load_balancer("/probe/path/50%41"), "50A"),
        (http_api("/probe/path/ünï"), "ünï"),
        (rest_api("/probe/path/%C3%BCn%C3%AF"), "ünï"),
    ],
)
def test_path_is_decoded_once(event: dict[str, Any], path: str, call: Worker) -> None:
    """By an HTTP API or here, not by both."""
    assert content(call(event)) == path


QUERIES = [
    (
        load_balancer("/probe/seen", queryStringParameters={"name": "John+Smith", "u": "%C3%A9"}),
        [["name", "John Smith"], ["u", "é"]],
    ),
    (http_api("/probe/seen", rawQueryString="x=1&x=2&e=&flag"), [["x", "1"], ["x", "2"], ["e", ""], ["flag", ""]]),
    (
        rest_api("/probe/seen", multiValueQueryStringParameters={"x": ["1", "2"], "e": [""], "flag": [""]}),
        [["x", "1"], ["x", "2"], ["e", ""], ["flag", ""]],
    ),
    (rest_api("/probe/seen", queryStringParameters={"a": None, "b": "1"}), [["a", ""], ["b", "1"]]),
    (
        rest_api("/probe/seen", multiValueQueryStringParameters={"a": None, "b": [None, "1"]}),
        [["a", ""], ["b", ""], ["b", "1"]],
    ),
    (rest_api("/probe/seen", multiValueQueryStringParameters={"q": ["a b&c=d"]}), [["q", "a b&c=d"]]),
]


@pytest.mark.parametrize(("event", "query"), QUERIES)
def test_query(event: dict[str, Any], query: list[list[str]], call: Worker) -> None:
    """Decoded once, repeated, empty and missing values as they were sent."""
    assert content(call(event))["query"] == query


def test_client_address(call: Worker) -> None:
    """One address; behind a load balancer the one that it saw, not those that the client claims."""
    event = load_balancer("/probe/seen", send={"x-forwarded-for": "198.51.100.1, 203.0.113.7"})
    assert content(call(event))["client"] == "203.0.113.7"
    for front_end in ("http_api", "rest_api", "function_url"):
        assert content(call(FRONT_ENDS[front_end]("/probe/seen")))["client"] == CLIENT


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_response_that_is_too_large(front_end: str, call: Worker) -> None:
    """A small clear error and a line in the log, with the CORS headers of any other."""
    response = call(FRONT_ENDS[front_end]("/probe/much", send={"origin": ORIGIN}))
    assert response["statusCode"] == 500
    assert len(json.dumps(response)) < 6_291_556
    sent = headers(response)
    assert sent["access-control-allow-origin"] == ORIGIN
    expected = {"detail": "The response is larger than Lambda can send", "request_id": sent["x-request-id"]}
    assert content(response) == expected
    (error,) = (log for log in call.logs if log["level"] == "ERROR")
    limit = 1_048_576 if front_end == "load_balancer" else 6_291_556
    assert f"the limit is {limit}" in error["message"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_head(front_end: str, call: Worker) -> None:
    """A monitor that asks with HEAD is answered, without a body."""
    response = call(FRONT_ENDS[front_end]("/health", method="HEAD"))
    assert (response["statusCode"], response.get("body") or "") == (200, "")


def test_latin_header(call: Worker) -> None:
    """A header that HTTP allows, and that is not UTF-8, does not turn the answer into a crash."""
    for event in FRONT_ENDS.values():
        response = call(event("/probe/latin"))
        assert (response["statusCode"], headers(response)["x-name"]) == (200, "café")


def test_info_is_logged_once(project: Path) -> None:
    """The runtime has a handler on the root logger already: the level is set, and no handler added."""
    paths = [str(project / "app"), str(project / "package" / "python")]
    code = f"""import logging, sys; sys.path[:0] = {paths!r}; logging.getLogger().addHandler(logging.StreamHandler())
import main; logging.getLogger("items").info("seen"); logging.getLogger("items").debug("not seen")"""
    command = [interpreter("python3.13"), "-S", "-B", "-c", code]
    assert subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stderr == "seen\n"
    for level, expected in (("debug", "seen\nnot seen\n"), ("TRACE", "seen\nnot seen\n"), ("WARN", "")):
        environment = {"AWS_LAMBDA_LOG_LEVEL": level}
        result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment)
        assert result.stderr.replace("Using selector: EpollSelector\n", "") == expected


def test_docs_can_be_turned_off(project: Path) -> None:
    """With them go /redoc and the schema; the rest answers as before."""
    with Worker(interpreter("python3.13"), project, DOCS="off") as call:
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert call(http_api(path))["statusCode"] == 404
        assert call(http_api("/items/42"))["statusCode"] == 200


def test_request_id_is_lambdas_own(call: Worker) -> None:
    """It leads from the answer to the log."""
    response = call(http_api("/probe/seen"))
    assert content(response)["request_id"] == headers(response)["x-request-id"]
    assert len(headers(response)["x-request-id"]) == 36
