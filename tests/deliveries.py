"""A queue that delivers at least once, in random order, to a project's worker; some calls fail, or end in the middle.

As a script it runs in a project's virtual environment: `python deliveries.py APP SEED` prints in JSON what became of
the messages. The table is in memory, with the conditions that Powertools has DynamoDB check.
"""

import json
import logging
import os
import random
import sys
import time
from collections import Counter
from typing import Any

MESSAGES = 1000
# The numbers of those that are not valid, and of those that always fail.
INVALID, HOPELESS = range(30), range(30, 50)
MAX_RECEIVES = 5  # as in templates/worker.yaml


class Killed(BaseException):
    """The function has reached its timeout: nothing in it runs on."""


class Context:
    """The context of a call: what is left of it is over when the next call begins."""

    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:worker"

    def get_remaining_time_in_millis(self) -> int:
        """Return a millisecond."""
        return 1


def main(seed: int) -> dict[str, Any]:
    """Deliver the messages until the queue is empty, and return what became of them."""
    import batch
    import worker
    from aws_lambda_powertools.utilities.idempotency import BasePersistenceLayer
    from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyItemAlreadyExistsError

    chance = random.Random(seed)  # noqa: S311 - nothing secret
    began: Counter[str] = Counter()
    done: Counter[str] = Counter()
    killed_when_done: Counter[str] = Counter()
    calls = 0

    class Table(BasePersistenceLayer):
        def __init__(self) -> None:
            super().__init__()
            self.items: dict[str, Any] = {}

        def _get_record(self, idempotency_key: str) -> Any:
            return self.items[idempotency_key]

        def _put_record(self, data_record: Any) -> None:
            old, now = self.items.get(data_record.idempotency_key), time.time() + calls  # a call takes a second
            abandoned = old and old.status == "INPROGRESS" and old.in_progress_expiry_timestamp < now * 1000
            if old and old.expiry_timestamp >= now and not abandoned:
                raise IdempotencyItemAlreadyExistsError(old_data_record=old)
            self.items[data_record.idempotency_key] = data_record

        def _update_record(self, data_record: Any) -> None:
            self.items[data_record.idempotency_key] = data_record

        def _delete_record(self, data_record: Any) -> None:
            self.items.pop(data_record.idempotency_key)

    class DeadLetters:
        def send_message(self, MessageBody: str, MessageAttributes: dict[str, Any], **_: str) -> None:  # noqa: N803
            if chance.random() < 0.05:
                raise OSError("SQS does not answer")
            dead.append((MessageBody, MessageAttributes["reason"]["StringValue"]))

    def work(message: Any) -> None:
        began[message.job_id] += 1
        point = chance.random()
        if message.name == "hopeless" or point < 0.1:
            raise RuntimeError("it failed")
        if point < 0.12:
            raise Killed
        done[message.job_id] += 1
        if point > 0.98:
            killed_when_done[message.job_id] += 1
            raise Killed

    table = Table()
    worker.work, batch.done, batch.client = work, lambda: table, lambda _: DeadLetters()
    dead: list[tuple[str, str]] = []
    # Each is in the queue with how often it was received. A publisher, EventBridge or SNS may send one twice.
    bodies = [body(number) for number in range(MESSAGES)]
    queue = [[text, 0] for text in bodies for _ in range(chance.choice((1, 1, 1, 2)))]
    received: Counter[str] = Counter()
    while queue:
        calls += 1
        chance.shuffle(queue)
        batch, queue = queue[:10], queue[10:]
        # SQS may deliver one twice although it was deleted, in the same batch too.
        batch += [[text, count] for text, count in batch if chance.random() < 0.05]
        records = []
        for number, message in enumerate(batch):
            message[1] += 1
            received[message[0]] += 1
            records.append({"messageId": str(number), "eventSource": "aws:sqs", "body": message[0]})
        try:
            failures = worker.handler({"Records": records}, Context())["batchItemFailures"]
            failed = {int(failure["itemIdentifier"]) for failure in failures}
        except Killed:
            failed = set(range(len(batch)))
        for number in failed:
            if batch[number][1] < MAX_RECEIVES:
                queue.append(batch[number])
            elif json.loads(batch[number][0]).get("name") != "hopeless":
                queue.append([batch[number][0], 0])  # somebody has typed `make replay`
            else:
                dead.append((batch[number][0], ""))
    return {
        "done": done,
        "killed when done": killed_when_done,
        "dead": dead,
        "began": sum(began.values()),
        "received": sum(received.values()),
        "calls": calls,
    }


def body(number: int) -> str:
    """Return the body of a message."""
    if number in INVALID:
        return json.dumps({"source": "api", "job_id": str(number)})
    return json.dumps({"source": "api", "job_id": str(number), "name": "hopeless" if number in HOPELESS else "job"})


if __name__ == "__main__":
    os.environ |= {"DEAD_LETTER_QUEUE_URL": "dead", "AWS_LAMBDA_FUNCTION_NAME": "worker"}
    sys.path.insert(0, sys.argv[1])
    logging.disable()
    print(json.dumps(main(int(sys.argv[2]))))
