"""`make run AWS=local` and `make invoke`: what a developer without an account of AWS can try."""

import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake, Venv
from tests.machine import clean_environment, free_port, interpreter

PYTHON = interpreter("python3.13")
EVERYTHING = {"storage": "dynamodb", "events": "s3", "secret": True}

# Prints what scripts/local.py makes.
MADE = """
import json
import boto3, local
from moto import mock_aws

local.forget_account()
mock_aws().start()
resources = local.read_resources()
made = local.make(resources)
tables = [boto3.client("dynamodb").describe_table(TableName=name)["Table"] for name in ("Table", "IdempotencyTable")]
indexes = [[each["IndexName"] for each in table.get("GlobalSecondaryIndexes", [])] for table in tables]
keys = [[table["KeySchema"], names] for table, names in zip(tables, indexes)]
queue = boto3.client("sqs").get_queue_attributes(QueueUrl=made["WorkQueue"], AttributeNames=["All"])["Attributes"]
count = json.loads(queue["RedrivePolicy"])["maxReceiveCount"]
variables = sorted(local.environment(resources, made))
print(json.dumps([keys, count, queue["VisibilityTimeout"], variables, local.handlers(resources)]))
"""


# Prints for how many of two queues the handler was called while it worked on a batch of the other one.
TOGETHER = """
import threading
import local

met, both = [], threading.Barrier(2)

def handler(event, context):
    try:
        both.wait(0.5)
        met.append(event)
    except threading.BrokenBarrierError:
        both.reset()
    return {"batchItemFailures": []}

event = {"Records": [{"messageId": "1"}]}
threads = [threading.Thread(target=local.failed, args=(handler, event)) for _ in range(2)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(len(met))
"""


class Service:
    """The service that runs on this machine."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request; return the status and the JSON of the response."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = None if body is None else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, sent, {"content-type": "application/json"} | names)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or "null")

    def await_(self, what: str, seconds: float = 60) -> None:
        """Wait until the log says something."""
        end = time.monotonic() + seconds
        while what not in self.log.read_text(encoding="utf-8"):
            assert time.monotonic() < end, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)


@contextmanager
def running(project: Path, *arguments: str, **environment: str) -> Iterator[Service]:
    """Start `make run AWS=local` as a user does, and end it with Ctrl-C."""
    port, log = free_port(), project.parent / "log"
    command = ["make", "run", "AWS=local", f"PORT={port}", *arguments]
    variables = clean_environment(project.parent / "home", **environment)
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            command, cwd=project, env=variables, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        service = Service(port, log)
        try:
            service.await_("Application startup complete")
            yield service
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(20)


@pytest.fixture
def installed(bake: Bake, project_venv: Venv, tmp_path: Path) -> Any:
    """Return a function that renders a project, and installs its .venv as `make install` does."""

    def install(**answers: object) -> Path:
        project = tmp_path / "project"
        shutil.copytree(bake(**answers), project)
        (project / ".venv").symlink_to(project_venv(project, PYTHON))
        (project / ".venv" / "installed").touch()
        return project

    return install


@pytest.mark.parametrize("deployer", ["sam", pytest.param("serverless", marks=pytest.mark.long)])
def test_run_with_aws_in_memory(deployer: str, installed: Any) -> None:
    """A job is done by the worker, an item is kept, a webhook is checked; nothing of an account of AWS is used."""
    project = installed(**EVERYTHING, deployer=deployer)
    elsewhere = {"AWS_PROFILE": "no-such-profile", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "mars"}
    with running(project, "EVENT=events/upload.json", **elsewhere) as service:
        status, job = service.call("POST", "/jobs", {"name": "Send the invoice"})
        assert (status, job["status"]) == (202, "waiting")
        service.await_(f"Job {job['id']} is done")
        service.await_("Object 'incoming/a lamp+shade.csv' has 5 bytes")
        end = time.monotonic() + 10
        while service.call("GET", f"/jobs/{job['id']}")[1]["status"] != "done":
            assert time.monotonic() < end
            time.sleep(0.05)

        status, item = service.call("POST", "/items", {"name": "A lamp", "price": "19.90"})
        assert (status, service.call("GET", f"/items/{item['id']}")) == (201, (200, item))
        assert service.call("GET", "/items")[1]["items"] == [item]

        signature = hmac.new(b"local", b"{}", hashlib.sha256).hexdigest()
        assert service.call("POST", "/webhooks", {}, x_hub_signature_256=f"sha256={signature}")[0] == 202
        assert service.call("POST", "/webhooks", {}, x_hub_signature_256="sha256=0")[0] == 401

        # A message that fails is delivered again, and others of its batch are not; one that is not valid is rejected.
        code = project / "app" / "worker.py"
        text = code.read_text(encoding="utf-8")
        failing = 'if message.source == "api" and message.name == "odd" and not seen.append(1) and len(seen) == 1:'
        text = text.replace(
            "    match message:\n", f"    {failing}\n        raise OSError('once')\n    match message:\n"
        )
        code.write_text(text.replace("\n\ndef work(", "\n\nseen: list[int] = []\n\n\ndef work("), encoding="utf-8")
        service.log.write_text("", encoding="utf-8")
        service.await_("Application startup complete")
        assert service.call("GET", "/items")[1]["items"] == []
        job = service.call("POST", "/jobs", {"name": "odd"})[1]
        service.await_("it is delivered again")
        service.await_(f"Job {job['id']} is done")
    assert not list(project.rglob("app/**/__pycache__"))


def test_tables_are_those_that_are_deployed(installed: Any) -> None:
    """An index that is added to the infrastructure is there locally: the definition is read, not written again."""
    project = installed(storage="dynamodb", events="sqs", deployer="zip")
    path = project / "template.yaml"
    text = path.read_text(encoding="utf-8")
    index = (
        "{IndexName: ByVersion, KeySchema: [{AttributeName: kind, KeyType: HASH}], Projection: {ProjectionType: ALL}}"
    )
    before, name, after = text.partition("\n  Table:\n")
    after = after.replace("    Properties:\n", f"    Properties:\n      GlobalSecondaryIndexes: [{index}]\n", 1)
    path.write_text(f"{before}{name}{after}".replace("maxReceiveCount: 5", "maxReceiveCount: 7"), encoding="utf-8")
    command = [project / ".venv" / "bin" / "python", "-B", "-c", MADE]
    printed = subprocess.run(command, cwd=project / "scripts", capture_output=True, encoding="utf-8")
    assert printed.returncode == 0, printed.stderr
    key = [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}]
    assert json.loads(printed.stdout) == [
        [[key, ["ByVersion"]], [[{"AttributeName": "id", "KeyType": "HASH"}], []]],
        7,
        "360",
        ["DEAD_LETTER_QUEUE_URL", "IDEMPOTENCY_TABLE", "QUEUE_URL", "TABLE_NAME"],
        {"WorkQueue": "worker.handler"},
    ]


def test_worker_has_one_batch_at_a_time(installed: Any) -> None:
    """Also if two queues have messages for it: a batch would be told what failed of the other one."""
    project = installed(events="sqs")
    command = [project / ".venv" / "bin" / "python", "-B", "-c", TOGETHER]
    printed = subprocess.run(command, cwd=project / "scripts", capture_output=True, encoding="utf-8")
    assert (printed.returncode, printed.stdout) == (0, "0\n"), printed.stderr


@pytest.mark.deployment  # two minutes
def test_sample_events(installed: Any) -> None:
    """Each can be tried without an account: an event of HTTP by the API, one of the queue by the worker."""
    printed, expected = {}, {}
    for source, storage, deployer, names in (
        ("sqs", "dynamodb", "serverless", {"job": "worker", "create-item": "201", "list-items": "200"}),
        ("s3", "none", "sam", {"upload": "worker", "job": "worker", "create-item": "201", "get-item": "200"}),
        ("sns", "none", "zip", {"notice": "worker"}),
        ("schedule", "none", "zip", {"tick": "worker"}),
    ):
        project = installed(storage=storage, events=source, deployer=deployer)
        python, events = project / ".venv" / "bin" / "python", project / "events"
        assert {path.stem for path in events.iterdir()} >= set(names)
        for name in names:
            command = [python, "-B", "scripts/invoke.py", events / f"{name}.json"]
            result = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")
            assert result.returncode == 0, (name, result.stdout + result.stderr)
            done = json.loads(result.stdout)["batchItemFailures"] == [] if result.stdout.startswith("{") else False
            printed[source, name] = "worker" if done else result.stdout.split("\n")[0]
            expected[source, name] = names[name]
        if source != "schedule":
            shutil.rmtree(project)
    assert printed == expected
    code = project / "app" / "worker.py"
    text = code.read_text(encoding="utf-8")
    code.write_text(
        text.replace("    match message:\n", "    raise OSError('no')\n    match message:\n"), encoding="utf-8"
    )
    result = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")
    assert (result.returncode, "OSError: no" in result.stderr) == (1, True), result.stdout + result.stderr
