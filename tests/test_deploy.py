"""deploy.py of a project with the deployer zip: whole deployments on ministack, and the errors that it explains."""

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
        self.replace("scripts/stack.py", "POLL_SECONDS = 2.0", "POLL_SECONDS = 0.1")
        self.environment = clean_environment(
            target.parent / "home", Path(sys.executable).parent, **ministack.environment
        )
        self.command = [sys.executable, "-B", "scripts/deploy.py", "--name", self.name]

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run deploy.py, and return what it says."""
        result = subprocess.run(
            [*self.command, *arguments],
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

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file, which is there."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def stacks(self) -> dict[str, str]:
        """Return the states of its stacks."""
        found = self.ministack.client("cloudformation").describe_stacks()["Stacks"]
        return {each["StackName"]: each["StackStatus"] for each in found if each["StackName"].endswith(self.name)}

    def buckets(self) -> list[str]:
        """Return the buckets made for it."""
        names = [each["Name"] for each in self.ministack.client("s3").list_buckets()["Buckets"]]
        return [name for name in names if name.startswith(f"artifacts-{self.name}"[:40])]


@pytest.fixture
def project(bake: Bake, ministack: Ministack, tmp_path: Path) -> Callable[..., Project]:
    """Return a function that makes a project of a name, behind an HTTP API unless it says otherwise."""

    def make(name: str, **answers: object) -> Project:
        built = bake(deployer="zip", architecture=ARCHITECTURE, build_layer=True, **answers)
        return Project(built, tmp_path / name, ministack)

    return make


def address(said: str) -> str:
    """Return the address that is printed last but one, as the output ApiUrl."""
    return re.search(r"^ApiUrl: (https://\S+/)$", said, re.MULTILINE)[1]


def test_life(project: Callable[..., Project], ministack: Ministack) -> None:
    """Created, nothing to change, a parameter, the code, the layer, a failure, and away: each is said, and served."""
    life = project("life")
    said = life()
    assert re.findall(r"Uploading (\S+),", said) == ["function.zip", "layer.zip", "template.yaml"]
    assert re.findall(r"\d\d:\d\d:\d\d CREATE_COMPLETE (life|ApiFunction)$", said, re.M) == ["ApiFunction", "life"]
    url = address(said)
    ministack.add_routes("life")
    assert ministack.call(f"{url}items/42") == (200, b'{"item_id":42,"name":"Item 42"}')

    assert "Nothing to change.\nApiUrl: " in (said := life())
    assert "Uploading" not in said
    change_sets = ministack.client("cloudformation").list_change_sets(StackName="life")["Summaries"]
    assert "FAILED" not in {each["Status"] for each in change_sets}

    assert ministack.call(f"{url}docs")[0] == 200
    assert "UPDATE_COMPLETE life\n" in (said := life("Docs=off"))
    assert "Uploading" not in said
    assert ministack.call(f"{url}docs")[0] == 404
    assert "Nothing to change." in life("LogRetentionInDays=30"), "Docs keeps its value"

    life.replace("app/items.py", '"Item 42"', '"Thing 42"')
    assert re.findall(r"Uploading (\S+),", life()) == ["function.zip", "template.yaml"]
    assert ministack.call(f"{url}items/42")[1] == b'{"item_id":42,"name":"Thing 42"}'

    (before,) = ministack.function("life")["Layers"]
    with (life.folder / "package" / "python" / "mangum" / "types.py").open("a") as module:
        module.write("# changed\n")
    assert re.findall(r"Uploading (\S+),", life()) == ["layer.zip", "template.yaml"]
    (layer,) = ministack.function("life")["Layers"]
    assert layer["Arn"] != before["Arn"]
    assert ":layer:life-dependencies:" in layer["Arn"]
    assert ministack.call(f"{url}items/42")[0] == 200

    template = (life.folder / "template.yaml").read_text(encoding="utf-8")
    life.replace("template.yaml", "\nOutputs:", IN_VAIN.format(1))
    said = life(code=1)
    reason = "UPDATE_FAILED InVain: WaitCondition timed out. Received 0 conditions when expecting 1"
    assert re.search(rf"^\d\d:\d\d:\d\d {reason}$", said, re.MULTILINE)
    assert said.endswith(f"deploy.py: the stack life is in UPDATE_ROLLBACK_COMPLETE; the first failure: {reason}.\n")
    assert ministack.call(f"{url}items/42")[0] == 200
    (life.folder / "template.yaml").write_text(template, encoding="utf-8")
    assert "Nothing to change." in life()

    assert "nothing was deleted: the name of the stack was not typed, and --yes was not given" in life(
        "--delete", code=1
    )
    assert set(life.stacks()) == {"life", "Artifacts-life"}
    assert "DELETE_COMPLETE Artifacts-life\n" in life("--delete", "--yes")
    assert (life.stacks(), life.buckets()) == ({}, [])
    assert "/aws/lambda/life/api" not in str(ministack.client("logs").describe_log_groups())
    assert "There is nothing to delete: us-east-1 has no stack life." in life("--delete")


@pytest.mark.deployment
@pytest.mark.parametrize("api", CONTEXT["api"][1:])
def test_other_front_ends(api: str, project: Callable[..., Project], ministack: Ministack) -> None:
    """The address that it prints answers."""
    name = api.replace("_", "-")
    url = address(project(name, api=api)())
    ministack.add_routes(name)
    assert ministack.call(f"{url}items/42") == (200, b'{"item_id":42,"name":"Item 42"}')


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


def test_bucket_of_the_user(project: Callable[..., Project], ministack: Ministack) -> None:
    """One that is named is used, no other is made, and it is not deleted."""
    named, s3 = project("named"), ministack.client("s3")
    said = named("--bucket", "not-there", code=1)
    assert "deploy.py: the bucket not-there is not in account 000000000000, or you may not use it: " in said
    assert named.stacks() == {}
    s3.create_bucket(Bucket="mine")
    named("--bucket", "mine")
    assert (named.stacks(), named.buckets()) == ({"named": "CREATE_COMPLETE"}, [])
    named("--delete", "--yes")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="mine")["Contents"]]
    assert all(re.fullmatch(r"orders-api/[0-9a-f]{64}-(function\.zip|layer\.zip|template\.yaml)", key) for key in keys)
    assert len(keys) == 3


def test_package(project: Callable[..., Project], ministack: Ministack) -> None:
    """dist/packaged.yaml is what the Console takes: CloudFormation makes a stack of it as it is, which answers."""
    package = project("package", api="function_url")
    assert "Wrote dist/packaged.yaml" in package("--package")
    assert set(package.stacks()) == {"Artifacts-package"}
    text = (package.folder / "dist" / "packaged.yaml").read_text(encoding="utf-8")
    source = (package.folder / "template.yaml").read_text(encoding="utf-8")
    (bucket,) = package.buckets()
    addresses = re.findall(rf"^ +\w+Uri: s3://{bucket}/orders-api/[0-9a-f]{{64}}-(\w+)\.zip$", text, re.MULTILINE)
    assert addresses == ["function", "layer"]
    assert re.sub(r"s3://\S+-(\w+\.zip)", r"dist/\1", text) == source, "comments and all"
    cloudformation = ministack.client("cloudformation")
    cloudformation.create_stack(
        StackName="package", TemplateBody=text, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="package", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="package")["Stacks"]
    url = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "ApiUrl")
    assert ministack.call(f"{url}items/42")[0] == 200
    package.replace("template.yaml", "ContentUri: dist/layer.zip", "ContentUri: layer.zip")
    assert "template.yaml has no line for dist/layer.zip" in package("--package", code=1)


def test_interrupted(project: Callable[..., Project], ministack: Ministack) -> None:
    """Ctrl-C leaves CloudFormation at work and says how to follow it; until that ends, nothing else is begun."""
    stopped = project("stopped")
    start = time.monotonic()
    assert "There is nothing to delete" in stopped("--delete")
    seconds = 4 + round(4 * (time.monotonic() - start))  # for two more such runs
    stopped.replace("template.yaml", "\nOutputs:", IN_VAIN.format(seconds))
    process = subprocess.Popen(
        stopped.command, cwd=stopped.folder, env=stopped.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
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
    command = "`aws cloudformation describe-stack-events --stack-name stopped --region us-east-1`"
    continues = f"CloudFormation continues with the stack stopped; to follow it: {command}.\n"
    assert rest.endswith(continues), rest
    busy = "deploy.py: the stack stopped is in CREATE_IN_PROGRESS: another operation is running; "
    for arguments in ([], ["--delete", "--yes"]):
        assert f"{busy}run this again when it has ended; to follow it: {command}.\n" in stopped(*arguments, code=1)
    cloudformation = ministack.client("cloudformation")
    with pytest.raises(WaiterError, match="ROLLBACK_COMPLETE"):
        cloudformation.get_waiter("stack_create_complete").wait(StackName="stopped", WaiterConfig={"Delay": 1})
    said = stopped(code=1)
    advice = "run `python scripts/deploy.py --delete --name stopped --region us-east-1`, then deploy again.\n"
    assert f"the stack stopped is in ROLLBACK_COMPLETE and cannot be updated: {advice}" in said
    assert "DELETE_COMPLETE stopped\n" in stopped("--delete", "--yes")


def test_change_set_that_was_not_executed(project: Callable[..., Project], ministack: Ministack) -> None:
    """A stack in REVIEW_IN_PROGRESS has nothing in it: the next run says so and goes on, or deletes it."""
    left, cloudformation = project("left"), ministack.client("cloudformation")
    for arguments in (["--delete", "--yes"], []):
        cloudformation.create_change_set(
            StackName="left",
            ChangeSetName="left",
            ChangeSetType="CREATE",
            TemplateBody="Resources: {Topic: {Type: 'AWS::SNS::Topic'}}",
        )
        assert left.stacks() == {"left": "REVIEW_IN_PROGRESS"}
        assert "Continuing, although the stack left is in REVIEW_IN_PROGRESS: " in left(*arguments)
    assert left.stacks()["left"] == "CREATE_COMPLETE"


def test_errors(project: Callable[..., Project]) -> None:
    """One sentence and exit code 1, and nothing of the service is created."""
    wrong = project("wrong")
    for arguments, environment, sentence in (
        (["Doc=off"], {}, "'Doc=off': write NAME=VALUE with a parameter of template.yaml (AllowedOrigins, Docs, Log"),
        (["Docs=perhaps"], {}, "Parameter 'Docs'"),
        (["--name", "a b"], {}, "--name 'a b': the name of a stack is a letter, then letters, digits and hyphens"),
        ([], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "`aws sso login` gives credentials"),
        ([], {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, "Could not connect to the endpoint URL"),
        ([], {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
    ):
        said = wrong(*arguments, code=1, AWS_MAX_ATTEMPTS="1", **environment)
        (line,) = (line for line in said.splitlines() if line.startswith("deploy.py: "))
        assert sentence in line
        assert "wrong" not in wrong.stacks()
    wrong.replace("app/requirements.txt", "fastapi==", "fastapi==999.")
    said = wrong(code=1)
    assert "build.py: " in said
    assert said.endswith("deploy.py: nothing was deployed, since the archives could not be built.\n")
    assert "wrong" not in wrong.stacks()


def test_without_boto3(project: Callable[..., Project]) -> None:
    """It says where boto3 is."""
    command = [sys.executable, "-S", "-B", "scripts/deploy.py"]
    result = subprocess.run(command, cwd=project("bare").folder, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stderr == (
        "deploy.py: boto3 is not installed; run `python scripts/build.py venv`, then use the Python of .venv.\n"
    )


def test_delete_asks(project: Callable[..., Project]) -> None:
    """On a terminal it wants the name typed; the end of the input is a no."""
    import pty

    asked = project("asked", api="function_url")
    asked()
    for answer, left in ((b"no\n", 1), (b"\x04", 1), (b"asked\n", 0)):
        terminal, theirs = pty.openpty()
        process = subprocess.Popen(
            [*asked.command, "--delete"],
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
        assert "Type asked to delete them:\n" in said
        assert ("nothing was deleted" if left else "DELETE_COMPLETE Artifacts-asked") in said
    assert asked.stacks() == {}
