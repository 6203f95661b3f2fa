"""Unusual requests, responses and errors through the handler of a rendered project, on its built layer."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake
from tests.events import FRONT_ENDS, HOST, http_api, load_balancer, rest_api
from tests.machine import ARCHITECTURE, interpreter
from tests.test_front_ends import ORIGIN, content, headers
from tests.worker import HandlerError, Worker


@pytest.fixture(scope="module")
def project(bake: Bake) -> Path:
    """Return a project with its layer, for this machine's processor."""
    return bake(architecture=ARCHITECTURE, build_layer=True)


@pytest.fixture(scope="module")
def call(project: Path) -> Iterator[Worker]:
    """Return the handler, with an allowed origin."""
    with Worker(interpreter("python3.13"), project, ALLOWED_ORIGINS=ORIGIN) as worker:
        yield worker


@pytest.mark.parametrize("port", ["443", "443,80", "", "abc", "-1"])
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_forwarded_port(front_end: str, port: str, call: Worker) -> None:
    """One that cannot be read is a detail of the request, which is served."""
    event = FRONT_ENDS[front_end]("/probe/seen", send={"x-forwarded-port": port})
    assert content(call(event))["server"][1] == 443


def test_two_forwarded_ports(call: Worker) -> None:
    """A REST API passes on each of several headers."""
    event = rest_api("/probe/seen")
    event["multiValueHeaders"]["X-Forwarded-Port"] = ["443", "80"]
    assert content(call(event))["server"][1] in (443, 80)


@pytest.mark.parametrize("address", ["10.1.22.195", "2001:db8::1"])
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_client_port(front_end: str, address: str, call: Worker) -> None:
    """With mutual TLS, and behind some load balancers, the client's port is beside its address."""
    event = FRONT_ENDS[front_end]("/probe/seen")
    both = f"[{address}]:32554" if ":" in address else f"{address}:32554"
    if front_end == "load_balancer":
        event["headers"]["x-forwarded-for"] = f"198.51.100.1, {both}"
    else:
        event["requestContext"].get("http", event["requestContext"].get("identity"))["sourceIp"] = both
    seen = content(call(event))
    assert (seen["client"], seen["client_port"]) == (address, 32554)


@pytest.mark.parametrize("path", ["/probe/text/1500000", "/probe/image/790000"])
def test_load_balancer_takes_less(path: str, call: Worker) -> None:
    """It takes 1 MB of response JSON, in which an image is base64."""
    assert call(http_api(path))["statusCode"] == 200
    for many in (False, True):
        response = call(load_balancer(path, many=many, send={"origin": ORIGIN}))
        assert response["statusCode"] == 500
        assert headers(response)["access-control-allow-origin"] == ORIGIN
        (error,) = (log for log in call.logs if log["level"] == "ERROR")
        assert "the limit is 1048576" in error["message"]


@pytest.mark.parametrize("path", ["/probe/exit", "/probe/half", "/probe/line-break", "/probe/crash"])
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_every_error_has_the_headers_of_an_answer(front_end: str, path: str, call: Worker) -> None:
    """Whatever fails, and however late: CORS headers, a request id, and one entry in the log."""
    response = call(FRONT_ENDS[front_end](path, send={"origin": ORIGIN}))
    sent = headers(response)
    assert (response["statusCode"], content(response)["detail"]) == (500, "Internal Server Error")
    assert content(response)["request_id"] == sent["x-request-id"]
    assert sent["access-control-allow-origin"] == ORIGIN
    assert "set-cookie" not in str(response)
    assert len([log for log in call.logs if log["level"] == "ERROR"]) == 1


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_scheme(front_end: str, call: Worker) -> None:
    """A client behind a load balancer can send any X-Forwarded-Proto: it does not get into links."""
    event = FRONT_ENDS[front_end]("/probe/slash", send={"x-forwarded-proto": "javascript"})
    for name in ("X-Forwarded-Proto",):
        for group in ("headers", "multiValueHeaders"):
            event.get(group, {}).pop(name, None)
    assert headers(call(event))["location"].startswith("https://")


def test_repeated_headers(call: Worker) -> None:
    """A REST API passes on each header, and the application sees them as they were sent."""
    for event in (rest_api("/probe/seen"), load_balancer("/probe/seen", many=True)):
        event["multiValueHeaders"] |= {"x-token": ["foo", "bar"], "X-Token": ["baz"]}
        assert content(call(event))["x-token"] == ["foo", "bar", "baz"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_content_length(front_end: str, call: Worker) -> None:
    """The application knows it, although a REST API does not pass it on."""
    body = base64.b64encode(bytes(1000)).decode()
    event = FRONT_ENDS[front_end]("/probe/seen", method="POST", body=body, isBase64Encoded=True)
    assert content(call(event))["headers"]["content-length"] == "1000"


@pytest.mark.parametrize("front_end", ["rest_api", "function_url", "load_balancer"])
def test_raw_path(front_end: str, call: Worker) -> None:
    """It is the path as the client has sent it."""
    raw_path = content(call(FRONT_ENDS[front_end]("/probe/seen")))["raw_path"]
    assert raw_path == ("/Prod" if front_end == "rest_api" else "") + "/probe/seen"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_body_that_is_not_base64(front_end: str, call: Worker) -> None:
    """It is answered as a client's error."""
    event = FRONT_ENDS[front_end]("/probe/sum", method="POST", body="plain text", isBase64Encoded=True)
    response = call(event | {"headers": event["headers"] | {"origin": ORIGIN}})
    assert (response["statusCode"], list(content(response))) == (400, ["detail"])
    assert headers(response)["x-request-id"]


@pytest.mark.parametrize(
    ("event", "source"),
    [
        ({"Records": [{"cf": {"request": {"method": "GET"}}}]}, "Lambda@Edge"),
        ({"eventSource": "aws:kafka", "records": {}}, "aws:kafka"),
        ({"eventSource": "SelfManagedKafka", "records": {}}, "SelfManagedKafka"),
        ({"eventSource": "aws:docdb", "events": []}, "aws:docdb"),
        ({"eventSource": "aws:rmq", "rmqMessagesByQueue": {}}, "aws:rmq"),
        ({"httpMethod": "GET", "path": "/", "requestContext": {"connectionId": "c"}}, "a WebSocket API"),
        (rest_api("/") | {"requestContext": {"connectionId": "c", "domainName": HOST}}, "a WebSocket API"),
    ],
)
def test_refusals_name_the_source(event: dict[str, Any], source: str, call: Worker) -> None:
    """Each of these is refused by what it is."""
    with pytest.raises(HandlerError, match=f"NotHttpError: .* an event of {source}"):
        call(event)


@pytest.mark.parametrize(
    ("address", "path", "schema"),
    [
        ("https://www.example.com", "/docs", "/openapi.json"),
        ("https://www.example.com/shop", "/docs", "/shop/openapi.json"),
        ("https://www.example.com/shop/", "/shop/docs", "/shop/openapi.json"),
    ],
)
def test_public_url(address: str, path: str, schema: str, project: Path) -> None:
    """Behind CloudFront a setting says what clients see, instead of the stage that the origin has."""
    with Worker(interpreter("python3.13"), project, PUBLIC_URL=address) as call:
        for event in (rest_api(path), http_api(f"/dev{path}", stage="dev"), load_balancer(path)):
            assert f"'{schema}'" in call(event)["body"]
        location = headers(call(rest_api("/probe/slash")))["location"]
        assert location == f"{address.rstrip('/')}/probe/slash/"


def test_public_url_that_is_none(project: Path) -> None:
    """Init fails and says what is expected."""
    result = run(project, "import main", PUBLIC_URL="www.example.com")
    assert "PUBLIC_URL is 'www.example.com'; it has to be like https://www.example.com/shop" in result.stderr


def run(project: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process that finds what the function finds on Lambda."""
    paths = [str(project / "app"), str(project / "package" / "python")]
    command = [interpreter("python3.13"), "-S", "-B", "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)


def test_log_without_lambda(project: Path) -> None:
    """`make run` and `make invoke` show what one's own code logs, with level and name."""
    code = "import main, logging; logging.getLogger('items').info('seen')"
    assert run(project, code).stderr == "INFO: items: seen\n"


PYDANTIC_1 = {
    "in a router": """
try:
    from pydantic.v1 import BaseModel as Old
except ImportError:
    from pydantic import BaseModel as Old
assert not hasattr(Old, "model_fields")
""",
    "validators": """
from pydantic import BaseModel
class Odd:
    @classmethod
    def __get_validators__(cls):
        yield lambda value: value
class Thing(BaseModel):
    odd: Odd
@router.get("/thing")
async def read_thing() -> Thing: ...
""",
}


@pytest.mark.parametrize("name", PYDANTIC_1)
def test_pydantic_1(name: str, project: Path, tmp_path: Path) -> None:
    """A library may import Pydantic 1 in a module, and Pydantic 2 itself does for some types."""
    shutil.copytree(project / "app", tmp_path / "app")
    (tmp_path / "package").symlink_to(project / "package")
    with (tmp_path / "app" / "items.py").open("a") as file:
        file.write(PYDANTIC_1[name])
    result = run(tmp_path, "import main; assert 'pydantic.v1' in sys.modules")
    assert result.returncode == 0, result.stderr


def test_pydantic_1_models_are_refused(project: Path) -> None:
    """FastAPI's own error names them, as elsewhere; an application without them does not import Pydantic 1."""
    code = """
import main
assert "pydantic.v1" not in sys.modules
from pydantic.v1 import BaseModel
class Old(BaseModel): ...
@main.app.get("/old")
async def old() -> Old: ...
"""
    assert "PydanticV1NotSupportedError" in run(project, code).stderr
    code = """
from contextlib import asynccontextmanager
import fastapi
@asynccontextmanager
async def lifespan(app):
    import pydantic.v1
    yield
FastAPI = fastapi.FastAPI
fastapi.FastAPI = lambda **options: FastAPI(lifespan=lifespan, **options)
import main
assert "pydantic.v1" in sys.modules
"""
    result = run(project, code, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001")
    assert result.returncode == 0, result.stderr
