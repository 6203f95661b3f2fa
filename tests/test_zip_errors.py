"""deploy.py when something is in the way: it waits, refuses in one sentence, or goes on where it was stopped."""

import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.aws import Aws
from tests.conftest import Bake
from tests.deploy import INTERRUPT, Deploy, live
from tests.machine import free_port


def test_waiting_shows(deploy: Deploy) -> None:
    """While Lambda does not know the role yet, and until the function is ready, a line grows."""
    patch = """
import botocore.client, botocore.exceptions
plain = botocore.client.BaseClient._make_api_call
seen = {"role": 0, "state": 0}
def slow(self, operation, parameters):
    if operation == "CreateFunction" and seen["role"] < 2:
        seen["role"] += 1
        error = {"Code": "InvalidParameterValueException"}
        error["Message"] = "The role defined for the function cannot be assumed by Lambda."
        raise botocore.exceptions.ClientError({"Error": error}, operation)
    answer = plain(self, operation, parameters)
    if operation == "GetFunctionConfiguration" and seen["state"] < 2:
        seen["state"] += 1
        answer["State"] = "Pending"
    return answer
botocore.client.BaseClient._make_api_call = slow
"""
    (deploy.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    said = deploy(PYTHONPATH=str(deploy.folder))
    assert "function orders-api-api: creating ..\n" in said
    assert "function orders-api-api: getting ready ..\n" in said


def test_inactive_function_is_ready(deploy: Deploy) -> None:
    """Lambda puts a function aside that nobody calls; that is nothing to wait for."""
    deploy()
    patch = """
import botocore.client
plain = botocore.client.BaseClient._make_api_call
def idle(self, operation, parameters):
    answer = plain(self, operation, parameters)
    return answer | {"State": "Inactive"} if operation == "GetFunctionConfiguration" else answer
botocore.client.BaseClient._make_api_call = idle
"""
    (deploy.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    assert "Nothing had to be changed." in deploy(PYTHONPATH=str(deploy.folder))


def test_waiting_ends(deploy: Deploy) -> None:
    """A role that Lambda never takes, or a function that fails, ends with AWS's own words."""
    refusing = """
import botocore.client, botocore.exceptions, time
plain, clock = botocore.client.BaseClient._make_api_call, time.monotonic
time.sleep, time.monotonic = lambda seconds: None, lambda: clock() * 100
def never(self, operation, parameters):
    if operation == "CreateFunction":
        error = {"Code": "InvalidParameterValueException", "Message": "The role is not allowed here"}
        raise botocore.exceptions.ClientError({"Error": error}, operation)
    return plain(self, operation, parameters)
botocore.client.BaseClient._make_api_call = never
"""
    failing = """
import botocore.client
plain = botocore.client.BaseClient._make_api_call
def failed(self, operation, parameters):
    answer = plain(self, operation, parameters)
    more = {"State": "Failed", "StateReason": "out of order"}
    return answer | more if operation == "GetFunctionConfiguration" else answer
botocore.client.BaseClient._make_api_call = failed
"""
    (deploy.folder / "sitecustomize.py").write_text(refusing, encoding="utf-8")
    said = deploy(code=1, PYTHONPATH=str(deploy.folder))
    assert "took more than 60 seconds (The role is not allowed here); run deploy.py again to go on." in said
    (deploy.folder / "sitecustomize.py").write_text(failing, encoding="utf-8")
    assert "the function orders-api-api failed: out of order." in deploy(code=1, PYTHONPATH=str(deploy.folder))


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (
            ["--name", "a b"],
            {},
            "--name: 'a b' must be 2 to 100 letters, digits and hyphens, a letter first; for ",
        ),
        ([], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
        ([], {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, "Could not connect to the endpoint URL"),
        (["--rollback"], {}, "orders-api is not deployed in us-east-1; `python scripts/deploy.py` deploys it"),
    ],
)
def test_errors(arguments: list[str], environment: dict[str, str], sentence: str, deploy: Deploy) -> None:
    """One sentence and exit code 1, and nothing was changed."""
    said = deploy(*arguments, code=1, AWS_MAX_ATTEMPTS="1", **environment)
    (line,) = (line for line in said.splitlines() if line.startswith("deploy.py: "))
    assert sentence in line
    assert deploy.changes == []


def test_build_error(deploy: Deploy) -> None:
    """What cannot be built is not deployed."""
    lock = deploy.folder / "app" / "requirements.txt"
    lock.write_text(lock.read_text(encoding="utf-8").replace("==", "==999.", 1), encoding="utf-8")
    assert "deploy.py: " in deploy(code=1)
    assert deploy.changes == []


def test_large_archives_go_through_a_bucket(deploy: Deploy) -> None:
    """Over what a call takes, a bucket is asked for, by name of the archive; with one it is used."""
    code = (deploy.folder / "scripts" / "build.py").read_text(encoding="utf-8")
    (deploy.folder / "scripts" / "build.py").write_text(
        code.replace("UPLOAD_LIMIT = 50 * MIB", "UPLOAD_LIMIT = 3 * MIB")
    )
    said = deploy(code=1)
    assert "dist/layer.zip has 4 MB, and over 3 it goes through a bucket of yours in us-east-1; for example" in said
    deploy.aws.client("s3").create_bucket(Bucket="mine")
    assert "deploy.py: Failed to upload" in deploy("--bucket", "not-there", code=1)
    deploy("--bucket", "mine")
    (content,) = (call for name, call in deploy.calls if name == "lambda:PublishLayerVersion")
    assert set(content["Content"]) == {"S3Bucket", "S3Key"}
    assert "Nothing had to be changed." in deploy("--bucket", "mine")


def test_without_boto3(deploy: Deploy) -> None:
    """It says where boto3 is."""
    command = [sys.executable, "-S", "-B", "deploy.py"]
    result = subprocess.run(command, cwd=deploy.folder, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stderr == (
        "deploy.py: boto3 is not installed here; `python scripts/build.py venv`, then run this with the Python of "
        ".venv.\n"
    )


def test_delete_asks(deploy: Deploy) -> None:
    """On a terminal it wants the name typed; the end of the input is a no."""
    import pty

    deploy()
    environment = os.environ | deploy.aws.environment
    for answer, left in (("no\n", 1), ("\x04", 1), ("orders-api\n", 0)):
        terminal, theirs = pty.openpty()
        command = [sys.executable, "-B", "deploy.py", "--delete"]
        process = subprocess.Popen(
            command, cwd=deploy.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        said = b""
        while b"Type orders-api to delete them: " not in said:
            assert select.select([terminal], [], [], 30)[0], said
            said += os.read(terminal, 1000)
        os.write(terminal, answer.encode())
        assert process.wait(30) == left
        while select.select([terminal], [], [], 0)[0]:
            said += os.read(terminal, 1000)
        assert b"Traceback" not in said
        assert (b"nothing was deleted" if left else b"Deleted.") in said
        os.close(theirs)
        os.close(terminal)
        assert len(deploy.aws.client("lambda").list_functions()["Functions"]) == left


def test_interrupted_run_is_finished_by_the_next(deploy_each: Deploy) -> None:
    """Stopped before any of its changes, it goes on from there when it is run again, and then has nothing to do."""
    deploy_each()
    count = len(deploy_each.changes)
    assert count >= 10
    (deploy_each.folder / "sitecustomize.py").write_text(INTERRUPT, encoding="utf-8")
    for changes in range(1, count, 2):
        deploy_each.aws.reset()
        said = deploy_each(code=130, CHANGES=str(changes), PYTHONPATH=str(deploy_each.folder))
        assert "deploy.py: interrupted; run it again to go on." in said
        deploy_each()
        assert live(deploy_each.aws) == "1"
        deploy_each()
        assert deploy_each.changes == [], f"after {changes} changes"


def test_version_that_is_not_ready_does_not_answer(deploy: Deploy) -> None:
    """Also when it is the run after that finds it."""
    deploy()
    deploy.change("# changed\n")
    patch = """
import botocore.client
plain = botocore.client.BaseClient._make_api_call
def failed(self, operation, parameters):
    answer = plain(self, operation, parameters)
    failing = operation == "GetFunctionConfiguration" and parameters.get("Qualifier") == "2"
    return answer | {"State": "Failed", "StateReason": "out of order"} if failing else answer
botocore.client.BaseClient._make_api_call = failed
"""
    (deploy.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    for _ in range(2):
        assert "failed: out of order." in deploy(code=1, PYTHONPATH=str(deploy.folder))
        assert live(deploy.aws) == "1"


def test_change_that_is_not_done_is_waited_for(deploy: Deploy) -> None:
    """Lambda refuses a change while another is in progress."""
    deploy()
    deploy.change("# changed\n")
    patch = """
import botocore.client, botocore.exceptions
plain, left = botocore.client.BaseClient._make_api_call, [2]
def busy(self, operation, parameters):
    if operation == "UpdateFunctionCode" and left[0]:
        left[0] -= 1
        error = {"Code": "ResourceConflictException", "Message": "An update is in progress for resource: x"}
        raise botocore.exceptions.ClientError({"Error": error}, operation)
    return plain(self, operation, parameters)
botocore.client.BaseClient._make_api_call = busy
"""
    (deploy.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    assert "function orders-api-api: updating ..\n" in deploy(PYTHONPATH=str(deploy.folder))
    assert live(deploy.aws) == "2"


def test_interrupted_repair_of_a_rest_api_is_deployed(bake: Bake, aws: Aws, tmp_path: Path) -> None:
    """What was put into the API and not yet into its stage is put there by the next run."""
    shutil.copytree(bake(deployer="zip", api="rest_api", build_layer=True), tmp_path / "project")
    deploy, gateway = Deploy(tmp_path / "project", aws), aws.client("apigateway")
    deploy()
    (api,) = gateway.get_rest_apis()["items"]
    (proxy,) = (each for each in gateway.get_resources(restApiId=api["id"])["items"] if each["path"] != "/")
    gateway.delete_resource(restApiId=api["id"], resourceId=proxy["id"])
    (deploy.folder / "sitecustomize.py").write_text(INTERRUPT, encoding="utf-8")
    deploy(code=130, CHANGES="4", PYTHONPATH=str(deploy.folder))
    assert deploy.changes[-1] == "apigateway:CreateDeployment", "it was stopped before this"
    deploy()
    assert "apigateway:CreateDeployment" in deploy.changes
    deploy()
    assert deploy.changes == []
