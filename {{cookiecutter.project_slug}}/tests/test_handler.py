"""Events through the Lambda handler: the sample events, the start of the service, and paths below a stage."""

import json
import platform
import subprocess
import sys
from pathlib import Path
{% if cookiecutter.api != "function_url" %}
from typing import Any
{% endif %}

import pytest
{% if cookiecutter.api != "function_url" %}
from fastapi import FastAPI
{% endif %}

import build
import invoke
import scratch
from conftest import PROJECT, {{ "caller, " if cookiecutter.api == "http_api" }}http_event
from lambda_handler import LambdaHandler

EVENTS = sorted((PROJECT / "events").glob("*.json"))
{% if cookiecutter.__worker %}
# Those of the queue are for the worker: see test_worker.py.
EVENTS = [path for path in EVENTS if "aws:sqs" not in path.read_text(encoding="utf-8")]
{% endif %}

# It opens no connection: what needs one at import would need it at each start on Lambda, or is on this machine only.
START = """
import sys

def refuse_connections(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        # On Windows the event loop is connected to itself.
        if sys._getframe(1).f_code.co_name != "_fallback_socketpair":
            raise ConnectionRefusedError(f"the import of main opens a connection: {event}")

sys.addaudithook(refuse_connections)
sys.path[:0] = sys.argv[1:]
import invoke
assert callable(invoke.load_handler())
{% if cookiecutter.__state %}
# They take long to import: the first request that needs them does.
assert not {"boto3", "botocore"{{ ', "aws_lambda_powertools"' if cookiecutter.secret or cookiecutter.__worker }}} & sys.modules.keys()
{% endif %}
"""


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_sample_event(path: Path, handler: LambdaHandler) -> None:
    """Every event in events/ is answered with a status of success."""
    assert 200 <= handler(json.loads(path.read_text(encoding="utf-8")), invoke.Context())["statusCode"] < 300


def test_start_as_lambda_starts() -> None:
    """The handler can be imported with nothing but app/ and the layer, from app/, without writing or a connection."""
    here = f"python{sys.version_info.major}.{sys.version_info.minor}", platform.machine().replace("aarch", "arm")
    # A layer for another machine cannot be imported; invoke.py lets .venv stand in for it.
    fits = platform.libc_ver()[0] == "glibc" and here == (build.RUNTIME, build.ARCHITECTURE)
    paths = [str(PROJECT / "scripts"), *([str(scratch.LAYER)] if fits and scratch.LAYER.is_dir() else [])]
    command = [sys.executable, "-I", "-B", "-c", START, *paths]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    assert result.returncode == 0, result.stderr


def test_invoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command for a sample event prints status, headers and body."""
    (tmp_path / "health.json").write_text(json.dumps(http_event("/health")), encoding="utf-8")
    command = [sys.executable, str(PROJECT / "scripts" / "invoke.py"), "health.json"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    head, _, body = result.stdout.partition("\n\n")
    assert head.startswith("200\n")
    assert "\ncontent-type: application/json" in head
    assert json.loads(body) == {"status": "ok"}
    assert invoke.main(["nowhere.json"]) == 2
    assert capsys.readouterr().err.startswith("invoke.py: nowhere.json is not a JSON event")
{% if cookiecutter.api != "function_url" %}


@pytest.fixture
def own() -> LambdaHandler:
    """Return the handler of an application that is made here."""
    app = FastAPI()

    @app.get("/")
    @app.get("/items/{item_id}")
    async def read(item_id: int = 0) -> int:
        return item_id

    return LambdaHandler(app)
{% endif %}
{% if cookiecutter.api == "http_api" %}


@pytest.mark.parametrize(("path", "item_id"), [("/dev/items/42", 42), ("/dev/", 0), ("/dev", 0)])
def test_named_stage(own: LambdaHandler, path: str, item_id: int) -> None:
    """A stage in the path is not part of the route."""
    assert caller(own)(path, stage="dev") == (200, item_id)


def test_path_that_only_looks_like_the_stage(own: LambdaHandler) -> None:
    """A path that only begins with the letters of the stage does not have it."""
    assert caller(own)("/item/items/42", stage="item") == (200, 42)
    assert caller(own)("/items/42", stage="item") == (200, 42)


@pytest.mark.parametrize(
    ("path", "event", "schema", "servers"),
    [
        ("/docs", {}, "/openapi.json", None),
        ("/dev/docs", {"stage": "dev"}, "/dev/openapi.json", [{"url": "/dev"}]),
        ("/dev/docs", {"stage": "dev", "domain": "api.example.com"}, "/openapi.json", None),
        ("/docs", {"domain": "api.example.com"}, "/openapi.json", None),
    ],
)
def test_docs(
    own: LambdaHandler, path: str, event: dict[str, Any], schema: str, servers: list[dict[str, str]] | None
) -> None:
    """The docs find their schema below the stage, and behind a custom domain without it, one request to the next."""
    page = own(http_event(path, **event), None)
    assert page["statusCode"] == 200
    assert f"'{schema}'" in page["body"]
    document = own(http_event(path.replace("docs", "openapi.json"), **event), None)
    assert json.loads(document["body"]).get("servers") == servers
{% elif cookiecutter.api == "rest_api" %}


@pytest.mark.parametrize(
    ("event", "schema", "servers"),
    [
        ({}, "/prod/openapi.json", [{"url": "/prod"}]),
        ({"prefix": "", "domain": "api.example.com"}, "/openapi.json", None),
        ({"prefix": "/shop", "domain": "api.example.com"}, "/shop/openapi.json", [{"url": "/shop"}]),
    ],
)
def test_docs(own: LambdaHandler, event: dict[str, Any], schema: str, servers: list[dict[str, str]] | None) -> None:
    """The docs find their schema below the stage, and behind a custom domain with a base path and without."""
    page = own(http_event("/docs", **event), None)
    assert page["statusCode"] == 200
    assert f"'{schema}'" in page["body"]
    document = own(http_event("/openapi.json", **event), None)
    assert json.loads(document["body"]).get("servers") == servers
{% endif %}
