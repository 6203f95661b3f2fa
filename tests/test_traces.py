"""FastAPI's OpenTelemetry spans, with AWS's distribution (ADOT) in a second layer, and without it."""

import base64
import hashlib
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.conftest import Bake
from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import ARCHITECTURE, CACHE, ROOT, UV, interpreter

PYTHON = interpreter("python3.13")
LOCK = ROOT / "requirements" / "traces.txt"
ROOT_ID, PARENT_ID = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
ROUTES = """
@app.get("/raise/{number}")
async def fail(number: int) -> None:
    raise RuntimeError("the reason")


@app.get("/modules")
async def modules() -> list[str]:
    return [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.instrumentation"))]
"""
# They do what the layer's own two files do; those are not on PyPI.
WRAPPER = """#!/bin/sh
export OTEL_PYTHON_DISTRO=aws_distro OTEL_PYTHON_CONFIGURATOR=aws_configurator
export OTEL_PROPAGATORS=baggage,xray,tracecontext
export OTEL_AWS_APPLICATION_SIGNALS_ENABLED=true OTEL_AWS_APPLICATION_SIGNALS_RUNTIME_ENABLED=false
export OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=asgi,fastapi,starlette,asyncio,threading,logging,aws-lambda
export ORIG_HANDLER="$_HANDLER" _HANDLER=otel_wrapper.handler
exec "$1" -c 'from opentelemetry.instrumentation.auto_instrumentation import run; run()' "$@"
"""
OTEL_WRAPPER = f"""
import importlib, os
from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor
from opentelemetry.propagate import extract

# Lambda has it in _X_AMZN_TRACE_ID, and the emulator does not.
trace = "Root=1-{ROOT_ID[:8]}-{ROOT_ID[8:]};Parent={PARENT_ID};Sampled=1"
AwsLambdaInstrumentor().instrument(event_context_extractor=lambda event: extract({{"X-Amzn-Trace-Id": trace}}))
module, name = os.environ["ORIG_HANDLER"].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)
"""
DECODE = """
import json, sys
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
print(json.dumps([MessageToDict(ExportTraceServiceRequest.FromString(bytes.fromhex(line))) for line in sys.stdin]))
"""


@pytest.fixture(scope="module")
def distribution() -> Path:
    """Install AWS's distribution of OpenTelemetry with bytecode, as its layer has it."""
    target = CACHE / "traces" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "done").exists():
            shutil.rmtree(target, ignore_errors=True)
            command = [UV, "pip", "install", "--quiet", "--python", PYTHON, "--target", target, "--compile-bytecode"]
            subprocess.run([*command, "--require-hashes", "-r", LOCK], check=True)
            (target / "done").touch()
    return target


@pytest.fixture(scope="module")
def task(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the code of a project with routes of ours."""
    project = bake(runtime="python3.13", architecture=ARCHITECTURE, build_layer=True)
    task = shutil.copytree(project / "app", tmp_path_factory.mktemp("traces") / "task")
    with (task / "main.py").open("a", encoding="utf-8") as main:
        main.write(ROUTES)
    return task


@pytest.fixture(scope="module")
def layers(bake: Bake, distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what Lambda makes of two layers in the order of the template: the later one's files replace those before.

    The distribution needs its own version of OpenTelemetry's API, with bytecode, so its layer is the later one.
    """
    project = bake(runtime="python3.13", architecture=ARCHITECTURE, build_layer=True)
    layers = shutil.copytree(project / "package", tmp_path_factory.mktemp("traces") / "layers")
    shutil.copytree(distribution, layers / "python", dirs_exist_ok=True, ignore=shutil.ignore_patterns("grpc"))
    (layers / "otel-instrument").write_text(WRAPPER, encoding="utf-8")
    (layers / "otel-instrument").chmod(0o755)
    (layers / "python" / "otel_wrapper.py").write_text(OTEL_WRAPPER, encoding="utf-8")
    return layers


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """Return the socket to which spans are sent: on Lambda, that of the X-Ray daemon."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        yield daemon


def received(daemon: socket.socket, distribution: Path) -> list[dict[str, Any]]:
    """Return the spans that have arrived until now, with their scope and with attributes by name."""
    datagrams = []
    while True:
        try:
            datagrams.append(daemon.recv(65536))
        except BlockingIOError:
            break
    lines = [base64.b64decode(each.partition(b"\nT1S")[2]).hex() for each in datagrams if b"\nT1S" in each]
    command = [PYTHON, "-S", "-c", DECODE]
    environment = {"PYTHONPATH": str(distribution)}
    result = subprocess.run(
        command, input="\n".join(lines), env=environment, capture_output=True, text=True, check=True
    )
    spans = []
    for request in json.loads(result.stdout):
        for scope in request["resourceSpans"][0]["scopeSpans"]:
            for span in scope["spans"]:
                values = {each["key"]: [*each["value"].values()][0] for each in span["attributes"]}
                ids = {name: base64.b64decode(span[name]).hex() for name in ("traceId", "spanId", "parentSpanId")}
                spans.append(span | ids | {"scope": scope["scope"]["name"], "attributes": values})
    return spans


def test_spans(task: Path, layers: Path, distribution: Path, daemon: socket.socket) -> None:
    """Each request is one server span with its route, status and error, below Lambda's, sent before the response is."""
    address = f"127.0.0.1:{daemon.getsockname()[1]}"
    environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument", "AWS_XRAY_DAEMON_ADDRESS": address}
    with Emulator(PYTHON, task, layers, AWS_LAMBDA_LOG_FORMAT="JSON", **environment) as function:
        for path, route, status in (("/items/42", "/items/{item_id}", 200), ("/raise/1", "/raise/{number}", 500)):
            assert function.invoke(http_api(path))["statusCode"] == status
            spans = received(daemon, distribution)
            assert {span["scope"] for span in spans} == {"fastapi", "opentelemetry.instrumentation.aws_lambda"}
            assert {span["traceId"] for span in spans} == {ROOT_ID}
            inner, outer = (span for span in spans if span["kind"] == "SPAN_KIND_SERVER")
            assert (outer["parentSpanId"], inner["parentSpanId"]) == (PARENT_ID, outer["spanId"])
            assert inner["name"] == f"GET {route}"
            seen = inner["attributes"]
            assert (seen["http.route"], seen["http.response.status_code"]) == (route, str(status))
            assert seen.get("error.type") == ("RuntimeError" if status == 500 else None)
            assert ("code" in inner["status"]) == (status == 500)
            others = {span["name"] for span in spans} - {inner["name"], outer["name"]}
            assert {"fastapi.dependencies", "fastapi.endpoint"} <= others
        lines = [line for line in function.said().splitlines() if not re.search(r"\(rapid\)|^START|^END|^REPORT", line)]
    assert {json.loads(line)["logger"] for line in lines} == {"mangum.http", "request_cycle"}


def test_no_spans_by_default(task: Path, layers: Path, distribution: Path, daemon: socket.socket) -> None:
    """Without the wrapper, only the API of OpenTelemetry is imported, which FastAPI needs."""
    address = f"127.0.0.1:{daemon.getsockname()[1]}"
    with Emulator(PYTHON, task, layers, AWS_XRAY_DAEMON_ADDRESS=address) as function:
        assert json.loads(function.invoke(http_api("/modules"))["body"]) == []
    assert received(daemon, distribution) == []
