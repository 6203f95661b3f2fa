"""Fixtures: a client that speaks to the application, and a way to call the Lambda handler as API Gateway does."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

# app/ is deployed as it is: the tests leave no bytecode in it.
sys.dont_write_bytecode = True

import main  # noqa: E402

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def client() -> TestClient:
    """Return an HTTP client for the application, without Lambda."""
    return TestClient(main.app)


@pytest.fixture
def call() -> Callable[..., tuple[int, Any]]:
    """Return a function that sends a request through the Lambda handler and returns its status and JSON body."""

    def call(path: str, method: str = "GET", **changes: Any) -> tuple[int, Any]:
        response = main.handler(http_event(path, method, **changes), None)
        body = response.get("body")
        return response["statusCode"], json.loads(body) if body else None

    return call


def http_event(path: str, method: str = "GET", stage: str = "$default", domain: str | None = None) -> dict[str, Any]:
    """Return what an HTTP API hands to the function (payload format 2.0)."""
    event: dict[str, Any] = json.loads((PROJECT / "events" / "get-item.json").read_text(encoding="utf-8"))
    event["rawPath"] = path
    event["pathParameters"] = {"proxy": path.strip("/")}
    event["requestContext"]["http"] |= {"method": method, "path": path}
    event["requestContext"]["stage"] = stage
    if domain:
        event["headers"]["host"] = event["requestContext"]["domainName"] = domain
    return event
