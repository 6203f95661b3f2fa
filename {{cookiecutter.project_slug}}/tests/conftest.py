"""Fixtures: an HTTP client for the application, and functions that send events to its Lambda handler."""

import contextlib
import json
{% if cookiecutter.__table or cookiecutter.secret %}
import os
{% endif %}
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
{% if cookiecutter.api != "rest_api" %}
from urllib.parse import {{ 'unquote, ' if cookiecutter.__url }}urlencode
{% endif %}

import pytest
from fastapi.testclient import TestClient
{% if cookiecutter.__table or cookiecutter.secret %}
from moto import mock_aws
{% endif %}

PROJECT = Path(__file__).resolve().parent.parent
# app/ is deployed as it is, so the tests must not write bytecode there.
sys.dont_write_bytecode = True
# As on Lambda, app/ is the working folder.
with contextlib.chdir(PROJECT / "app"):
    {% if cookiecutter.__table or cookiecutter.secret %}
    import clients
    {% endif %}
    {% if cookiecutter.__table %}
    import local
    {% endif %}
    import main
    {% if cookiecutter.__table or cookiecutter.secret %}
    import settings
    {% endif %}
    from invoke import Context
    from lambda_handler import LambdaHandler

Call = Callable[..., tuple[int, Any]]
DOMAIN = "a1b2c3d4e5.{{ cookiecutter.__domain }}"


@pytest.fixture(autouse=True)
def working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make app/ the working folder of every test."""
    monkeypatch.chdir(PROJECT / "app")


{% if cookiecutter.__table or cookiecutter.secret %}
@pytest.fixture(scope="session", autouse=True)
def aws_in_memory() -> Iterator[None]:
    """Put AWS in the memory of this process in the place of the real one, which no test reaches."""
    with pytest.MonkeyPatch.context() as patched, mock_aws():
        for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
            patched.delenv(name)
        patched.setenv("AWS_DEFAULT_REGION", "{{ cookiecutter.aws_region }}")
        {% if cookiecutter.__table %}
        patched.setattr(settings, "TABLE_NAME", "table")
        create_table()
        {% endif %}
        {% if cookiecutter.secret %}
        patched.setattr(settings, "SECRET_ARN", "secret")
        clients.client("secretsmanager").create_secret(Name="secret", SecretString="first")
        {% endif %}
        yield


{% endif %}
{% if cookiecutter.__table %}
def create_table() -> None:
    """Create a table with the key and the indexes of the one that is deployed."""
    properties = local.of_type(local.read_resources(), "AWS::DynamoDB::Table")["Table"]
    clients.client("dynamodb").create_table(TableName="table", **local.table(properties))


@pytest.fixture
def empty_table() -> None:
    """Give a test an empty table."""
    clients.client("dynamodb").delete_table(TableName="table")
    create_table()


{% endif %}
@pytest.fixture
def client() -> Iterator[TestClient]:
    """Return an HTTP client for the application, without Lambda; the lifespan is entered, and left after the test."""
    with TestClient(main.app) as client:
        yield client


@pytest.fixture
def handler() -> Iterator[LambdaHandler]:
    """Return a Lambda handler of the application, whose lifespan is left after the test."""
    handler = LambdaHandler(main.app)
    yield handler
    handler.close()


@pytest.fixture
def call(handler: LambdaHandler) -> Call:
    """Return a function that sends a request through the Lambda handler and returns its status and JSON body."""
    return caller(handler)


def caller(handler: LambdaHandler) -> Call:
    """Return the function `call` for a handler; it takes what `http_event` takes."""

    def call(path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
        response = handler(http_event(path, method, **more), Context())
        body = response.get("body")
        return response["statusCode"], json.loads(body) if body else None

    return call


def http_event(
    path: str,
    method: str = "GET",
    *,
    body: Any = None,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    {% if cookiecutter.api == "rest_api" %}
    prefix: str = "/prod",
    {% elif cookiecutter.api == "http_api" %}
    stage: str = "$default",
    {% endif %}
    {% if cookiecutter.api != "function_url" %}
    domain: str = DOMAIN,
    {% endif %}
) -> dict[str, Any]:
{% if cookiecutter.api == "rest_api" %}
    """Return an event of a REST API: the body is sent as JSON, the prefix is a stage or a base path."""
    sent = {"Host": domain, "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https"}
    sent |= ({} if body is None else {"Content-Type": "application/json"}) | (headers or {})
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": {"proxy": path.strip("/")},
        "requestContext": {
            "domainName": domain,
            "httpMethod": method,
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "pytest"},
            "path": prefix + path,
            "stage": "prod",
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
{% else %}
    {% if cookiecutter.api == "http_api" %}
    """Return an event of an HTTP API: the body is sent as JSON; with a named stage, the path starts with the stage."""
    {% else %}
    """Return an event of a Function URL: the body is sent as JSON."""
    {% endif %}
    sent = {"host": {{ "DOMAIN" if cookiecutter.__url else "domain" }}, "x-forwarded-for": "203.0.113.7", "x-forwarded-port": "443", "x-forwarded-proto": "https"}
    sent |= ({} if body is None else {"content-type": "application/json"}) | (headers or {})
    http = {
        "method": method,
        "path": {{ "unquote(path)" if cookiecutter.__url else "path" }},
        "protocol": "HTTP/1.1",
        "sourceIp": "203.0.113.7",
        "userAgent": "pytest",
    }
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query or {}),
        "headers": sent,
        {% if cookiecutter.__url %}
        "requestContext": {"domainName": DOMAIN, "http": http, "stage": "$default"},
        {% else %}
        "requestContext": {"domainName": domain, "http": http, "stage": stage},
        {% endif %}
        "isBase64Encoded": False,
    } | ({} if body is None else {"body": json.dumps(body)})
{% endif %}
