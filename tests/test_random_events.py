"""Random events: the handler returns a response that Lambda can send or raises NotHttpError, and nothing else."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Bake
from tests.events import FRONT_ENDS
from tests.machine import ARCHITECTURE, interpreter
from tests.worker import HandlerError, Worker


@pytest.fixture(scope="module")
def call(bake: Bake) -> Iterator[Worker]:
    """Return the handler."""
    project = bake(architecture=ARCHITECTURE, build_layer=True)
    with Worker(interpreter("python3.13"), project, ALLOWED_ORIGINS="https://ex.com") as worker:
        yield worker


TEXT = st.text(max_size=12) | st.sampled_from(
    ["", "/", "%", "%zz", "a:b:c", "[::1]:80", "é\x00", "\ud800", "1e9", ",", ";"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["host", "Host", "cookie", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-for", "content-type", "origin"]
)
HEADERS = st.none() | st.dictionaries(NAMES | TEXT, TEXT | st.none(), max_size=5) | JSON
MANY = st.none() | st.dictionaries(NAMES | TEXT, st.none() | st.lists(TEXT | st.none(), max_size=3), max_size=5) | JSON
BODY = st.none() | TEXT | st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode()) | JSON
FIELDS = {
    "version": st.sampled_from(["1.0", "2.0"]) | JSON,
    "headers": HEADERS,
    "multiValueHeaders": MANY,
    "queryStringParameters": MANY,
    "multiValueQueryStringParameters": MANY,
    "rawQueryString": TEXT | JSON,
    "cookies": st.lists(TEXT | st.none(), max_size=3) | JSON,
    "pathParameters": st.none() | st.dictionaries(st.just("proxy") | TEXT, TEXT | st.none(), max_size=2) | JSON,
    "path": TEXT | JSON,
    "httpMethod": st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "QUERY"]) | TEXT | JSON,
    "body": BODY,
    "isBase64Encoded": st.booleans() | JSON,
    "routeKey": st.sampled_from(["$default", "ANY /", "ANY /{proxy+}"]) | JSON,
    "resource": st.sampled_from(["/", "/{proxy+}"]) | JSON,
}
PATHS = st.sampled_from(["/", "/items/42", "/items/x", "/docs", "/nowhere", "", "//", "/%2F", "/items/é"])


@st.composite
def events(draw: st.DrawFn) -> Any:
    """Draw an event: one of a front end with a few fields changed, removed or added, or any JSON."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    event = draw(st.sampled_from(list(FRONT_ENDS.values())))(
        draw(PATHS), method=draw(st.sampled_from(["GET", "POST", "HEAD"]))
    )
    for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=4, unique=True)):
        event[name] = draw(FIELDS[name])
    for name in draw(st.lists(st.sampled_from(list(event)), max_size=2)):
        event.pop(name, None)
    context = event.get("requestContext")
    if context and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(list(context)))
        event["requestContext"] = context | {name: draw(JSON)}
    return event


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(event=events())
def test_answer_or_refusal(event: Any, call: Worker) -> None:
    """A well-formed response, or NotHttpError."""
    try:
        response = call(event)
    except HandlerError as error:
        assert error.kind == "NotHttpError", error
        assert "This function answers HTTP requests, and was called with " in str(error)
        return
    assert 100 <= response["statusCode"] < 600
    assert response["statusCode"] != 500 or "Unhandled error" in str(call.logs)
    assert isinstance(response.get("body", ""), str)
    if response.get("isBase64Encoded"):
        base64.b64decode(response["body"], validate=True)
    for value in (response.get("headers") or {}).values():
        assert isinstance(value, str)
    for values in (response.get("multiValueHeaders") or {}).values():
        assert all(isinstance(value, str) for value in values)
    json.dumps(response)
