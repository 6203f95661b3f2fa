"""Deployed workers on ministack, which does what IAM and the policies of queues allow and nothing else."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from botocore.awsrequest import AWSRequest

from tests.conftest import Bake, Venv
from tests.machine import ARCHITECTURE, BIN, interpreter
from tests.ministack import Ministack
from tests.sam import sam
from tests.serverless import copy, osls
from tests.test_deploying_role import allow

pytestmark = pytest.mark.deployment
NOT_VALID = '{"source": "elsewhere"}'


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """Start a ministack that enforces policies."""
    with Ministack(tmp_path_factory.mktemp("aws"), AUTH="true") as server:
        yield server


class Service:
    """A deployed project."""

    def __init__(self, project: Path, aws: Ministack) -> None:
        self.project, self.aws = project, aws
        stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
        (self.stack,) = (name for name in (each["StackName"] for each in stacks) if name.startswith(project.name))
        self.outputs = aws.outputs(self.stack)
        self.sqs = aws.client("sqs")

    def post(self, name: str) -> tuple[int, str]:
        """Return the status and the body of what the API answers to a job."""
        status, body = self.aws.call(f"{self.outputs['ApiUrl']}jobs", json.dumps({"name": name}).encode())
        return status, body.decode()

    def log(self) -> str:
        """Return the log of the worker."""
        call = {"logGroupName": self.outputs["WorkerLogGroupName"]}
        return "\n".join(event["message"] for event in self.aws.client("logs").filter_log_events(**call)["events"])

    def logs(self, text: str, times: int = 1) -> None:
        """Wait until the log of the worker has a text."""
        wait(lambda: self.log().count(text) >= times, lambda: f"{text!r} is not in\n{self.log()}")

    def dead_letters(self) -> dict[str, str]:
        """Return the reasons in the dead-letter queue by the bodies of the messages."""
        call = {"QueueUrl": self.outputs["DeadLetterQueueUrl"], "MessageAttributeNames": ["All"]}
        found = self.sqs.receive_message(**call, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return {each["Body"]: each.get("MessageAttributes", {}).get("reason", {}).get("StringValue") for each in found}

    def denied(self, role: str, action: str) -> None:
        """Wait until a service of AWS was denied an action that it takes with a role."""
        wait(lambda: f"{role} is not authorized to perform: {action}" in self.aws.log.read_text(), self.log)

    def role(self, output: str) -> str:
        """Return the name of the role of a function."""
        configuration = self.aws.client("lambda").get_function_configuration(FunctionName=self.outputs[output])
        return str(configuration["Role"].rpartition("/")[2])

    @contextmanager
    def without(self, role: str, *actions: str) -> Iterator[None]:
        """Take the statement with these actions from a role, for the `with` block."""
        iam = self.aws.client("iam")
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            kept = [each for each in document["Statement"] if listed(each["Action"]) != {*actions}]
            if kept == document["Statement"]:
                continue
            less = document | {"Statement": kept}
            call = {"RoleName": role, "PolicyName": name}
            iam.put_role_policy(**call, PolicyDocument=json.dumps(less)) if kept else iam.delete_role_policy(**call)
            try:
                yield
            finally:
                iam.put_role_policy(**call, PolicyDocument=json.dumps(document))
            return
        raise AssertionError(f"{role} has no {actions}")

    @contextmanager
    def refusing(self, service: str) -> Iterator[None]:
        """Take from the policy of the queue, for the `with` block, that a service may send to it."""
        queue = self.outputs["WorkQueueUrl"]
        policy = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]["Policy"]
        document = json.loads(policy)
        kept = [each for each in document["Statement"] if service not in str(each["Principal"])]
        assert len(kept) == len(document["Statement"]) - 1
        self.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(document | {"Statement": kept})})
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})


def listed(actions: str | list[str]) -> set[str]:
    """Return the actions of a statement, which may be one or several."""
    return {actions} if isinstance(actions, str) else set(actions)


def without_tls(request: AWSRequest, **_: object) -> None:
    """Have ministack take a request as one without TLS."""
    request.headers.add_header("x-forwarded-proto", "http")


def wait(until: Callable[[], object], otherwise: Callable[[], str]) -> None:
    """Return when something has become true; fail after half a minute."""
    end = time.monotonic() + 30
    while not until():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.1)


@pytest.fixture
def deployed(bake: Bake, aws: Ministack, tmp_path: Path) -> Callable[..., Service]:
    """Return a function that deploys a project with a worker for a source."""

    def deploy(deployer: str, source: str, *options: str, storage: str = "none") -> Service:
        name = f"{deployer}-{source}-{storage}"
        answers = {"deployer": deployer, "events": source, "project_slug": name, "architecture": ARCHITECTURE}
        answers["storage"] = storage
        rendered, project = bake(**answers, build_layer=True), tmp_path / name
        if deployer == "serverless":
            results = [osls(copy(rendered, project), aws, "deploy", *options)]
        else:
            shutil.copytree(rendered, project)
            settings = aws.environment | {"SAM_CLI_POLL_DELAY": "0.1"}
            if deployer == "sam":
                results = [sam(project, "build"), sam(project, "deploy", *options, **settings)]
            else:
                command = [BIN / "python", "scripts/deploy.py", *options]
                environment = os.environ | settings
                results = [subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")]
        for result in results:
            assert result.returncode == 0, result.stdout + result.stderr
        service = Service(project, aws)
        if deployer != "serverless":
            aws.add_routes(service.stack)
        return service

    return deploy


@pytest.mark.parametrize("deployer", ["sam", "serverless", "zip"])
def test_jobs(deployer: str, deployed: Callable[..., Service], project_venv: Venv) -> None:
    """A job that a client posts is done; a message that is not valid is in the dead-letter queue, with its reason.

    Without each of the statements of its role that it needs, a function fails. make replay asks, and moves messages,
    with the permissions of the role that deploys and not without.
    """
    service = deployed(deployer, "sqs")
    api, worker = service.role("ApiFunctionName"), service.role("WorkerFunctionName")
    status, body = service.post("A lamp")
    assert status == 202
    service.logs(f"Job {json.loads(body)['job_id']} is done: A lamp")
    work, dead = service.outputs["WorkQueueUrl"], service.outputs["DeadLetterQueueUrl"]

    service.sqs.send_message(QueueUrl=work, MessageBody=NOT_VALID)
    wait(service.dead_letters, service.log)
    (reason,) = service.dead_letters().values()
    assert reason.startswith("source: Input should be 'api'")
    service.logs(f"is not valid and goes to the dead-letter queue: {reason}")

    with service.without(api, "sqs:SendMessage"):
        assert service.post("A chair")[0] == 500
    with service.without(worker, *(f"dynamodb:{name}Item" for name in ("Get", "Put", "Update", "Delete"))):
        assert service.post("A table")[0] == 202
        service.logs("AccessDeniedException")
        assert "A table" not in service.log()
    with service.without(worker, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
        assert service.post("A sofa")[0] == 202
        service.denied(worker, "sqs:ReceiveMessage")
        assert "A sofa" not in service.log()
    service.logs("is done: A sofa")
    with service.without(worker, "sqs:SendMessage"):
        service.sqs.send_message(QueueUrl=work, MessageBody=NOT_VALID.replace("elsewhere", "nowhere"))
        service.logs("is not valid and goes to the dead-letter queue", times=2)
        assert service.post("A bed")[0] == 202
        service.logs("is done: A bed")
        assert list(service.dead_letters()) == [NOT_VALID]

    # Requests without TLS are denied, even those of who has all permissions.
    plain = service.aws.client("sqs")
    plain.meta.events.register("before-sign", without_tls)
    for queue in (work, dead):
        with pytest.raises(plain.exceptions.ClientError, match="denied"):
            plain.send_message(QueueUrl=queue, MessageBody="{}")

    # Somebody has mended what was wrong with this one.
    job = json.dumps({"source": "api", "job_id": "mended", "name": "A desk"})
    service.sqs.send_message(QueueUrl=dead, MessageBody=job)
    keys = {
        name.upper(): value for name, value in allow(service.aws, service.project, f"{deployer}-role", deployer).items()
    }
    python = project_venv(service.project, interpreter("python3.13")) / "bin" / "python"
    command = ["make", "-o", ".venv/installed", "replay", f"VENV_PYTHON={python}", f"STAGE={stage(service)}"]

    def replay(answer: str) -> subprocess.CompletedProcess[str]:
        variables = os.environ | service.aws.environment | keys
        return subprocess.run(
            command, cwd=service.project, env=variables, input=answer, capture_output=True, encoding="utf-8"
        )

    iam = service.aws.client("iam")
    policy = {"UserName": deployer, "PolicyArn": service.aws.outputs(f"{deployer}-role")["ReplayPolicyArn"]}
    iam.detach_user_policy(**policy)
    denied = replay("y")
    assert denied.returncode != 0
    assert "sqs:ReceiveMessage" in denied.stderr
    iam.attach_user_policy(**policy)
    for answer, said in {"n": "0 messages were moved.", "y": "2 messages were moved."}.items():
        result = replay(answer)
        assert result.returncode == 0, result.stderr
        assert said in result.stdout
        assert f"  {NOT_VALID}\n    {reason}" in result.stdout
    service.logs("Job mended is done: A desk")
    service.logs(f"goes to the dead-letter queue: {reason}", times=2)
    assert list(service.dead_letters()) == [NOT_VALID]


def test_progress(deployed: Callable[..., Service]) -> None:
    """With a table, the API says at the location of a job how far it is, which the worker writes."""
    service = deployed("zip", "sqs", storage="dynamodb")
    url, worker = service.outputs["ApiUrl"], service.role("WorkerFunctionName")

    def status(job: str) -> str:
        return str(json.loads(service.aws.call(f"{url}jobs/{json.loads(job)['id']}")[1])["status"])

    code, job = service.post("A lamp")
    assert code == 202
    wait(lambda: status(job) == "done", service.log)
    with service.without(worker, "dynamodb:GetItem", "dynamodb:UpdateItem"):
        _, job = service.post("A chair")
        service.logs("AccessDeniedException")
        assert status(job) == "waiting"


def stage(service: Service) -> str:
    """Return the stage of a deployed project."""
    return service.stack.removeprefix(f"{service.project.name}-")


def test_uploads(deployed: Callable[..., Service]) -> None:
    """An object with the prefix and the suffix is worked on, whatever is in its key; others are not.

    Without the statement of the queue for EventBridge, none is.
    """
    service = deployed("serverless", "s3", "--param=uploadPrefix=in/", "--param=uploadSuffix=.csv")
    s3, bucket = service.aws.client("s3"), service.outputs["BucketName"]
    for key in ("out/a.csv", "in/a.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello")
    with service.refusing("events.amazonaws.com"):
        s3.put_object(Bucket=bucket, Key="in/refused.csv", Body=b"hello")
    keys = ("in/a lamp+shade.csv", "in/100%25.csv", "in/ä.csv")
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello")
    for key in keys:
        service.logs(f"Object {key!r} has 5 bytes")
    assert service.log().count(" has 5 bytes") == 3


def test_notices(deployed: Callable[..., Service]) -> None:
    """A message that is published to the topic is worked on, but not without the statement of the queue for SNS."""
    service = deployed("sam", "sns")
    sns, topic = service.aws.client("sns"), service.outputs["TopicArn"]

    def publish(number: int) -> None:
        message = {"source": "topic", "notice_id": str(number), "text": f"number {number}"}
        sns.publish(TopicArn=topic, Message=json.dumps(message))

    with service.refusing("sns.amazonaws.com"):
        publish(1)
    publish(2)
    publish(2)
    publish(3)
    service.logs("Notice 2 is read: number 2")
    service.logs("Notice 3 is read: number 3")
    assert service.log().count(" is read: ") == 2


def test_schedule(deployed: Callable[..., Service]) -> None:
    """At its time the schedule of prod has the worker work, if its role allows that.

    ministack takes each time as one in UTC.
    """
    at = f"at({datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S})"
    parameters = ["Stage=prod", f"ScheduleExpression={at}"]
    service = deployed("sam", "schedule", "--config-env", "prod", "--parameter-overrides", *parameters)
    service.logs("The work of 20")
    scheduler = service.aws.client("scheduler")
    (made,) = scheduler.list_schedules()["Schedules"]
    assert made["State"] == "ENABLED"
    schedule = scheduler.get_schedule(Name=made["Name"])
    role = schedule["Target"]["RoleArn"].rpartition("/")[2]
    with service.without(role, "sqs:SendMessage"):
        again = {name: schedule[name] for name in ("FlexibleTimeWindow", "ScheduleExpression", "Target")}
        scheduler.create_schedule(Name="again", **again)
        service.denied(role, "sqs:SendMessage")
    assert service.log().count("The work of 20") == 1
