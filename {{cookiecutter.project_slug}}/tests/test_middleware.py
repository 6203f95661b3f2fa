"""What the middleware adds to an application that is made here."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient

import settings
from conftest import http_event
from invoke import Context
from lambda_handler import LambdaHandler
from middleware import add_middleware

ORIGIN = "https://shop.example.com"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FastAPI:
    """Return an application with an endpoint that raises; a test's parameter is the list of allowed origins."""
    monkeypatch.setattr(settings, "ALLOWED_ORIGINS", getattr(request, "param", []))
    app = FastAPI(max_body_size=10)
    add_middleware(app)

    @app.get("/error")
    async def error() -> None:
        raise RuntimeError("the reason")

    @app.get("/item")
    async def item(number: int, request: Request) -> Any:
        return request.state.request_id

    return app


def test_unhandled_error(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    """It is answered without the reason, and it reaches the server, which logs it once."""
    response = TestClient(app, raise_server_exceptions=False).get("/error")
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal Server Error", "request_id": response.headers["x-request-id"]}
    with pytest.raises(RuntimeError, match="the reason"):
        TestClient(app).get("/error")
    LambdaHandler(app)(http_event("/error"), Context())
    (error,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "RuntimeError: the reason" in caplog.text
    assert error.getMessage().startswith("Unhandled error in GET /")


@pytest.mark.parametrize("app", [[ORIGIN]], indirect=True)
@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, SystemExit])
@pytest.mark.parametrize("key", [500, Exception])
def test_own_error_handler(app: FastAPI, error: type[BaseException], key: type[Exception] | int) -> None:
    """An application's own handler answers for exceptions; every answer has the headers of all others."""

    @app.exception_handler(key)
    async def handle(_: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("sorry", 503)

    @app.get("/fail")
    async def fail() -> None:
        raise error

    event = http_event("/fail") | {"multiValueHeaders": None, "headers": {"origin": ORIGIN}}
    response = LambdaHandler(app)(event, None)
    assert response["statusCode"] == (503 if error is RuntimeError else 500)
    assert response["headers"]["access-control-allow-origin"] == ORIGIN
    assert response["headers"]["x-request-id"]


def test_request_id_of_the_application(app: FastAPI) -> None:
    """A request id that the application sets itself, like asgi-correlation-id, is the only one."""

    @app.get("/own")
    async def own() -> PlainTextResponse:
        response = PlainTextResponse("")
        response.raw_headers.append((b"X-Request-ID", b"own"))  # other frameworks leave capitals as they are
        return response

    assert TestClient(app).get("/own", headers={"x-request-id": "caller"}).headers.get_list("x-request-id") == ["own"]


def test_request_id_of_lambda(app: FastAPI) -> None:
    """On Lambda the request id is that of the invocation, which the log has."""
    context = Context()
    response = LambdaHandler(app)(http_event("/error"), context)
    assert (response["statusCode"], response["headers"]["x-request-id"]) == (500, context.aws_request_id)


@pytest.mark.parametrize("app", [[ORIGIN]], indirect=True)
@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [("/item", "OPTIONS", 200), ("/item", "GET", 422), ("/error", "GET", 500), ("/nowhere", "GET", 404)],
)
def test_cors(app: FastAPI, path: str, method: str, expected: int) -> None:
    """Every response names the allowed origin, also to a preflight request and for an unhandled error."""
    asked = {"access-control-request-method": "DELETE", "access-control-request-headers": "x-own"}
    headers = {"origin": ORIGIN} | (asked if method == "OPTIONS" else {})
    response = TestClient(app, raise_server_exceptions=False).request(method, path, headers=headers)
    assert response.status_code == expected
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "x-request-id" in response.headers
    if method == "OPTIONS":
        assert "DELETE" in response.headers["access-control-allow-methods"]
        assert response.headers["access-control-allow-headers"] == "x-own"
    else:
        assert response.headers["access-control-expose-headers"] == "etag, location, x-request-id"


@pytest.mark.parametrize("app", [[ORIGIN]], indirect=True)
def test_body_that_is_too_large(app: FastAPI) -> None:
    """FastAPI's own answer, which is outside of all other middleware, has the headers as well."""
    response = TestClient(app).post("/item", content=bytes(11), headers={"origin": ORIGIN})
    assert response.status_code == 413
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["x-request-id"]


def test_own_answer_to_a_body_that_is_too_large(app: FastAPI) -> None:
    """It is left as it is."""

    @app.get("/own")
    async def own() -> PlainTextResponse:
        return PlainTextResponse("Ten bytes, not more", 413)

    response = TestClient(app).get("/own")
    assert (response.status_code, response.text) == (413, "Ten bytes, not more")


def test_debug(app: FastAPI) -> None:
    """Starlette's page with the traceback answers, where that is asked for."""
    app.debug = True
    assert "the reason" in TestClient(app, raise_server_exceptions=False).get("/error").text


OTHERS = [([], None), (["https://other.example.com"], None), (["*"], "*")]


@pytest.mark.parametrize(("app", "named"), OTHERS, indirect=["app"])
def test_other_origins(app: FastAPI, named: str | None) -> None:
    """By default no origin is allowed, only listed ones are named, and * never comes with credentials."""
    headers = TestClient(app, raise_server_exceptions=False).get("/error", headers={"origin": ORIGIN}).headers
    assert headers.get("access-control-allow-origin") == named
    if named:
        assert "access-control-allow-credentials" not in headers
