"""One request through the handler, of applications that are made here: it ends in time, with a whole response."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from conftest import http_event
from invoke import Context
from lambda_handler import LambdaHandler
from middleware import add_middleware
from request_cycle import RequestCycle, end_current


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Send nothing."""


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    """Send half a response, and then fail."""
    if scope["type"] == "http":
        headers = [(b"x-request-id", b"its own"), (b"etag", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("the other half")


@pytest.mark.parametrize("app", [nothing, half])
def test_response_that_is_not_whole(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    """Status 500 replaces it, and the log says so once."""
    response = LambdaHandler(app)(http_event("/"), Context())
    assert (response["statusCode"], json.loads(response["body"])["detail"]) == (500, "Internal Server Error")
    assert set(response["headers"]) == ({"content-type", "x-request-id"} if app is half else {"content-type"})
    (error,) = (record for record in caplog.records if record.levelname == "ERROR")
    message = "Unhandled error in" if app is half else "The application has not sent a whole response to"
    assert re.fullmatch(rf"{message} GET (/prod)?/", error.getMessage())


async def sparse(scope: Scope, receive: Receive, send: Send) -> None:
    """Send only what ASGI requires, and headers once."""
    if scope["type"] == "http":
        message: dict[str, Any] = {"type": "http.response.start", "status": 200}
        if scope["path"].endswith("/headers"):
            message["headers"] = (header for header in [(b"X-Name", b"value")])
        await send(message)
        await send({"type": "http.response.body"})


@pytest.mark.parametrize("path", ["/", "/headers"])
def test_optional_keys(path: str) -> None:
    """Headers and body are optional in ASGI, also with the middleware around."""
    starlette = Starlette(routes=[Mount("/", sparse)])
    add_middleware(starlette)
    for app in (sparse, starlette):
        response = LambdaHandler(app)(http_event(path), Context())
        assert (response["statusCode"], response["body"]) == (200, "")
        assert ((response.get("headers") or {}).get("x-name") == "value") == (path == "/headers")


def test_body_that_is_not_base64() -> None:
    """It is the client's or the front end's error, and not one of the function."""
    app = FastAPI()
    add_middleware(app)

    @app.post("/")
    async def post(request: Request) -> str:
        return (await request.body()).decode()

    event = http_event("/", "POST") | {"body": "no base64", "isBase64Encoded": True}  # without the space it is
    response = LambdaHandler(app)(event, Context())
    detail = "The body is not base64, although the event says so"
    assert (response["statusCode"], json.loads(response["body"])) == (400, {"detail": detail})
    assert response["headers"]["x-request-id"]


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the length that the headers have, and forbid an empty body, without any middleware."""
    if scope["type"] == "http":
        if not (await receive())["body"]:
            raise HTTPException(403)
        lengths = [value.decode() for name, value in scope["headers"] if name == b"content-length"]
        await PlainTextResponse(",".join(lengths))(scope, receive, send)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"body": "text"}, (200, "4")),
        ({"body": "text", "headers": {"content-length": "4"}, "multiValueHeaders": None}, (200, "4")),
        ({"body": "a*b", "isBase64Encoded": True}, (400, "Bad Request")),
        # An exception that nobody turns into a response is an error, whatever status it names.
        ({}, (500, "Internal Server Error")),
    ],
)
def test_body(event: dict[str, Any], expected: tuple[int, str]) -> None:
    """A body has a length, also where the front end leaves the header out."""
    context = Context()
    response = LambdaHandler(reading)(http_event("/", "POST") | event, context)
    assert response["statusCode"] == expected[0]
    if expected[0] == 200:
        assert response["body"] == expected[1]
    else:
        body = {"detail": expected[1], "request_id": context.aws_request_id}
        assert json.loads(response["body"]) == body


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer that interrupts a call")
@pytest.mark.parametrize("wait", ["asynchronous", "blocking", "thread", "stream"])
@pytest.mark.parametrize("task", [False, True])
def test_timeout(wait: str, task: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An endpoint that hangs is ended before Lambda ends the function; the log says where it was."""
    app = FastAPI()
    add_middleware(app)

    if task:

        @app.middleware("http")
        async def in_another_task(request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    @app.get("/asynchronous")
    async def asynchronous() -> None:
        await asyncio.sleep(20)

    @app.get("/blocking")
    async def blocking() -> None:
        time.sleep(20)

    @app.get("/thread")
    def thread() -> None:
        time.sleep(1)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncGenerator[bytes]:
            yield b"part"
            await asyncio.sleep(20)

        return StreamingResponse(parts())

    handler = LambdaHandler(app)
    response = handler(http_event(f"/{wait}"), Context(timeout_seconds=0.6))
    assert (response["statusCode"], json.loads(response["body"])["detail"]) == (504, "Gateway Timeout")
    assert response["headers"]["x-request-id"]
    (error,) = (record for record in caplog.records if record.levelname == "ERROR")
    message = error.getMessage()
    assert re.match(rf"Ended before the timeout of the function: GET (/prod)?/{wait}, at\n  File ", message)
    assert (message.count("in run_until_complete\n") == 1) == (wait == "blocking"), "what blocks, and nothing else"
    assert ("lambda_handler.py" in message) == (wait == "blocking"), "the lifespan waits too, for the end"
    assert "end_current" not in message, "what ends it is not where it was"
    assert {"thread": "in run_sync", "stream": "in stream_response"}.get(wait, f"in {wait}") in caplog.text
    assert handler(http_event("/nowhere"), Context())["statusCode"] == 404
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0, "the timer of one request must not end another"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer that interrupts a call")
def test_no_time_left() -> None:
    """A request that begins when less time is left than is kept for the response is ended at once."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await asyncio.sleep(1)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert LambdaHandler(slow)(http_event("/"), Context(timeout_seconds=0.4))["statusCode"] == 504
    assert signal.getsignal(signal.SIGALRM) is end_current, "the next request finds it there"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer that interrupts a call")
def test_time_is_over_before_the_application_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended as soon as it runs, and only once."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await asyncio.sleep(1)

    run, left = RequestCycle.run, []

    async def late(self: RequestCycle, app: Any) -> None:
        time.sleep(0.02)
        await run(self, app)
        self.end(None)
        left.append(signal.getitimer(signal.ITIMER_REAL)[0])

    monkeypatch.setattr(RequestCycle, "run", late)
    assert LambdaHandler(slow)(http_event("/"), Context(timeout_seconds=0.4))["statusCode"] == 504
    assert left == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer that interrupts a call")
def test_timer_of_the_application() -> None:
    """Its signal handler is there again after a request, and its timer is left alone."""

    def own(*_: object) -> None:
        raise AssertionError

    handler = LambdaHandler(sparse)
    before = signal.signal(signal.SIGALRM, own)
    try:
        for seconds in (0, 60):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            assert handler(http_event("/"), Context())["statusCode"] == 200
            assert signal.getsignal(signal.SIGALRM) is own
            assert (signal.getitimer(signal.ITIMER_REAL)[0] > 30) == (seconds == 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
