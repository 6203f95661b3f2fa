"""Fixtures: an HTTP client for the application, and a function that sends events to its Lambda handler."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

# app/ is deployed as it is, so the tests must not write bytecode there.
sys.dont_write_bytecode = True

import main  # noqa: E402

PROJECT = Path(__file__).resolve().parent.parent

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def client() -> TestClient:
    """Return an HTTP client for the application, without Lambda."""
    return TestClient(main.app)


@pytest.fixture
def call() -> Call:
    """Return a function that sends a request through the Lambda handler and returns its status and JSON body."""

    def call(path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
        response = main.handler(http_event(path, method, **more), None)
        body = response.get("body")
        return response["statusCode"], json.loads(body) if body else None

    return call


{% if cookiecutter.api == "rest_api" %}
def http_event(path: str, method: str = "GET", prefix: str = "/prod", domain: str | None = None) -> dict[str, Any]:
    """Return an event of a REST API; the prefix, a stage or a base path, is only in the path of its context."""
    event: dict[str, Any] = json.loads((PROJECT / "events" / "get-item.json").read_text(encoding="utf-8"))
    event |= {"path": path, "httpMethod": method, "pathParameters": {"proxy": path.strip("/")}}
    event["requestContext"]["path"] = prefix + path
    if domain:
        event["headers"]["Host"] = event["requestContext"]["domainName"] = domain
        event["multiValueHeaders"]["Host"] = [domain]
    return event
{% else %}
{% if cookiecutter.api == "http_api" %}
def http_event(path: str, method: str = "GET", stage: str = "$default", domain: str | None = None) -> dict[str, Any]:
    """Return an event of an HTTP API (payload format 2.0); with a named stage, the path starts with the stage."""
    event: dict[str, Any] = json.loads((PROJECT / "events" / "get-item.json").read_text(encoding="utf-8"))
    event["rawPath"] = path
    event["routeKey"] = "$default"
    event["requestContext"]["http"] |= {"method": method, "path": path}
    event["requestContext"]["stage"] = stage
    if domain:
        event["headers"]["host"] = event["requestContext"]["domainName"] = domain
    return event
{% else %}
def http_event(path: str, method: str = "GET") -> dict[str, Any]:
    """Return an event of a Function URL (payload format 2.0)."""
    event: dict[str, Any] = json.loads((PROJECT / "events" / "get-item.json").read_text(encoding="utf-8"))
    event["rawPath"] = path
    event["requestContext"]["http"] |= {"method": method, "path": path}
    return event
{% endif %}
{% endif %}
