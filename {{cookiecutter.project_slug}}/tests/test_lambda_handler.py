"""The Lambda handler of applications that are made here: what it accepts, its lifespan and its event loop."""

import asyncio
import functools
import inspect
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request
from mangum.exceptions import LifespanFailure
from starlette.applications import Starlette
from starlette.datastructures import URLPath
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import settings
from conftest import http_event
from invoke import Context
from lambda_handler import WARMUP_EVENTS, LambdaHandler
from middleware import add_middleware


def get(handler: Callable[[Any, Any], dict[str, Any]], path: str) -> Any:
    """Return the JSON that a handler answers with."""
    response = handler(http_event(path), Context())
    assert response["statusCode"] == 200, response
    return json.loads(response["body"])


def counting() -> FastAPI:
    """Return an application that counts how often its lifespan is entered, and tells whether its loop is still used."""
    entered: list[asyncio.AbstractEventLoop] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, int]]:
        entered.append(asyncio.get_running_loop())
        yield {"entered": len(entered)}

    app = FastAPI(lifespan=lifespan)

    @app.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        number = request.state.entered
        request.state.entered = "changed by an earlier request"
        return {"entered": number, "same loop": asyncio.get_running_loop() is entered[-1]}

    return app


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request, and refuse a lifespan, as the ASGI specification allows."""
    assert scope["type"] == "http"
    await PlainTextResponse('"answer"')(scope, receive, send)


async def endpoint(_: Request) -> PlainTextResponse:
    """Answer as `bare` does."""
    return PlainTextResponse('"answer"')


def starlette() -> Starlette:
    """Return an application of Starlette alone, with the middleware of this project."""
    app = Starlette(routes=[Route("/", endpoint)])
    add_middleware(app)
    return app


def mounted() -> FastAPI:
    """Return an application whose routes cannot be looked through: `routes` of a mounted one is not a list."""

    class Mounted:
        routes = 42

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await bare(scope, receive, send)

    app = FastAPI()
    app.mount("/", Mounted())
    return app


APPLICATIONS: dict[str, Callable[[], ASGIApp]] = {
    "bare": lambda: bare,
    "mounted": mounted,
    "starlette": starlette,
    "wrapped": lambda: GZipMiddleware(starlette()),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_any_application(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the application is, its handler starts on Lambda and answers."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    assert get(LambdaHandler(APPLICATIONS[name]()), "/") == "answer"


def test_routes_are_completed_at_init() -> None:
    """Init makes FastAPI look through its routes, so that the first request need not."""
    names: list[str] = []

    class Application(FastAPI):
        def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
            names.append(name)
            return super().url_path_for(name, **path_params)

    LambdaHandler(Application())
    assert names == [""]


def test_decorator() -> None:
    """A decorator can read the names and the signature of the handler, as of a function."""

    def trace(function: Any) -> Any:
        segments.extend([function.__name__, function.__qualname__])

        @functools.wraps(function)
        def wrapper(event: Any, context: Any) -> Any:
            return function(event, context)

        return wrapper

    segments: list[str] = []
    handler = trace(LambdaHandler(bare))
    assert get(handler, "/") == "answer"
    assert segments == [handler.__name__, handler.__qualname__] == ["handler", "handler"]
    assert list(inspect.signature(handler).parameters) == ["event", "context"]


def test_lifespan_is_entered_once() -> None:
    """It is entered once for all requests, on the loop that serves them, and they have its state."""
    handler = LambdaHandler(counting())
    for _ in range(3):
        assert get(handler, "/state") == {"entered": 1, "same loop": True}
        asyncio.run(asyncio.sleep(0))  # leaves the thread without a loop


def test_closed_loop() -> None:
    """A loop that somebody has closed is replaced, and the lifespan is entered on the new one."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            loops.append(asyncio.get_running_loop())
            await receive()
            await send({"type": "lifespan.startup.complete"})
        else:
            assert asyncio.get_running_loop() is loops[-1]
            await bare(scope, receive, send)

    handler = LambdaHandler(app)
    assert get(handler, "/") == get(handler, "/") == "answer"
    assert len(loops) == 1
    loops[0].close()
    assert get(handler, "/") == get(handler, "/") == "answer"
    assert len(loops) == 2


def test_lifespan_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Lambda it fails the init, rather than each request later on."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        raise RuntimeError("no database")
        yield

    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    with pytest.raises(LifespanFailure, match="no database"):
        LambdaHandler(FastAPI(lifespan=lifespan))


@pytest.mark.parametrize("received", [False, True])
def test_start_that_fails(received: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does a middleware that cannot be made, or raises outside of Starlette's lifespan, with its own exception."""

    class Fails:
        def __init__(self, app: ASGIApp) -> None:
            if not received:
                raise OSError("no certificate")

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            raise OSError("no certificate")

    app = FastAPI()
    app.add_middleware(Fails)
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    with pytest.raises(OSError, match="no certificate"):
        LambdaHandler(app)


def test_application_without_a_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    """It may raise an exception when it is asked for one, which is no error."""
    caplog.set_level("INFO")
    assert get(LambdaHandler(bare), "/") == "answer"
    (logged,) = (record for record in caplog.records if record.name == "lambda_handler")
    assert logged.levelname == "INFO"
    assert logged.getMessage().startswith("The application has no lifespan: AssertionError(")


def test_end_of_the_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    """It is told what ASGI has for it, and left when the process ends; an error at its end is logged."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise RuntimeError("too late")

    handler = LambdaHandler(app)
    handler.start()
    handler.close()
    handler.close()
    assert scopes == [{"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}]
    (error,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert error.getMessage() == "The application failed at the end of its lifespan"
    assert "RuntimeError: too late" in caplog.text
    LambdaHandler(app).close()  # which was not entered
    assert len(scopes) == 1


def test_event_that_lacks_something(caplog: pytest.LogCaptureFixture) -> None:
    """It is answered as a bad request, and logged with what it lacks."""
    event = {"version": "2.0", "requestContext": {"http": {}}}
    context = Context()
    response = LambdaHandler(bare)(event, context)
    body = {"detail": "Bad Request", "request_id": context.aws_request_id}
    assert (response["statusCode"], json.loads(response["body"])) == (400, body)
    assert caplog.messages == ["The event lacks what a front end sends; it was answered with status 400"]
    assert "KeyError: 'path'" in caplog.text


def test_public_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting names what clients see: the application's own URLs start with it."""
    app = FastAPI()

    @app.get("/items/1")
    async def url(request: Request) -> list[str]:
        return [str(request.url), str(request.url_for("url"))]

    monkeypatch.setattr(settings, "PUBLIC_URL", urlsplit("http://www.example.com:8080/shop"))
    assert get(LambdaHandler(app), "/items/1") == ["http://www.example.com:8080/shop/items/1"] * 2


@pytest.mark.parametrize("event", WARMUP_EVENTS)
def test_warm_up(event: dict[str, Any]) -> None:
    """An event that keeps the execution environment warm does not reach the application."""
    handler = LambdaHandler(counting())
    assert handler(event, Context()) == {"statusCode": 204, "body": ""}
    assert get(handler, "/state")["entered"] == 1
