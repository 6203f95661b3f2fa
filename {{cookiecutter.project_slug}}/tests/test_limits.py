"""Requests that are too large or malformed: the application answers them, so they are no errors of the function."""

import base64
import json
import runpy
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

import main
import settings
from conftest import http_event
from invoke import Context
from lambda_handler import LambdaHandler
from middleware import add_middleware

LARGE = json.dumps({"name": "x" * settings.MAX_BODY_SIZE})
DEEP = "[" * (settings.MAX_BODY_SIZE - 1)
LATIN = {"body": base64.b64encode(b'{"name": "caf\xe9"}').decode(), "isBase64Encoded": True}
JSON = {"content-type": "application/json"}
ZIPPED = JSON | {"content-encoding": "gzip"}  # which nobody unpacks, so it is no JSON
MANY = {f"name{number}": "x" for number in range(10_000)}


class Item(BaseModel):
    """What the application below takes."""

    name: str


@pytest.fixture
def handler() -> LambdaHandler:
    """Return the handler of an application that reads a body with POST, and none with GET."""
    app = FastAPI(max_body_size=settings.MAX_BODY_SIZE)
    add_middleware(app)

    @app.get("/items")
    async def read() -> str:
        return ""

    @app.post("/items")
    async def create(item: Item) -> int:
        return len(item.name)

    return LambdaHandler(app)


def send(handler: LambdaHandler, path: str, method: str, **more: Any) -> tuple[int, Any]:
    """Return the status and the JSON body of a response, which has the request id of Lambda."""
    event = http_event(path, method, query=more.pop("query", None), headers=JSON | more.pop("headers", {})) | more
    context = Context()
    response = handler(event, context)
    headers = (response.get("multiValueHeaders") or {}) | response["headers"]
    assert headers["x-request-id"] == context.aws_request_id
    assert headers["content-type"] == "application/json"
    return response["statusCode"], json.loads(response["body"])


@pytest.mark.parametrize(
    ("path", "method", "more"),
    [
        ("/items", "POST", {"body": LARGE}),
        ("/items", "POST", {"body": LARGE, "headers": {"content-length": str(len(LARGE))}}),
        ("/items", "POST", {"body": LARGE, "headers": {"content-length": "5"}}),
        ("/items", "POST", {"body": "{}", "headers": {"content-length": "99999999"}}),
        ("/items", "POST", {"body": base64.b64encode(LARGE.encode()).decode(), "isBase64Encoded": True}),
        # Nobody reads the body.
        ("/items", "GET", {"body": LARGE}),
        ("/nowhere", "POST", {"body": LARGE}),
    ],
)
def test_body_that_is_too_large(handler: LambdaHandler, path: str, method: str, more: dict[str, Any]) -> None:
    """It has status 413, by what it says of its length and by what it has, read or not."""
    assert send(handler, path, method, **more) == (413, {"detail": "Content Too Large"})


def test_body_that_just_fits(handler: LambdaHandler) -> None:
    """The largest body is read."""
    length = settings.MAX_BODY_SIZE - len('{"name": ""}')
    assert send(handler, "/items", "POST", body=json.dumps({"name": "x" * length})) == (200, length)


def test_limit_of_the_service() -> None:
    """The application has it."""
    response = TestClient(main.app).post("/", content=bytes(settings.MAX_BODY_SIZE + 1))
    assert (response.status_code, response.json()) == (413, {"detail": "Content Too Large"})


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (422, {"body": "{"}),
        (400, {"body": DEEP}),
        (400, LATIN),
        (422, {"body": "\x1f\x8b\x08\x00", "headers": ZIPPED}),
        (422, {"body": "{}", "headers": {"content-length": "many"}}),
        (422, {"body": "{}", "headers": {"content-length": "-1"}}),
        (422, {"body": "{}", "headers": {"content-length": "9" * 5000}}),
        (422, {"body": "{}", "headers": {"x-long": "x" * 10_240}}),
        (422, {"body": "{}", "query": MANY}),
        (422, {}),
    ],
)
def test_malformed_request(handler: LambdaHandler, status: int, more: dict[str, Any]) -> None:
    """It is refused as a bad request."""
    answered, body = send(handler, "/items", "POST", **more)
    assert (answered, [*body]) == (status, ["detail"])


def test_body_in_parts(handler: LambdaHandler) -> None:
    """Under uvicorn a body may come without its length."""
    parts = iter([b" " * settings.MAX_BODY_SIZE, b"{}"])
    response = TestClient(handler.app).post("/items", content=parts, headers=JSON)
    assert (response.status_code, response.json()) == (413, {"detail": "Content Too Large"})


@pytest.mark.parametrize("size", ["", "1 MB", "-1", "1e6", "²"])
def test_setting_that_is_no_size(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    """The function does not start, and says what is wrong."""
    monkeypatch.setenv("MAX_BODY_SIZE", size)
    with pytest.raises(ValueError, match=f"MAX_BODY_SIZE is '{size}'; it has to be a number of bytes, such as 1048576"):
        runpy.run_path(settings.__file__)
