"""The scripts of a project with the deployer zip: whole deployments on ministack, and the errors that they explain."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import WaiterError

from tests.conftest import CONTEXT, Bake
from tests.machine import ARCHITECTURE, clean_environment, free_port
from tests.ministack import Ministack
from tests.parsers import read_yaml
from tests.sam import cfn_lint

# A resource that CloudFormation waits for in vain, for as many seconds as it says.
IN_VAIN = """  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
  InVain:
    Type: AWS::CloudFormation::WaitCondition
    Properties:
      Handle: !Ref Handle
      Timeout: "{}"

Outputs:"""


class Project:
    """A project that deploys itself to ministack, under a name of its own."""

    def __init__(self, source: Path, target: Path, ministack: Ministack) -> None:
        shutil.copytree(source, target)
        self.folder, self.ministack, self.name = target, ministack, target.name
        self.stack = f"{self.name}-dev"
        self.replace("scripts/stack.py", "POLL_SECONDS = 2.0", "POLL_SECONDS = 0.1")
        self.environment = clean_environment(
            target.parent / "home", Path(sys.executable).parent, **ministack.environment
        )

    def command(self, script: str, *arguments: str) -> list[str]:
        """Return the command that runs a script."""
        return [sys.executable, "-B", f"scripts/{script}.py", *arguments]

    def __call__(self, *arguments: str, code: int = 0, script: str = "deploy", **environment: str) -> str:
        """Run deploy.py or another script, and return what it says."""
        result = subprocess.run(
            self.command(script, *arguments),
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
        said = result.stdout + result.stderr
        assert result.returncode == code, said
        assert said.isascii()
        assert "Traceback" not in said
        return said

    def start(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a script, and return its process."""
        pipe, command = subprocess.PIPE, self.command(script, *arguments)
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe)

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file, which is there."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def stacks(self) -> dict[str, str]:
        """Return the states of its stacks."""
        found = self.ministack.client("cloudformation").describe_stacks()["Stacks"]
        return {each["StackName"]: each["StackStatus"] for each in found if self.name in each["StackName"]}

    def buckets(self) -> list[str]:
        """Return the buckets made for it."""
        names = [each["Name"] for each in self.ministack.client("s3").list_buckets()["Buckets"]]
        return [name for name in names if name.startswith(f"artifacts-{self.name}"[:40])]


@pytest.fixture
def project(bake: Bake, ministack: Ministack, tmp_path: Path) -> Callable[..., Project]:
    """Return a function that makes a project of a name, behind an HTTP API unless it says otherwise."""

    def make(name: str, **answers: object) -> Project:
        built = bake(deployer="zip", project_slug=name, architecture=ARCHITECTURE, build_layer=True, **answers)
        return Project(built, tmp_path / name, ministack)

    return make


def address(said: str) -> str:
    """Return the address that is printed as the output ApiUrl."""
    return re.search(r"^ApiUrl: (https://\S+/)$", said, re.MULTILINE)[1]


@pytest.mark.deployment
def test_life(project: Callable[..., Project], ministack: Ministack) -> None:
    """Created, nothing to change, a parameter, code, layer, a failure, three times back, away: said, and served."""
    life = project("life")
    said = life()
    assert re.findall(r"Uploading (\S+),", said) == ["function.zip", "layer.zip", "template.yaml"]
    created = re.findall(r"\d\d:\d\d:\d\d CREATE_COMPLETE (life-dev|ApiFunction)$", said, re.M)
    assert created == ["ApiFunction", "life-dev"]
    url = address(said)
    ministack.add_routes("life-dev")
    assert ministack.call(f"{url}items/42") == (200, b'{"item_id":42,"name":"Item 42"}')

    assert "Nothing to change.\nApiUrl: " in (said := life())
    assert "Uploading" not in said
    change_sets = ministack.client("cloudformation").list_change_sets(StackName="life-dev")["Summaries"]
    assert "FAILED" not in {each["Status"] for each in change_sets}

    assert ministack.call(f"{url}docs")[0] == 200
    assert "UPDATE_COMPLETE life-dev\n" in (said := life("Docs=off"))
    assert "Uploading" not in said
    assert ministack.call(f"{url}docs")[0] == 404
    assert "Nothing to change." in life("LogRetentionInDays=7"), "Docs keeps its value"

    life.replace("app/items.py", '"Item 42"', '"Thing 42"')
    assert re.findall(r"Uploading (\S+),", life()) == ["function.zip", "template.yaml"]
    assert ministack.call(f"{url}items/42")[1] == b'{"item_id":42,"name":"Thing 42"}'

    (before,) = ministack.function("life-dev")["Layers"]
    with (life.folder / "package" / "python" / "mangum" / "types.py").open("a") as module:
        module.write("# changed\n")
    assert re.findall(r"Uploading (\S+),", life()) == ["layer.zip", "template.yaml"]
    (layer,) = ministack.function("life-dev")["Layers"]
    assert layer["Arn"] != before["Arn"]
    assert ":layer:life-dev-dependencies:" in layer["Arn"]
    assert ministack.call(f"{url}items/42")[0] == 200

    template = (life.folder / "template.yaml").read_text(encoding="utf-8")
    life.replace("template.yaml", "\nOutputs:", IN_VAIN.format(1))
    said = life(code=1)
    reason = "UPDATE_FAILED InVain: WaitCondition timed out. Received 0 conditions when expecting 1"
    assert re.search(rf"^\d\d:\d\d:\d\d {reason}$", said, re.MULTILINE)
    failed = f"deploy.py: the stack life-dev is in UPDATE_ROLLBACK_COMPLETE; the first failure: {reason}.\n"
    assert said.endswith(failed)
    assert ministack.call(f"{url}items/42")[0] == 200
    (life.folder / "template.yaml").write_text(template, encoding="utf-8")
    assert "Nothing to change." in life()

    # What failed, and what changed nothing, is no release.
    went = [life("rollback", script="stage") for _ in range(2)]
    assert [re.search(r"What differs: (.*)\.$", said, re.MULTILINE)[1] for said in went] == ["layer", "code"]
    assert ministack.call(f"{url}items/42")[1] == b'{"item_id":42,"name":"Item 42"}'
    assert ministack.call(f"{url}docs")[0] == 404
    assert "What differs: Docs.\n" in life("rollback", script="stage")
    assert ministack.call(f"{url}docs")[0] == 200

    assert "nothing was deleted: the name of the stack was not typed, and --yes was not given" in life(
        "delete", script="stage", code=1
    )
    assert set(life.stacks()) == {"life-dev", "Artifacts-life-dev"}
    assert "DELETE_COMPLETE Artifacts-life-dev\n" in life("delete", "--yes", script="stage")
    assert (life.stacks(), life.buckets()) == ({}, [])
    assert "/life-dev/" not in str(ministack.client("logs").describe_log_groups())
    assert "There is nothing to delete: us-east-1 has no stack life-dev." in life("delete", script="stage")


@pytest.mark.deployment
@pytest.mark.parametrize("api", CONTEXT["api"][1:])
def test_other_front_ends(api: str, project: Callable[..., Project], ministack: Ministack) -> None:
    """The address that it prints answers."""
    name = api.replace("_", "-")
    url = address(project(name, api=api)())
    ministack.add_routes(f"{name}-dev")
    assert ministack.call(f"{url}items/42") == (200, b'{"item_id":42,"name":"Item 42"}')


@pytest.mark.deployment
def test_own_bucket(project: Callable[..., Project], ministack: Ministack) -> None:
    """It is private, encrypted, for TLS only, old archives expire, and its name fits for the longest slug."""
    own = project("the-longest-name-that-is-allowed-for-one")
    own("--region", "ap-southeast-2")
    (name,) = own.buckets()
    assert len(name) <= 63
    s3, bucket = ministack.client("s3", "ap-southeast-2"), {"Bucket": name}
    assert s3.get_bucket_location(**bucket)["LocationConstraint"] == "ap-southeast-2"
    assert set(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (statement,) = json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"]
    assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    # ministack leaves out what CloudFormation makes of LifecycleConfiguration.
    template = read_yaml((own.folder / "scripts" / "artifacts.yaml").read_text(encoding="utf-8"))
    (rule,) = template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 1096)


def test_template_of_the_bucket_is_clean(bake: Bake) -> None:
    """CloudFormation has nothing to say about it, in any partition."""
    text = (bake(deployer="zip") / "scripts" / "artifacts.yaml").read_text(encoding="utf-8")
    for region in ("us-east-1", "cn-north-1", "us-gov-west-1"):
        assert cfn_lint(read_yaml(text), region) == []


@pytest.mark.deployment
def test_bucket_of_the_user(project: Callable[..., Project], ministack: Ministack) -> None:
    """One that is named is used, no other is made, and it is not deleted; what was uploaded to it for the stack is."""
    named, s3 = project("named"), ministack.client("s3")
    said = named("--bucket", "not-there", code=1)
    assert "deploy.py: the bucket not-there is not in account 000000000000, or you may not use it: " in said
    assert named.stacks() == {}
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="named-dev.txt", Body=b"mine")
    named("--bucket", "mine")
    named("Docs=off", "--bucket", "mine")
    assert (named.stacks(), named.buckets()) == ({"named-dev": "UPDATE_COMPLETE"}, [])
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="mine", Prefix="named-dev/")["Contents"]]
    archives = r"named-dev/[0-9a-f]{64}-(function\.zip|layer\.zip|template\.yaml)"
    assert len([key for key in keys if re.fullmatch(archives, key)]) == 3
    assert len([key for key in keys if re.fullmatch(r"named-dev/releases/[0-9a-f-]+/[0-9T-]+\.json", key)]) == 1
    assert len(keys) == 4
    named("delete", "--yes", script="stage")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="mine")["Contents"]] == ["named-dev.txt"]


@pytest.mark.deployment
def test_package(project: Callable[..., Project], ministack: Ministack) -> None:
    """dist/packaged.yaml is what the Console takes: CloudFormation makes a stack of it as it is, which answers."""
    package = project("packaged", api="function_url")
    assert "Wrote dist/packaged.yaml" in package("--package")
    assert set(package.stacks()) == {"Artifacts-packaged-dev"}
    text = (package.folder / "dist" / "packaged.yaml").read_text(encoding="utf-8")
    source = (package.folder / "template.yaml").read_text(encoding="utf-8")
    (bucket,) = package.buckets()
    addresses = re.findall(rf"^ +\w+Uri: s3://{bucket}/packaged-dev/[0-9a-f]{{64}}-(\w+)\.zip$", text, re.MULTILINE)
    assert addresses == ["function", "layer"]
    assert re.sub(r"s3://\S+-(\w+\.zip)", r"dist/\1", text) == source, "comments and all"
    cloudformation = ministack.client("cloudformation")
    cloudformation.create_stack(
        StackName="packaged-dev", TemplateBody=text, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="packaged-dev", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="packaged-dev")["Stacks"]
    url = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "ApiUrl")
    assert ministack.call(f"{url}items/42")[0] == 200
    package.replace("template.yaml", "ContentUri: dist/layer.zip", "ContentUri: layer.zip")
    assert "template.yaml has no line for dist/layer.zip" in package("--package", code=1)


@pytest.mark.deployment
def test_interrupted(project: Callable[..., Project], ministack: Ministack) -> None:
    """Ctrl-C leaves CloudFormation at work and says how to follow it; until that ends, nothing else is begun."""
    stopped = project("stopped")
    start = time.monotonic()
    assert "There is nothing to delete" in stopped("delete", script="stage")
    seconds = 4 + round(4 * (time.monotonic() - start))  # for two more such runs
    stopped.replace("template.yaml", "\nOutputs:", IN_VAIN.format(seconds))
    process = stopped.start("deploy")
    said = b""
    while b"CREATE_IN_PROGRESS InVain" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    rest, reason = process.stdout.read().decode(), process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()
    assert (process.wait(30), reason) == (130, "deploy.py: interrupted.\n")
    command = "`aws cloudformation describe-stack-events --stack-name stopped-dev --region us-east-1`"
    continues = f"CloudFormation continues with the stack stopped-dev; to follow it: {command}.\n"
    assert rest.endswith(continues), rest
    busy = "the stack stopped-dev is in CREATE_IN_PROGRESS: another operation is running; "
    for script, arguments in (("deploy", []), ("stage", ["delete", "--yes"])):
        said = stopped(*arguments, script=script, code=1)
        assert f"{script}.py: {busy}run this again when it has ended; to follow it: {command}.\n" in said
    cloudformation = ministack.client("cloudformation")
    with pytest.raises(WaiterError, match="ROLLBACK_COMPLETE"):
        cloudformation.get_waiter("stack_create_complete").wait(StackName="stopped-dev", WaiterConfig={"Delay": 1})
    said = stopped(code=1)
    advice = "run `python scripts/stage.py delete --stage dev --region us-east-1`, then deploy again.\n"
    assert f"the stack stopped-dev is in ROLLBACK_COMPLETE and cannot be updated: {advice}" in said
    assert "DELETE_COMPLETE stopped-dev\n" in stopped("delete", "--yes", script="stage")


@pytest.mark.deployment
def test_change_set_that_was_not_executed(project: Callable[..., Project], ministack: Ministack) -> None:
    """A stack in REVIEW_IN_PROGRESS has nothing in it: the next run says so and goes on, or deletes it."""
    left, cloudformation = project("left"), ministack.client("cloudformation")
    for script, arguments in (("stage", ["delete", "--yes"]), ("deploy", [])):
        cloudformation.create_change_set(
            StackName="left-dev",
            ChangeSetName="left",
            ChangeSetType="CREATE",
            TemplateBody="Resources: {Topic: {Type: 'AWS::SNS::Topic'}}",
        )
        assert left.stacks() == {"left-dev": "REVIEW_IN_PROGRESS"}
        said = left(*arguments, script=script)
        assert "Continuing, although the stack left-dev is in REVIEW_IN_PROGRESS: " in said
    assert left.stacks()["left-dev"] == "CREATE_COMPLETE"


def test_errors(project: Callable[..., Project]) -> None:
    """One sentence and exit code 1, and nothing of the service is created."""
    wrong = project("wrong")
    for arguments, environment, sentence in (
        (["Doc=off"], {}, "'Doc=off': write NAME=VALUE with a parameter of template.yaml (Stage, AllowedOrigins, Docs"),
        (["Docs=perhaps"], {}, "Parameter 'Docs'"),
        (["--stage", "qa"], {}, 'there is no stage qa: to make one, write {"Parameters": {"Stage": "qa"}} in'),
        ([], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "`aws sso login` gives credentials"),
        ([], {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, "Could not connect to the endpoint URL"),
        ([], {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
    ):
        said = wrong(*arguments, code=1, AWS_MAX_ATTEMPTS="1", **environment)
        (line,) = (line for line in said.splitlines() if line.startswith("deploy.py: "))
        assert sentence in line
        assert "wrong-dev" not in wrong.stacks()
    wrong.replace("app/requirements.txt", "fastapi==", "fastapi==999.")
    said = wrong(code=1)
    assert "build.py: " in said
    assert said.endswith("deploy.py: nothing was deployed, since the archives could not be built.\n")
    assert "wrong-dev" not in wrong.stacks()


def test_without_boto3(project: Callable[..., Project]) -> None:
    """It says where boto3 is."""
    command = [sys.executable, "-S", "-B", "scripts/deploy.py"]
    result = subprocess.run(command, cwd=project("bare").folder, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stderr == (
        "boto3 is not installed; run `python scripts/build.py venv`, then use the Python of .venv.\n"
    )


@pytest.mark.deployment
def test_delete_asks(project: Callable[..., Project]) -> None:
    """On a terminal it wants the name typed; the end of the input is a no."""
    import pty

    asked = project("asked", api="function_url")
    asked()
    for answer, left in ((b"no\n", 1), (b"\x04", 1), (b"asked-dev\n", 0)):
        terminal, theirs = pty.openpty()
        process = subprocess.Popen(
            asked.command("stage", "delete"),
            cwd=asked.folder,
            env=asked.environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.write(terminal, answer)
        said = process.communicate(timeout=60)[0].decode()
        os.close(theirs)
        os.close(terminal)
        assert process.returncode == left, said
        assert "Traceback" not in said
        assert "Type asked-dev to delete it:\n" in said
        assert ("nothing was deleted" if left else "DELETE_COMPLETE Artifacts-asked-dev") in said
    assert asked.stacks() == {}


@pytest.mark.deployment
def test_prod(project: Callable[..., Project], ministack: Ministack) -> None:
    """A stage beside dev, with its own parameters: it is protected, and its logs stay. Deleting dev leaves nothing."""
    both, s3 = project("both"), ministack.client("s3")
    both()
    url = address(both("--stage", "prod"))
    ministack.add_routes("both-prod")
    assert ministack.call(f"{url}items/42")[0] == 200
    assert ministack.call(f"{url}docs")[0] == 404

    def objects() -> list[str]:
        return [each["Key"] for name in both.buckets() for each in s3.list_objects_v2(Bucket=name)["Contents"]]

    stacks, before = both.stacks(), objects()
    refused = both("delete", "--yes", "--stage", "prod", script="stage", code=1)
    reason, command = re.fullmatch(
        r"stage.py: nothing was deleted: (.*); to lift that: `aws (.*)`\.\n", refused
    ).groups()
    assert reason == "the stack both-prod is protected against deletion"
    assert (both.stacks(), objects()) == (stacks, before)
    assert "DELETE_COMPLETE Artifacts-both-dev\n" in both("delete", "--yes", script="stage")
    assert set(both.stacks()) == {"both-prod", "Artifacts-both-prod"}
    assert all("both-prod" in each for each in [*both.buckets(), *objects()])

    service, operation, *options = command.split()
    assert (service, operation) == ("cloudformation", "update-termination-protection")
    assert options == ["--no-enable-termination-protection", "--stack-name", "both-prod", "--region", "us-east-1"]
    client = ministack.client("cloudformation")
    client.update_termination_protection(StackName="both-prod", EnableTerminationProtection=False)
    groups = {ministack.outputs("both-prod")[name] for name in ("ApiLogGroupName", "AccessLogGroupName")}
    both("delete", "--yes", "--stage", "prod", script="stage")
    assert (both.stacks(), both.buckets()) == ({}, [])
    left = ministack.client("logs").describe_log_groups()["logGroups"]
    kept = {each["logGroupName"]: each["retentionInDays"] for each in left if "/both-" in each["logGroupName"]}
    assert kept == dict.fromkeys(groups, 365)


@pytest.mark.deployment
def test_logs(project: Callable[..., Project], ministack: Ministack) -> None:
    """The lines of one request are found in both log groups by its id; without one, lines are shown as they come."""
    noted, logs = project("noted"), ministack.client("logs")
    url = address(noted())
    ministack.add_routes("noted-dev")
    for number, status in ((41, 404), (42, 200)):
        assert ministack.call(f"{url}items/{number}")[0] == status
    groups = ministack.outputs("noted-dev")
    lines = logs.filter_log_events(logGroupName=groups["ApiLogGroupName"], filterPattern='"START RequestId"')["events"]
    other, request = (re.search(r"RequestId: (\S+)", each["message"])[1] for each in lines)

    def write(group: str, **record: str) -> None:
        """Write what ministack does not: a line of the function's log as JSON, or of the access log."""
        event = {"timestamp": int(time.time() * 1000), "message": json.dumps(record)}
        logs.put_log_events(logGroupName=groups[group], logStreamName="written", logEvents=[event])

    for group in ("ApiLogGroupName", "AccessLogGroupName"):
        logs.create_log_stream(logGroupName=groups[group], logStreamName="written")
    served = {"apiRequestId": "a1", "method": "GET", "path": "/items/42", "status": "200", "latency": "7"}
    write("ApiLogGroupName", level="ERROR", message="no", requestId=request, errorType="KeyError", errorMessage="b")
    write("AccessLogGroupName", requestId=request, **served)
    write("AccessLogGroupName", requestId=other, **served)
    shown = noted("--request", request, script="logs").splitlines()
    assert other not in str(shown)
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in shown if "REPORT" not in line] == [
        f"START RequestId: {request} Version: $LATEST",
        f"END RequestId: {request}",
        f"ERROR {request} no",
        "KeyError: b",
        f"ACCESS {request} GET /items/42 200 in 7 ms",
    ]
    said = noted("--request", "unknown", script="logs", code=1)
    assert said.startswith("logs.py: the logs of noted-dev have no request unknown in the last 7d; ")

    process = noted.start("logs", "--since", "1h")
    while b"KeyError: b" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    write("ApiLogGroupName", level="INFO", message="the last one")
    while b"INFO - the last one" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=30), process.returncode) == ((b"", b""), 0)
