"""A plugin of pytest for the test suites of FastAPI and Starlette: each request of `TestClient` goes through Lambda.

A request becomes the event of an HTTP front end, the rendered project's handler answers it, and its answer becomes a
response again. A client without a `with` block gets a new execution environment in each test, one with it has its own.
The plugin runs in a virtual environment that has none of this repository's test tools.
"""

import asyncio
import atexit
import importlib.util
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from json import dumps, loads  # tests replace those of the module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx2 as httpx
import pytest
from starlette import testclient
from starlette.applications import Starlette

FORWARDED = ("x-forwarded-proto", "x-forwarded-for", "x-forwarded-port")
FRONT_ENDS = ("http_api", "rest_api", "function_url", "load_balancer")
TESTS = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    """Return a module of this repository's tests, by its file: the suites have a package `tests` too."""
    spec = importlib.util.spec_from_file_location(f"template_{name}", TESTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder:
    """An application that remembers the exception which it raised, for a client that raises it again.

    Other ASGI applications than Starlette's may know no lifespan; these get one only from a client with a `with` block.
    """

    def __init__(self, app: Any, entered: bool) -> None:
        self.app = app
        self.has_lifespan = entered or isinstance(app, Starlette)
        self.errors: dict[str, Exception] = {}  # of a request and of the lifespan
        self.added: set[bytes] = set()  # headers that the front end adds, which no test expects

    def __getattr__(self, name: str) -> Any:
        """Return what the application has."""
        return getattr(self.app, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request or the lifespan."""
        if scope["type"] == "lifespan" and not self.has_lifespan:
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        if scope["type"] == "http":
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in self.added]
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.errors[scope["type"]] = error
            raise


class Environment:
    """An execution environment of one application."""

    made: list["Environment"] = []  # in this test, by clients without a `with` block
    make_handler: Callable[[Recorder], Any]
    make_event: Callable[[httpx.Request, str, str], dict[str, Any]]

    def __init__(self, app: Any, entered: bool) -> None:
        self.app = Recorder(app, entered)
        self.handler = Environment.make_handler(self.app)

    def answer(self, transport: Any, request: httpx.Request) -> httpx.Response:
        """Answer a request as the front end does, or raise what the application raised."""
        event = Environment.make_event(request, transport.root_path.rstrip("/"), transport.client[0])
        context = SimpleNamespace(aws_request_id=str(uuid4()), get_remaining_time_in_millis=lambda: 28_000)
        self.app.added = {name.encode() for name in FORWARDED if name not in request.headers}
        answer = loads(dumps(self.handler(loads(dumps(event)), context)))
        error = self.app.errors.pop("http", None)
        if error and transport.raise_server_exceptions:
            raise error
        body = bridge.body_of(answer)
        headers = [(name.encode(), value.encode()) for name, value in bridge.sent(answer)]
        return httpx.Response(answer["statusCode"], headers=headers, stream=httpx.ByteStream(body), request=request)

    def cause(self, error: Exception) -> BaseException:
        """Return what the application raised in its lifespan, instead of what Mangum made of it."""
        own = self.app.errors.pop("lifespan", error)
        return own.__context__ or own

    def close(self) -> None:
        """End it, which Lambda does without a word to the application."""
        close = getattr(self.handler, "close", lambda: None)
        atexit.unregister(close)
        try:
            close()
        except Exception as error:
            raise self.cause(error) from None
        finally:
            asyncio.set_event_loop(None)
            if hasattr(self.handler, "loop"):  # a lifespan that fails at its end leaves it open
                self.handler.loop.close()


def event_of(front_end: str, request: httpx.Request, base: str, client: str) -> dict[str, Any]:
    """Return the event of a request; `base` is a stage or the base path of a custom domain, where there are such."""
    base = "" if front_end in ("function_url", "load_balancer") else base
    headers = Message()
    for name, value in request.headers.multi_items():
        headers[name] = value
    path = request.url.raw_path.decode()
    path = path if path.startswith(f"{base}/") else base + path
    message = SimpleNamespace(command=request.method, path=path, headers=headers)
    port = request.url.port or {"http": 80, "https": 443}[request.url.scheme]
    forwarded = dict(zip(FORWARDED, (request.url.scheme, client, str(port)), strict=True))
    if front_end == "rest_api":  # behind a custom domain, since a stage would be in each link
        message.path = "/Prod" + path.removeprefix(base)
        del headers["content-length"]  # it is not among those that a REST API hands over
        event = bridge.payload_1(message, request.read(), "Prod", False)
        event["requestContext"] |= {"path": path.partition("?")[0], "domainName": request.url.host}
        event["requestContext"]["identity"]["sourceIp"] = client
        event["headers"] |= {name.title(): value for name, value in forwarded.items()}
        event["multiValueHeaders"] |= {name.title(): [value] for name, value in forwarded.items()}
    elif front_end == "load_balancer":
        event = bridge.balanced(message, request.read())
        event["multiValueHeaders"] |= {name: [value] for name, value in forwarded.items()}
    else:
        event = bridge.payload_2(message, request.read(), base.strip("/"), front_end == "function_url")
        event["requestContext"]["http"]["sourceIp"] = client
        if front_end == "http_api" and not base:
            event["requestContext"]["domainName"] = request.url.host
        if front_end == "function_url":  # it leaves rawPath encoded, and decodes this one
            event["requestContext"]["http"]["path"] = unquote(event["rawPath"])
        event["headers"] |= forwarded
    return event


bridge = load("bridge")
failed: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plugin."""
    parser.addoption("--front-end", choices=FRONT_ENDS, required=True, help="whose events the handler gets")
    parser.addoption("--app", required=True, help="the folder app/ of a rendered project")
    parser.addoption("--handler", choices=("project", "middleware", "mangum"), default="project")
    parser.addoption("--record", required=True, help="the file for what failed, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Put the handler between each client and its application."""
    sys.path.append(config.getoption("app"))
    Environment.make_event = lambda *request: event_of(config.getoption("front_end"), *request)
    Environment.make_handler = handler_maker(config.getoption("handler"))
    direct = testclient._TestClientTransport.handle_request

    def handle_request(transport: Any, request: httpx.Request) -> httpx.Response:
        if request.url.scheme in ("ws", "wss"):
            return direct(transport, request)
        if not hasattr(transport, "environment"):
            transport.environment = Environment(transport.app, False)
            Environment.made.append(transport)
        return transport.environment.answer(transport, request)

    def enter(client: testclient.TestClient) -> testclient.TestClient:
        client._transport.environment = environment = Environment(client.app, True)
        try:
            getattr(environment.handler, "start", lambda: None)()
        except Exception as error:
            cause = environment.cause(error)
            leave(client)
            raise cause from None
        client.app_state.update(getattr(getattr(environment.handler, "lifespan", None), "lifespan_state", {}))
        return client

    def leave(client: testclient.TestClient, *_: object) -> None:
        client._transport.environment.close()
        del client._transport.environment

    testclient._TestClientTransport.handle_request = handle_request
    testclient.TestClient.__enter__ = enter
    testclient.TestClient.__exit__ = leave


def handler_maker(kind: str) -> Callable[[Recorder], Any]:
    """Return what makes the handler of an application."""
    if kind == "mangum":
        from mangum import Mangum

        def make_mangum(app: Recorder) -> Callable[[Any, Any], Any]:
            def handler(event: Any, context: Any) -> Any:
                asyncio.set_event_loop(handler.loop)
                return Mangum(app)(event, context)

            handler.loop = asyncio.new_event_loop()
            return handler

        return make_mangum
    from lambda_handler import LambdaHandler

    if kind == "project":
        return LambdaHandler
    from middleware import add_middleware

    def make(app: Recorder) -> LambdaHandler:
        if getattr(app.app, "middleware_stack", False) is None and not hasattr(app.app, "of_the_project"):
            add_middleware(app.app)
            app.app.of_the_project = True
        return LambdaHandler(app)

    return make


@pytest.fixture(autouse=True)
def environments() -> Iterator[None]:
    """End what the test started."""
    yield
    while Environment.made:
        transport = Environment.made.pop()
        transport.environment.close()
        del transport.environment


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what failed, with the last line of its error."""
    if report.failed:
        error = getattr(report.longrepr, "reprcrash", None)
        failed.setdefault(report.nodeid, error.message if error else str(report.longrepr)[-500:])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what failed, where all reports are."""
    if not hasattr(session.config, "workerinput"):
        Path(session.config.getoption("record")).write_text(dumps(failed), encoding="utf-8")
