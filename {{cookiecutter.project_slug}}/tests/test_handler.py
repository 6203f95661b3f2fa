"""Events through the Lambda handler of the service, `main.handler`."""

import json
from pathlib import Path

import pytest

import invoke
import main
from conftest import PROJECT, Call{{ ", http_event" if cookiecutter.api != "function_url" }}

EVENTS = sorted((PROJECT / "events").glob("*.json"))


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_sample_event(path: Path) -> None:
    """Every event in events/ is answered with status 200."""
    assert main.handler(json.loads(path.read_text(encoding="utf-8")), None)["statusCode"] == 200


def test_invoke(capsys: pytest.CaptureFixture[str]) -> None:
    """The command for a sample event prints status, headers and body."""
    assert invoke.main([str(PROJECT / "events" / "get-item.json")]) == 0
    status, *headers, body = capsys.readouterr().out.split("\n", 3)
    assert status == "200"
    assert any(header.startswith("content-type: application/json") for header in headers)
    assert json.loads(body.partition("\n\n")[2] or body) == {"item_id": 42, "name": "Item 42"}
    assert invoke.main(["nowhere.json"]) == 2
    assert capsys.readouterr().err.startswith("invoke.py: nowhere.json is no event in JSON")


def test_answers(call: Call) -> None:
    """The routes answer; a value that is not a number and an unknown path are errors."""
    assert call("/") == (200, {"service": main.app.title, "version": "0.1.0"})
    assert call("/items/42") == (200, {"item_id": 42, "name": "Item 42"})
    assert call("/items/x")[0] == 422
    assert call("/nowhere") == (404, {"detail": "Not Found"})
    assert call("/health", method="HEAD") == (200, None)


def test_several_requests(call: Call) -> None:
    """An execution environment answers more than one request."""
    assert [call(f"/items/{number}")[1]["item_id"] for number in range(3)] == [0, 1, 2]
{% if cookiecutter.api == "http_api" %}


@pytest.mark.parametrize("path", ["/dev/items/42", "/dev/health", "/dev/", "/dev"])
def test_named_stage(call: Call, path: str) -> None:
    """A stage in the path is not part of the route."""
    assert call(path, stage="dev") == call(path.removeprefix("/dev") or "/")


def test_path_that_only_looks_like_the_stage(call: Call) -> None:
    """A path that only begins with the letters of the stage does not have it."""
    assert call("/item/items/42", stage="item")[0] == 200
    assert call("/items/42", stage="item")[0] == 200


@pytest.mark.parametrize(
    ("path", "event", "schema", "servers"),
    [
        ("/docs", {}, "/openapi.json", None),
        ("/dev/docs", {"stage": "dev"}, "/dev/openapi.json", [{"url": "/dev"}]),
        ("/dev/docs", {"stage": "dev", "domain": "api.example.com"}, "/openapi.json", None),
        ("/docs", {"domain": "api.example.com"}, "/openapi.json", None),
    ],
)
def test_docs(path: str, event: dict[str, str], schema: str, servers: list[dict[str, str]] | None) -> None:
    """The docs find their schema below the stage, and behind a custom domain without it, one request to the next."""
    page = main.handler(http_event(path, **event), None)
    assert page["statusCode"] == 200
    assert f"'{schema}'" in page["body"]
    document = main.handler(http_event(path.replace("docs", "openapi.json"), **event), None)
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
def test_docs(event: dict[str, str], schema: str, servers: list[dict[str, str]] | None) -> None:
    """The docs find their schema below the stage, and behind a custom domain with a base path and without."""
    page = main.handler(http_event("/docs", **event), None)
    assert page["statusCode"] == 200
    assert f"'{schema}'" in page["body"]
    document = main.handler(http_event("/openapi.json", **event), None)
    assert json.loads(document["body"]).get("servers") == servers
{% endif %}
