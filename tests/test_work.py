"""The worker under Lambda's own runtime, with a table and queues of ministack, and as SQS delivers to it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CONTEXT, Bake, Venv
from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import ARCHITECTURE, ROOT, interpreter
from tests.ministack import CREDENTIALS, Ministack

PYTHON = interpreter("python3.13")
SOURCES = CONTEXT["events"][1:]
# The sample event of each source, and what makes its message another one.
SAMPLES = {
    "sqs": ("job", "7f0c3a52-6b0e-4f0e-9b1f-2f6b6c1d8f11"),
    "s3": ("upload", "00617F08299329D189"),
    "sns": ("notice", "n-1"),
    "schedule": ("tick", "2026-03-12"),
}
# A message with it fails: what is added to the example's work.
BAD = "1999-01-01"
SPOILT = '    if "1999" in str(message).replace("datetime.datetime(1999", "1999"):\n        raise RuntimeError("bad")\n'


class Function:
    """The worker of a project in the emulator, with what it needs in ministack."""

    def __init__(self, emulator: Emulator, ministack: Ministack, project: Path, names: dict[str, str]) -> None:
        self.emulator, self.ministack, self.project, self.names = emulator, ministack, project, names

    def call(self, *records: dict[str, Any]) -> Any:
        """Return what the worker answers to a batch."""
        return self.emulator.invoke({"Records": [*records]})

    def items(self) -> list[dict[str, Any]]:
        """Return what the table has."""
        return self.ministack.client("dynamodb").scan(TableName=self.names["table"])["Items"]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what is in the dead-letter queue."""
        call = {"QueueUrl": self.names["dead"], "MessageAttributeNames": ["All"], "MaxNumberOfMessages": 10}
        return self.ministack.client("sqs").receive_message(**call, VisibilityTimeout=0).get("Messages", [])


@pytest.fixture(params=SOURCES)
def function(request: pytest.FixtureRequest, bake: Bake, ministack: Ministack, tmp_path: Path) -> Iterator[Function]:
    """Return the worker of each source, whose work fails for a message that has the word bad."""
    project = bake(events=request.param, architecture=ARCHITECTURE, build_layer=True)
    task = tmp_path / "app"
    shutil.copytree(project / "app", task)
    text = (task / "worker.py").read_text(encoding="utf-8")
    head, docstring, rest = text.partition(' An exception has it delivered again."""\n')
    assert docstring
    (task / "worker.py").write_text(head + docstring + SPOILT + rest, encoding="utf-8")
    name = f"work-{request.param}"
    ministack.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    names = {"table": name, "dead": ministack.client("sqs").create_queue(QueueName=name)["QueueUrl"]}
    variables = {"IDEMPOTENCY_TABLE": name, "DEAD_LETTER_QUEUE_URL": names["dead"], **CREDENTIALS}
    variables["AWS_ENDPOINT_URL"] = ministack.url
    with Emulator(PYTHON, task, project / "package", "worker.handler", **variables) as emulator:
        yield Function(emulator, ministack, project, names)
    ministack.client("dynamodb").delete_table(TableName=name)


def test_worker(function: Function, request: pytest.FixtureRequest) -> None:
    """A message of each source is worked on, once if it comes twice; a bad one is returned; others are refused.

    One that is not valid, or of another source, goes to the dead-letter queue with its reason.
    """
    sample, identity = SAMPLES[request.node.callspec.params["function"]]
    event = json.loads((function.project / "events" / f"{sample}.json").read_text(encoding="utf-8"))
    (record,) = event["Records"]

    def another(number: str, text: str) -> dict[str, Any]:
        body = record["body"].replace(identity, text)
        assert body != record["body"]
        return record | {"messageId": number, "body": body}

    assert function.emulator.invoke(event) == {"batchItemFailures": []}
    (item,) = function.items()
    assert item["status"]["S"] == "COMPLETED"

    # The same message, alone and in a batch, in a later delivery of SQS.
    assert function.call(record | {"messageId": "later"}) == {"batchItemFailures": []}
    first, bad, third = another("1", "2001-01-01"), another("2", BAD), another("3", "2003-01-01")
    assert function.call(first, bad, third) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert function.call(bad, first, record) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert len(function.items()) == 3
    said = function.emulator.said()
    worked = re.findall(
        r"\[INFO\]\t.*\t(?:Job .* is done|Object .* has|Notice .* is read|The work of .* is done)", said
    )
    assert len(worked) == 3, said
    assert said.count("RuntimeError: bad") == 2

    unknown = record | {"messageId": "4", "body": json.dumps(json.loads(record["body"]) | {"source": "elsewhere"})}
    broken = record | {"messageId": "5", "body": "{"}
    assert function.call(unknown, broken, another("6", "2006-01-01")) == {"batchItemFailures": []}
    assert len(function.items()) == 4
    dead = {each["Body"]: each["MessageAttributes"]["reason"]["StringValue"] for each in function.dead_letters()}
    assert set(dead) == {unknown["body"], broken["body"]}
    assert "'api'" in dead[unknown["body"]] and "Invalid JSON" in dead[broken["body"]]
    said = function.emulator.said()
    assert all(f"goes to the dead-letter queue: {reason}" in said for reason in dead.values())

    for event, found in (({"Records": [{"eventSource": "aws:s3"}]}, "aws:s3"), (http_api("/"), "headers, ")):
        answer = function.emulator.invoke(event)
        assert answer["errorType"] == "NotQueueError"
        assert f"this event has: {found}" in answer["errorMessage"]


@pytest.mark.parametrize("seed", range(3))
def test_at_least_once(seed: int, bake: Bake, project_venv: Venv) -> None:
    """Each of a thousand messages is worked on once, whatever comes twice, late, fails or ends in the middle.

    Only one whose work was done when the function ended, before that was remembered, is worked on again. What is not
    valid or always fails is in the dead-letter queue, and nothing is lost.
    """
    from tests.deliveries import HOPELESS, INVALID, MESSAGES, body

    project = bake(events="sqs")
    command = [project_venv(project, PYTHON) / "bin" / "python", "-B", ROOT / "tests" / "deliveries.py"]
    result = subprocess.run([*command, project / "app", str(seed)], capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    valid = {str(number) for number in range(MESSAGES)} - {str(number) for number in [*INVALID, *HOPELESS]}
    again = found["killed when done"]
    assert found["done"] == {number: 1 + again.get(number, 0) for number in valid}
    assert {text for text, _ in found["dead"]} == {body(number) for number in [*INVALID, *HOPELESS]}
    reasons = dict(found["dead"])
    assert {reasons[body(number)] for number in INVALID} == {"name: Field required"}
    # It did happen.
    assert again and found["began"] > len(valid) + 200 and found["received"] > 1.5 * MESSAGES


def test_idempotency_is_what_does_it(bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """Without it, messages are worked on twice, so what passes above comes from it."""
    shutil.copytree(bake(events="sqs") / "app", tmp_path / "app")
    batch = tmp_path / "app" / "batch.py"
    text = batch.read_text(encoding="utf-8")
    assert "once(work)(identity" in text
    batch.write_text(text.replace("once(work)(identity", "(lambda identity, message: work(message))(identity"))
    command = [project_venv(bake(events="sqs"), PYTHON) / "bin" / "python", "-B", ROOT / "tests" / "deliveries.py"]
    result = subprocess.run([*command, tmp_path / "app", "0"], capture_output=True, encoding="utf-8", check=True)
    found = json.loads(result.stdout)
    assert max(found["done"][number] - found["killed when done"].get(number, 0) for number in found["done"]) > 1
