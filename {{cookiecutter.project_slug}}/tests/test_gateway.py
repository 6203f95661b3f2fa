"""What the gateway and the middleware add to any application: tried on small ones made here."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

import settings
from conftest import http_event, with_headers
from gateway import RESPONSE_LIMIT, LambdaHandler, NotHttpError
from invoke import Context
from middleware import add_middleware

Answer = tuple[int, dict[str, str], Any]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FastAPI:
    """Return an application that crashes and that says too much; a marked test may set the allowed origins."""
    monkeypatch.setattr(settings, "ALLOWED_ORIGINS", getattr(request, "param", []))
    app = FastAPI()
    add_middleware(app)

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("what happened")

    @app.get("/much")
    async def much(length: int) -> str:
        return "x" * length

    @app.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        return {"opened": request.state.opened, "request_id": request.state.request_id}

    return app


def send(app: FastAPI, path: str, method: str = "GET", query: str = "", **headers: str) -> Answer:
    """Send one request through a handler of its own, and return status, headers and what the body says."""
    event = with_headers(http_event(path, method), **headers)
    name, _, value = query.partition("=")
    event |= {"rawQueryString": query, "multiValueQueryStringParameters": {name: [value]} if query else None}
    response = LambdaHandler(app)(event, Context())
    body = response.get("body")
    return response["statusCode"], response["headers"], json.loads(body) if body and body[0] in '{["' else body


def test_crash(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    """A crash is answered without what happened, with an id that the log has too; the traceback is there once."""
    status, headers, body = send(app, "/crash")
    assert status == 500
    assert body == {"detail": "Internal Server Error", "request_id": headers["x-request-id"]}
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert "what happened" in caplog.text


ORIGIN = "https://shop.example.com"
PREFLIGHT = {"origin": ORIGIN, "access_control_request_method": "GET"}


@pytest.mark.parametrize("app", [[ORIGIN]], indirect=True)
@pytest.mark.parametrize(
    ("path", "method", "headers", "expected"),
    [
        ("/much", "OPTIONS", PREFLIGHT, 200),
        ("/much", "GET", {"origin": ORIGIN}, 422),
        ("/crash", "GET", {"origin": ORIGIN}, 500),
        ("/nowhere", "GET", {"origin": ORIGIN}, 404),
    ],
)
def test_cors(app: FastAPI, path: str, method: str, headers: dict[str, str], expected: int) -> None:
    """An allowed origin is named on every answer, a crash and a preflight included."""
    status, answered, _ = send(app, path, method, **headers)
    assert status == expected
    assert answered["access-control-allow-origin"] == ORIGIN
    assert answered["access-control-allow-credentials"] == "true"
    assert "x-request-id" in answered


OTHERS = [([], None), (["https://other.example.com"], None), (["*"], "*")]


@pytest.mark.parametrize(("app", "named"), OTHERS, indirect=["app"])
def test_other_origins(app: FastAPI, named: str | None) -> None:
    """None is allowed unasked, another is not named, and * never comes with credentials."""
    _, headers, _ = send(app, "/crash", origin=ORIGIN)
    assert headers.get("access-control-allow-origin") == named
    if named:
        assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("app", [[ORIGIN]], indirect=True)
def test_response_that_is_too_large(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    """What Lambda cannot send becomes an error that says so, with a line in the log."""
    status, headers, body = send(app, "/much", query=f"length={RESPONSE_LIMIT}", origin=ORIGIN)
    assert status == 500
    assert body["detail"] == "The response is larger than Lambda can send"
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "Lambda takes 6291556" in caplog.text
    status, _, body = send(app, "/much", query=f"length={RESPONSE_LIMIT - 1000}")
    assert status == 200


def test_lifespan_is_entered_once() -> None:
    """Not with every request, and on the loop that serves; its state is there in each request."""
    entered: list[asyncio.AbstractEventLoop] = []
    left: list[bool] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, int]]:
        entered.append(asyncio.get_running_loop())
        yield {"opened": len(entered)}
        left.append(True)

    app = FastAPI(lifespan=lifespan)

    @app.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        return {"opened": request.state.opened, "same": asyncio.get_running_loop() is entered[0]}

    handler = LambdaHandler(app)
    for _ in range(3):
        body = handler(http_event("/state"), Context())["body"]
        assert json.loads(body) == {"opened": 1, "same": True}
        asyncio.run(asyncio.sleep(0))  # leaves the thread without a loop
    assert (len(entered), left) == (1, [])


def test_lifespan_that_fails_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Lambda the init fails, rather than each request later on."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    with pytest.raises(Exception, match="no database"):
        LambdaHandler(FastAPI(lifespan=lifespan))


@pytest.mark.parametrize(
    ("event", "came"),
    [
        ({"Records": [{"eventSource": "aws:sqs"}]}, "an event of aws:sqs"),
        ({"Records": [{"EventSource": "aws:sns"}]}, "an event of aws:sns"),
        ({"source": "aws.events", "detail": {}}, "an event of aws.events"),
        ({"requestContext": {"routeKey": "$connect", "connectionId": "c"}}, "an event of a WebSocket API"),
        ({"methodArn": "a", "requestContext": {}, "httpMethod": "GET"}, "an event with 'httpMethod', 'methodArn', "),
        ({}, "an event with nothing in it"),
        (None, "a NoneType"),
    ],
)
def test_other_events_are_refused(event: Any, came: str) -> None:
    """An event that is no HTTP request is refused by what it is, not by where reading it failed."""
    with pytest.raises(NotHttpError, match="^This function answers HTTP requests, and was called with " + came):
        LambdaHandler(FastAPI())(event, Context())


def test_warm_up_ping() -> None:
    """It keeps the environment and does not reach the application."""
    assert LambdaHandler(FastAPI())({"warmup": True}, Context()) == {"statusCode": 204, "body": ""}


def test_console_test_event(caplog: pytest.LogCaptureFixture) -> None:
    """The test button of the console sends null for headers."""
    caplog.set_level(logging.INFO)
    event = http_event("/openapi.json") | {"headers": None, "multiValueHeaders": None}
    assert LambdaHandler(FastAPI())(event, Context())["statusCode"] == 200


def test_any_server_gets_the_middleware(app: FastAPI) -> None:
    """It is the application's own, so uvicorn answers as Lambda does."""
    response = TestClient(app).get("/crash")
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal Server Error", "request_id": response.headers["x-request-id"]}
