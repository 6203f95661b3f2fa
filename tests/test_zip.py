"""deploy.py against what stands in for AWS: it makes, changes and removes its own, and nothing of anybody else's."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.aws import ACCOUNT, RECORDER, Aws, recorded
from tests.conftest import CONTEXT, Bake
from tests.machine import clean_environment, free_port

READS = re.compile(r":(Get|List|Describe|HeadObject)")


class Project:
    """A project with deploy.py, and a way to run it."""

    def __init__(self, folder: Path, aws: Aws) -> None:
        self.folder, self.aws, self.log = folder, aws, folder.parent / "calls"

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run deploy.py, and return what it says; the calls that it makes are in `calls`."""
        self.log.write_text("", encoding="utf-8")
        variables = clean_environment(self.folder.parent / "home", Path(sys.executable).parent, **self.aws.environment)
        command = [sys.executable, "-B", "-c", RECORDER, self.log, "deploy.py", *arguments]
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=variables | environment,
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
        assert result.returncode == code, result.stdout + result.stderr
        assert (result.stdout + result.stderr).isascii()
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the calls of the last run."""
        return recorded(self.log)

    @property
    def changes(self) -> list[str]:
        """Return the operations of the last run that could change something."""
        return [operation for operation, _ in self.calls if not READS.search(operation)]

    def change(self, text: str) -> None:
        """Change the code."""
        with (self.folder / "app" / "items.py").open("a", encoding="utf-8") as module:
            module.write(text)


@pytest.fixture(params=CONTEXT["api"])
def each(request: pytest.FixtureRequest, bake: Bake, aws: Aws, tmp_path: Path) -> Project:
    """Return a project for each front door in turn."""
    shutil.copytree(bake(deployer="zip", api=request.param, build_layer=True), tmp_path / "project")
    return Project(tmp_path / "project", aws)


@pytest.fixture
def project(bake: Bake, aws: Aws, tmp_path: Path) -> Project:
    """Return a project behind an HTTP API."""
    shutil.copytree(bake(deployer="zip", build_layer=True), tmp_path / "project")
    return Project(tmp_path / "project", aws)


def inventory(aws: Aws) -> dict[str, object]:
    """Return what there is in the account."""
    client = aws.client
    return {
        "functions": [each["FunctionName"] for each in client("lambda").list_functions()["Functions"]],
        "layers": [each["LayerName"] for each in client("lambda").list_layers()["Layers"]],
        "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"]],
        "log groups": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
        "HTTP APIs": [api["Name"] for api in client("apigatewayv2").get_apis()["Items"]],
        "REST APIs": [api["name"] for api in client("apigateway").get_rest_apis()["items"]],
    }


def live(aws: Aws) -> str:
    """Return the version that the address calls."""
    return aws.client("lambda").get_alias(FunctionName="orders-api-api", Name="live")["FunctionVersion"]


def test_life(each: Project) -> None:
    """Deploy, again without a change, changed code, back, forward, and away."""
    aws, nothing = each.aws, inventory(each.aws)
    said = each()
    assert re.search(r"^ApiUrl: https://\S+", said, re.MULTILINE)
    assert "ApiFunctionName: orders-api-api" in said
    assert live(aws) == "1"
    assert aws.client("lambda").get_function(FunctionName="orders-api-api")["Tags"]

    said = each()
    assert "Nothing had to be changed." in said
    assert each.changes == []

    each.change("# changed\n")
    assert "alias live: version 1 -> 2" in each()
    assert each.changes == ["lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:UpdateAlias"]

    assert "alias live: version 2 -> 1" in each("--rollback")
    assert each.changes == ["lambda:UpdateAlias"]
    assert live(aws) == "1"
    assert "there is no version before 1 to go back to" in each("--rollback", code=1)

    assert "alias live: version 1 -> 2" in each(), "what is here is deployed again"
    assert each.changes == ["lambda:UpdateAlias"]

    # More rights, given by hand: the policy is not its own and stays, but is not in the way.
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    )
    arn = aws.client("iam").create_policy(PolicyName="more", PolicyDocument=policy)["Policy"]["Arn"]
    aws.client("iam").attach_role_policy(RoleName="orders-api-api-us-east-1", PolicyArn=arn)
    before = inventory(aws)
    assert "nothing was deleted; --yes deletes without asking" in each("--delete", code=1)
    assert (each.changes, inventory(aws)) == ([], before)
    assert "Deleted." in each("--delete", "--yes")
    assert inventory(aws) == nothing
    assert aws.client("iam").get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0
    assert "Nothing of orders-api is in us-east-1." in each("--delete")


def test_drift_is_mended(each: Project) -> None:
    """What somebody has changed by hand is as it should be after the next run, and nothing else is touched."""
    each()
    client = each.aws.client
    client("logs").delete_retention_policy(logGroupName="/aws/lambda/orders-api-api")
    client("lambda").update_function_configuration(FunctionName="orders-api-api", MemorySize=128)
    client("iam").put_role_policy(
        RoleName="orders-api-api-us-east-1",
        PolicyName="write-logs-and-traces",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
        ),
    )
    each()
    assert each.changes == [
        "logs:PutRetentionPolicy",
        "iam:PutRolePolicy",
        "lambda:UpdateFunctionConfiguration",
    ]  # the version that answers has been as it should be all the time
    each()
    assert each.changes == []


def test_front_door_is_made_again(each: Project) -> None:
    """An API that was deleted, or lost a route, comes back."""
    said = each()
    client = each.aws.client
    for api in client("apigatewayv2").get_apis()["Items"]:
        (route, _) = client("apigatewayv2").get_routes(ApiId=api["ApiId"])["Items"]
        client("apigatewayv2").delete_route(ApiId=api["ApiId"], RouteId=route["RouteId"])
    for api in client("apigateway").get_rest_apis()["items"]:
        client("apigateway").delete_rest_api(restApiId=api["id"])
    if ".lambda-url." in said:
        client("lambda").delete_function_url_config(FunctionName="orders-api-api", Qualifier="live")
    each()
    assert each.changes
    each()
    assert each.changes == []


def test_only_its_own_is_touched(project: Project) -> None:
    """Whatever has its names and not its tag stops it before the first change, and is not deleted with the rest."""
    client = project.aws.client
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    strangers = {
        "the log group /aws/lambda/orders-api-api": lambda: client("logs").create_log_group(
            logGroupName="/aws/lambda/orders-api-api"
        ),
        "the role orders-api-api-us-east-1": lambda: client("iam").create_role(
            RoleName="orders-api-api-us-east-1", AssumeRolePolicyDocument=trust
        ),
        "the layer orders-api-dependencies": lambda: client("lambda").publish_layer_version(
            LayerName="orders-api-dependencies", Content={"ZipFile": b"x"}, Description="mine"
        ),
        "the function orders-api-api": lambda: client("lambda").create_function(
            FunctionName="orders-api-api",
            Code={"ZipFile": b"x"},
            Role=client("iam").create_role(RoleName="mine", AssumeRolePolicyDocument=trust)["Role"]["Arn"],
            Runtime="python3.13",
            Handler="x.y",
        ),
    }
    for name, make in strangers.items():
        project.aws.reset()
        make()
        before = inventory(project.aws)
        for arguments in ([], ["--delete", "--yes"]):
            said = project(*arguments, code=1)
            assert f"deploy.py: {name} exists and is not tagged deployed-by='deploy.py of orders-api'" in said
            assert said.rstrip().endswith("for example --name orders-api-2.")
            assert (project.changes, inventory(project.aws)) == ([], before)


def test_other_apis_of_the_name_stay(project: Project) -> None:
    """APIs may share a name; only the one with the tag is its own."""
    stranger = project.aws.client("apigatewayv2").create_api(Name="orders-api", ProtocolType="HTTP")["ApiId"]
    assert stranger not in project()
    assert "Nothing had to be changed." in project()
    project("--delete", "--yes")
    assert [api["ApiId"] for api in project.aws.client("apigatewayv2").get_apis()["Items"]] == [stranger]


def test_names_and_regions(project: Project) -> None:
    """Each name and region is a deployment of its own, and every name that is taken fits."""
    long = "the-longest-name-that-is-allowed-for-one-production".ljust(100, "x")
    for arguments in ([], ["--name", "orders-api-dev"], ["--name", long, "--region", "ap-southeast-2"]):
        project(*arguments)
    roles = [role["RoleName"] for role in project.aws.client("iam").list_roles()["Roles"]]
    assert len(roles) == 3 and all(len(name) <= 64 for name in roles)
    functions = project.aws.client("lambda").list_functions()["Functions"]
    assert sorted(function["FunctionName"] for function in functions) == ["orders-api-api", "orders-api-dev-api"]
    (function,) = project.aws.client("lambda", "ap-southeast-2").list_functions()["Functions"]
    (layer,) = project.aws.client("lambda", "ap-southeast-2").list_layers()["Layers"]
    assert len(function["FunctionName"]) == len(layer["LayerName"]) == 64
    project("--name", "orders-api-dev", "--delete", "--yes")
    assert live(project.aws) == "1"


def test_old_versions_go(project: Project) -> None:
    """Five stay, and the one that answers."""
    for number in range(5):
        project.change(f"# {number}\n")
        project()
    assert "lambda:DeleteFunction" not in project.changes
    project.change("# one more\n")
    project()
    deleted = [call for name, call in project.calls if name == "lambda:DeleteFunction"]
    assert deleted == [{"FunctionName": "orders-api-api", "Qualifier": "1"}]
    assert live(project.aws) == "6"


def test_waiting_shows(project: Project) -> None:
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
    (project.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    said = project(PYTHONPATH=str(project.folder))
    assert "function orders-api-api: creating ..\n" in said
    assert "function orders-api-api: getting ready ..\n" in said


def test_inactive_function_is_ready(project: Project) -> None:
    """Lambda puts a function aside that nobody calls; that is nothing to wait for."""
    project()
    patch = """
import botocore.client
plain = botocore.client.BaseClient._make_api_call
def idle(self, operation, parameters):
    answer = plain(self, operation, parameters)
    return answer | {"State": "Inactive"} if operation == "GetFunctionConfiguration" else answer
botocore.client.BaseClient._make_api_call = idle
"""
    (project.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    assert "Nothing had to be changed." in project(PYTHONPATH=str(project.folder))


def test_waiting_ends(project: Project) -> None:
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
    (project.folder / "sitecustomize.py").write_text(refusing, encoding="utf-8")
    said = project(code=1, PYTHONPATH=str(project.folder))
    assert "took more than 60 seconds (The role is not allowed here); run deploy.py again to go on." in said
    (project.folder / "sitecustomize.py").write_text(failing, encoding="utf-8")
    assert "the function orders-api-api failed: out of order." in project(code=1, PYTHONPATH=str(project.folder))


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
        (["--rollback"], {}, "orders-api is not deployed in us-east-1; `python deploy.py` deploys it"),
    ],
)
def test_errors(arguments: list[str], environment: dict[str, str], sentence: str, project: Project) -> None:
    """One sentence and exit code 1, and nothing was changed."""
    said = project(*arguments, code=1, AWS_MAX_ATTEMPTS="1", **environment)
    (line,) = (line for line in said.splitlines() if line.startswith("deploy.py: "))
    assert sentence in line
    assert project.changes == []


def test_build_error(project: Project) -> None:
    """What cannot be built is not deployed."""
    lock = project.folder / "app" / "requirements.txt"
    lock.write_text(lock.read_text(encoding="utf-8").replace("==", "==999.", 1), encoding="utf-8")
    assert "deploy.py: " in project(code=1)
    assert project.changes == []


def test_large_archives_go_through_a_bucket(project: Project) -> None:
    """Over what a call takes, a bucket is asked for, by name of the archive; with one it is used."""
    code = (project.folder / "build.py").read_text(encoding="utf-8")
    (project.folder / "build.py").write_text(code.replace("UPLOAD_LIMIT = 50 * MIB", "UPLOAD_LIMIT = 3 * MIB"))
    said = project(code=1)
    assert "dist/layer.zip has 4 MB, and over 3 it goes through a bucket of yours in us-east-1; for example" in said
    project.aws.client("s3").create_bucket(Bucket="mine")
    assert "deploy.py: Failed to upload" in project("--bucket", "not-there", code=1)
    project("--bucket", "mine")
    (content,) = (call for name, call in project.calls if name == "lambda:PublishLayerVersion")
    assert set(content["Content"]) == {"S3Bucket", "S3Key"}
    assert "Nothing had to be changed." in project("--bucket", "mine")


def test_without_boto3(project: Project) -> None:
    """It says where boto3 is."""
    command = [sys.executable, "-S", "-B", "deploy.py"]
    result = subprocess.run(command, cwd=project.folder, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stderr == (
        "deploy.py: boto3 is not installed here; `python build.py venv`, then run this with the Python of .venv.\n"
    )


def test_by_hand_as_by_command(bake: Bake) -> None:
    """The README's way through the Console has the values that deploy.py starts with."""
    project = bake(deployer="zip")
    rows = (project / "README.md").read_text(encoding="utf-8").splitlines()
    table = {cells[2].strip(" `"): cells[3].strip(" `") for row in rows if len(cells := row.split("|")) == 5}
    text = (project / "deploy.py").read_text(encoding="utf-8")
    memory, timeout, days = (
        re.search(rf"^{name} = (\d+)", text, re.M)[1] for name in ("MEMORY", "TIMEOUT", "LOG_RET\\w+")
    )
    assert (table["Memory"], table["Timeout"]) == (f"{memory} MB", f"0 min {timeout} sec")
    assert table["Retention setting"] == f"1 month ({days} days)"
    assert f'"DOCS": "{table["DOCS"]}"' in text


def test_delete_asks(project: Project) -> None:
    """On a terminal it wants the name typed; the end of the input is a no."""
    import pty

    project()
    environment = os.environ | project.aws.environment
    for answer, left in (("no\n", 1), ("\x04", 1), ("orders-api\n", 0)):
        terminal, theirs = pty.openpty()
        command = [sys.executable, "-B", "deploy.py", "--delete"]
        process = subprocess.Popen(
            command, cwd=project.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        said = b""
        while b"Type orders-api to delete them: " not in said:
            assert select.select([terminal], [], [], 30)[0], said
            said += os.read(terminal, 1000)
        os.write(terminal, answer.encode())
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert process.returncode == left
        os.close(theirs)
        os.close(terminal)
        assert len(project.aws.client("lambda").list_functions()["Functions"]) == left


def test_least_privilege_and_no_partition(each: Project) -> None:
    """What the role may do is on its own log group; ARNs take their partition from the account."""
    each()
    (policy,) = (json.loads(call["PolicyDocument"]) for name, call in each.calls if name == "iam:PutRolePolicy")
    logs, traces = policy["Statement"]
    assert logs["Resource"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/orders-api-api:*"
    assert all(action.startswith("xray:Put") for action in traces["Action"])
    text = (each.folder / "deploy.py").read_text(encoding="utf-8")
    assert not re.search(r"arn:aws|amazonaws\.com(?!\")", text.replace('"lambda.amazonaws.com"', ""))


def test_address_in_every_partition(bake: Bake, aws: Aws, tmp_path: Path) -> None:
    """The address of a REST API ends as the region's partition does."""
    shutil.copytree(bake(deployer="zip", api="rest_api", build_layer=True), tmp_path / "project")
    project = Project(tmp_path / "project", aws)
    for region, suffix in (("cn-north-1", "amazonaws.com.cn"), ("eusc-de-east-1", "amazonaws.eu")):
        said = project("--region", region)
        assert re.search(rf"^ApiUrl: https://\w+\.execute-api\.{region}\.{re.escape(suffix)}/prod/$", said, re.M), said


INTERRUPT = """
import os, re
from botocore.client import BaseClient
plain, left = BaseClient._make_api_call, [int(os.environ["CHANGES"])]
def call(self, operation, parameters):
    if not re.match("Get|List|Describe", operation):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
    return plain(self, operation, parameters)
BaseClient._make_api_call = call
"""


def test_interrupted_run_is_finished_by_the_next(each: Project) -> None:
    """Stopped before any of its changes, it goes on from there when it is run again, and then has nothing to do."""
    each()
    count = len(each.changes)
    assert count >= 10
    (each.folder / "sitecustomize.py").write_text(INTERRUPT, encoding="utf-8")
    for changes in range(1, count, 2):
        each.aws.reset()
        said = each(code=130, CHANGES=str(changes), PYTHONPATH=str(each.folder))
        assert "deploy.py: interrupted; run it again to go on." in said
        each()
        assert live(each.aws) == "1"
        each()
        assert each.changes == [], f"after {changes} changes"


def test_rollback_goes_where_it_answered(project: Project) -> None:
    """Not to a version that was published and never answered, nor to the one that was left by a rollback."""
    project()
    project.change("# bad\n")
    project()
    project("--rollback")
    project.change("# good\n")
    assert "alias live: version 1 -> 3" in project()
    project.change("# interrupted\n")
    (project.folder / "sitecustomize.py").write_text(INTERRUPT, encoding="utf-8")
    project(code=130, CHANGES="2", PYTHONPATH=str(project.folder))  # published, and no further
    project.change("# better\n")
    assert "alias live: version 3 -> 5" in project()
    assert "alias live: version 5 -> 3" in project("--rollback")
    assert "alias live: version 3 -> 1" in project("--rollback")
    assert "there is no version before 1 to go back to" in project("--rollback", code=1)


def test_version_that_is_not_ready_does_not_answer(project: Project) -> None:
    """Also when it is the run after that finds it."""
    project()
    project.change("# changed\n")
    patch = """
import botocore.client
plain = botocore.client.BaseClient._make_api_call
def failed(self, operation, parameters):
    answer = plain(self, operation, parameters)
    failing = operation == "GetFunctionConfiguration" and parameters.get("Qualifier") == "2"
    return answer | {"State": "Failed", "StateReason": "out of order"} if failing else answer
botocore.client.BaseClient._make_api_call = failed
"""
    (project.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    for _ in range(2):
        assert "failed: out of order." in project(code=1, PYTHONPATH=str(project.folder))
        assert live(project.aws) == "1"


def test_change_that_is_not_done_is_waited_for(project: Project) -> None:
    """Lambda refuses a change while another is in progress."""
    project()
    project.change("# changed\n")
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
    (project.folder / "sitecustomize.py").write_text(patch, encoding="utf-8")
    assert "function orders-api-api: updating ..\n" in project(PYTHONPATH=str(project.folder))
    assert live(project.aws) == "2"


def test_interrupted_repair_of_a_rest_api_is_deployed(bake: Bake, aws: Aws, tmp_path: Path) -> None:
    """What was put into the API and not yet into its stage is put there by the next run."""
    shutil.copytree(bake(deployer="zip", api="rest_api", build_layer=True), tmp_path / "project")
    project, gateway = Project(tmp_path / "project", aws), aws.client("apigateway")
    project()
    (api,) = gateway.get_rest_apis()["items"]
    (proxy,) = (each for each in gateway.get_resources(restApiId=api["id"])["items"] if each["path"] != "/")
    gateway.delete_resource(restApiId=api["id"], resourceId=proxy["id"])
    (project.folder / "sitecustomize.py").write_text(INTERRUPT, encoding="utf-8")
    project(code=130, CHANGES="4", PYTHONPATH=str(project.folder))
    assert project.changes[-1] == "apigateway:CreateDeployment", "it was stopped before this"
    project()
    assert "apigateway:CreateDeployment" in project.changes
    project()
    assert project.changes == []


def test_integration_of_the_user_stays(project: Project) -> None:
    """An HTTP API may have routes of its owner's own."""
    project()
    gateway = project.aws.client("apigatewayv2")
    (api,) = gateway.get_apis()["Items"]
    (ours,) = gateway.get_integrations(ApiId=api["ApiId"])["Items"]
    theirs = {"IntegrationType": "HTTP_PROXY", "IntegrationUri": "https://example.com", "PayloadFormatVersion": "1.0"}
    other = gateway.create_integration(ApiId=api["ApiId"], IntegrationMethod="GET", **theirs)["IntegrationId"]
    gateway.delete_integration(ApiId=api["ApiId"], IntegrationId=ours["IntegrationId"])
    project()
    kept = gateway.get_integration(ApiId=api["ApiId"], IntegrationId=other)
    assert {name: kept[name] for name in theirs} == theirs
    project()
    assert project.changes == []


def test_earlier_front_door_is_shut(bake: Bake, aws: Aws, tmp_path: Path) -> None:
    """After a change of `api` what stood in front before may no longer call the function, and it is said."""
    for api in ("http_api", "function_url"):
        shutil.copytree(bake(deployer="zip", api=api, build_layer=True), tmp_path / api / "project")
    Project(tmp_path / "http_api" / "project", aws)()
    said = Project(tmp_path / "function_url" / "project", aws)()
    assert re.search(r"permission api-\w+ of an earlier front door: removed; delete that in the Console", said)
    policy = aws.client("lambda").get_policy(FunctionName="orders-api-api", Qualifier="live")["Policy"]
    assert [statement["Sid"] for statement in json.loads(policy)["Statement"]] == ["url", "url-invoke"]
