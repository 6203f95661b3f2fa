"""The workflows of a project, run by act: pushed in a git repository, deployed to ministack with the role made for it.

Stubs take the place of the actions: act has no network for them, and nothing here is GitHub. GitHub's token is made up;
ministack compares it with the trust policy of the role, and refuses what the role has no permission for. act 0.2.89
does not know `$/`, by which a workflow calls another of its repository: it gets `./`, which means the same here.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from botocore.exceptions import ClientError

from tests.conftest import CONTEXT, Bake
from tests.machine import ARCHITECTURE, BIN, clean_environment, with_node
from tests.ministack import Ministack
from tests.osv import Database, osv

NAME, STAGES = "orders-api", ("dev", "prod")
REPOSITORY = "octo-org@123456/orders@789012"
ACTION = """
name: stub
description: a stub
inputs:
  role-to-assume: {{description: of configure-aws-credentials}}
  ref: {{description: of checkout}}
  path: {{description: of checkout, default: .}}
  base: {{description: of oasdiff}}
  revision: {{description: of oasdiff}}
runs:
  using: composite
  steps:
    - run: {}
      shell: bash
"""
# What stands in for an action: a line of shell. setup-uv adds the folder of `uv tool install` to PATH.
STUBS = {
    "actions/checkout": "git clone --quiet ${{ inputs.ref && format('--branch {0}', inputs.ref) }} "
    '"$REPOSITORY_HERE" "${{ inputs.path }}"',
    "actions/setup-node": "node --version",
    "astral-sh/setup-uv": 'echo "$HOME/.local/bin" >> "$GITHUB_PATH"',
    "oasdiff/oasdiff-action/breaking": 'python3 "$OASDIFF" "${{ inputs.base }}" "${{ inputs.revision }}"',
    "aws-actions/configure-aws-credentials": 'python3 "$ASSUME" "${{ inputs.role-to-assume }}"',
}
# Exchanges a token for credentials. GitHub names the repository and the environment in it.
ASSUME = """
import base64, json, os, sys
import boto3

part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
subject = f"repo:{os.environ['REPOSITORY_THERE']}:environment:{os.environ['STAGE']}"
claims = {"iss": "https://token.actions.githubusercontent.com", "aud": "sts.amazonaws.com", "sub": subject}
token = ".".join([part({"alg": "none"}), part(claims), "c2ln"])
url = os.environ["MINISTACK"]
sts = boto3.client("sts", "us-east-1", endpoint_url=url, aws_access_key_id="no", aws_secret_access_key="no")
named = {"RoleArn": sys.argv[1], "RoleSessionName": "GitHubActions"}
keys = sts.assume_role_with_web_identity(**named, WebIdentityToken=token, DurationSeconds=1800)["Credentials"]
names = {"AccessKeyId": "ACCESS_KEY_ID", "SecretAccessKey": "SECRET_ACCESS_KEY", "SessionToken": "SESSION_TOKEN"}
with open(os.environ["GITHUB_ENV"], "a") as environment:
    for key, name in names.items():
        environment.write(f"AWS_{name}={keys[key]}\\n")
    environment.write(f"AWS_ENDPOINT_URL={url}\\n")
"""
# Says which operations one document has and the other has not, as oasdiff does among much else.
OASDIFF = """
import json, sys

found = [json.load(open(path))["paths"] for path in sys.argv[1:]]
for path, methods in found[0].items():
    print(*(f"GONE {method} {path}" for method in methods if method not in found[1].get(path, {})), sep="\\n")
"""
# health.py sends its request to ministack, which answers in AWS's place, and knows an API Gateway by a host of its own.
URLOPEN = """
import os, re, urllib.parse, urllib.request

opened = urllib.request.urlopen

def urlopen(address, *more, **named):
    parts = urllib.parse.urlsplit(address)
    if not parts.netloc.endswith((".amazonaws.com", ".on.aws")):
        return opened(address, *more, **named)
    host = re.sub(r"\\.execute-api\\..*", ".execute-api.localhost", parts.netloc)
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + parts.path, headers={"Host": host})
    return opened(request, *more, **named)

urllib.request.urlopen = urlopen
"""
# make, and afterwards what git says of the files; npm without its audit, which no mirror of its registry answers.
MAKE = '#!/bin/sh\n{make} "$@"\ncode=$?\ngit status --porcelain >> {changed}\nexit $code\n'
NPM = '#!/bin/sh\n[ "$1" != audit ] || {{ echo "$@" >> {audited}; exit; }}\nexec {npm} "$@"\n'


class Repository:
    """A git repository made from a project, and act, which runs its workflows."""

    def __init__(self, project: Path, folder: Path, aws: Ministack, database: Database) -> None:
        self.folder, self.project = folder, folder / NAME
        self.changed, self.audited = folder / "changed", folder / "audited"
        shutil.copytree(project, self.project)
        deploy = self.project / ".github" / "workflows" / "deploy.yml"
        deploy.write_text(deploy.read_text(encoding="utf-8").replace("uses: $/", "uses: ./"), encoding="utf-8")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("Create the service")
        commands = with_node(folder / "bin")
        (commands / "npm").unlink()
        made = {
            "bin/make": MAKE.format(make=shutil.which("make"), changed=self.changed),
            "bin/npm": NPM.format(npm=BIN / "npm", audited=self.audited),
            "site/sitecustomize.py": URLOPEN,
            "assume.py": ASSUME,
            "oasdiff.py": OASDIFF,
        }
        for name, text in made.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
            (folder / name).chmod(0o755)
        self.environment = clean_environment(
            folder / "home",
            commands,
            REPOSITORY_HERE=str(self.project),
            REPOSITORY_THERE=REPOSITORY,
            ASSUME=str(folder / "assume.py"),
            OASDIFF=str(folder / "oasdiff.py"),
            MINISTACK=aws.url,
            PYTHONPATH=str(folder / "site"),
            NO_COLOR="1",
            UV_PYTHON_DOWNLOADS="never",
            SAM_CLI_POLL_DELAY="0.1",
            SLS_AWS_MONITORING_FREQUENCY="100",
            **database.environment,
        )

    def git(self, *arguments: str) -> str:
        """Return what git prints in the repository."""
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments]
        return subprocess.run(command, cwd=self.project, check=True, capture_output=True, text=True).stdout

    def commit(self, message: str) -> None:
        """Commit what is there."""
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")

    def stubs(self) -> Iterator[str]:
        """Return the options by which act finds a stub for each action."""
        texts = "".join(path.read_text(encoding="utf-8") for path in self.project.glob(".github/workflows/*.yml"))
        for name, sha in sorted(set(re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40})", texts))):
            stub = self.folder / "stubs" / name
            stub.mkdir(parents=True, exist_ok=True)
            (stub / "action.yml").write_text(ACTION.format(json.dumps(STUBS[name])), encoding="utf-8")
            owner, repository = name.split("/")[:2]
            action = f"{owner}/{repository}"
            yield from ("--local-repository", f"{action}@{sha}={self.folder / 'stubs' / action}")

    def push(self, **variables: str) -> tuple[int, str]:
        """Run what a push to main runs, with these variables of the repository; return exit code and output."""
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        return self.act("push", "deploy.yml", *given)

    def pull_request(self) -> tuple[int, str]:
        """Run what a pull request to main with the branch that is checked out runs; return exit code and output."""
        event = self.folder / "event.json"
        event.write_text('{"pull_request": {"number": 1, "base": {"ref": "main"}}}', encoding="utf-8")
        return self.act("pull_request", "ci.yml", "--eventpath", str(event))

    def act(self, event: str, workflow: str, *given: str) -> tuple[int, str]:
        """Run a workflow for an event; return exit code and output."""
        options = ["--platform", "ubuntu-24.04=-self-hosted", "--no-skip-checkout", "--no-cache-server", *given]
        result = subprocess.run(
            [BIN / "act", event, "--workflows", f".github/workflows/{workflow}", *options, *self.stubs()],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
        )
        return result.returncode, result.stdout


def roles(aws: Ministack, project: Path) -> dict[str, str]:
    """Make the role of each stage as docs/github-actions.md says, and return the variables with their ARNs."""
    cloudformation, found = aws.client("cloudformation"), {}
    text = (project / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8")
    for stage in STAGES:
        # ministack makes no OIDC provider.
        given = {"Stage": stage, "Repository": REPOSITORY, "OidcProvider": "exists"}
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
        stack = {"StackName": f"deploy-{NAME}-{stage}", "Capabilities": ["CAPABILITY_IAM"]}
        cloudformation.create_stack(**stack, TemplateBody=text, Parameters=parameters)
        wait = cloudformation.get_waiter("stack_create_complete")
        wait.wait(StackName=stack["StackName"], WaiterConfig={"Delay": 1})
        found[f"{stage.upper()}_ROLE_ARN"] = aws.outputs(stack["StackName"])["RoleArn"]
    return found


def add_routes(aws: Ministack, ended: Event) -> None:
    """Add what ministack leaves out to the API of each stage, when its stack is there; health.py asks until then."""
    left = [f"{NAME}-{stage}" for stage in STAGES]
    while left and not ended.wait(0.2):
        try:
            (found,) = aws.client("cloudformation").describe_stacks(StackName=left[0])["Stacks"]
        except ClientError:
            continue
        if found["StackStatus"] == "CREATE_COMPLETE":
            aws.add_routes(left.pop(0))


@pytest.mark.deployment
@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_push_deploys(deployer: str, bake: Bake, tmp_path: Path) -> None:
    """The workflow passes, deploys each stage that has a role, dev first, and changes no file; the stages answer."""
    project = bake(deployer=deployer, architecture=ARCHITECTURE)
    # What differs between deployers is the same for each stage.
    stages = STAGES if deployer == "sam" else STAGES[:1]
    with Ministack(tmp_path, AUTH="true") as aws, osv() as database:
        repository = Repository(project, tmp_path, aws, database)
        variables, ended = roles(aws, project), Event()
        variables = {name: variables[name] for name in (f"{stage.upper()}_ROLE_ARN" for stage in stages)}
        if deployer != "serverless":  # its stacks lack nothing
            Thread(target=add_routes, args=(aws, ended)).start()
        try:
            code, said = repository.push(**variables)
        finally:
            ended.set()
        assert code == 0, said
        lines = [line for line in said.splitlines() if "/health answers with status 200." in line]
        assert [line.split("/")[0] for line in lines] == [f"[{stage}" for stage in stages]
        made = {each["StackName"] for each in aws.client("cloudformation").describe_stacks()["Stacks"]}
        assert {name for name in made if name.startswith(NAME)} == {f"{NAME}-{stage}" for stage in stages}
        for stage in stages:
            url = aws.outputs(f"{NAME}-{stage}")["ApiUrl"]
            assert f"ApiUrl: {url}" in said
            assert aws.call(f"{url}items/42") == (200, b'{"item_id":42,"name":"Item 42"}')
        assert repository.changed.read_text() == "", "what git says after each command"
        assert {"fastapi", "pytest", "cfn-lint"} <= set(database.asked)
        assert repository.audited.exists() == (deployer == "serverless")


@pytest.mark.deployment
def test_failing_test_deploys_nothing(bake: Bake, tmp_path: Path) -> None:
    """The workflow fails at the tests, and no role is taken."""
    project = bake(architecture=ARCHITECTURE)
    with Ministack(tmp_path, AUTH="true") as aws, osv() as database:
        repository = Repository(project, tmp_path, aws, database)
        (repository.project / "tests" / "test_wrong.py").write_text("def test_wrong() -> None:\n    assert not 1\n")
        repository.commit("A mistake")
        code, said = repository.push(**roles(aws, project))
        assert code != 0
        assert "1 failed" in said
        assert "Success - Main Style, formatting and types" in said
        assert "Failure - Main Tests" in said
        assert "Take the role" not in said
        assert not [
            each
            for each in aws.client("cloudformation").describe_stacks()["Stacks"]
            if each["StackName"].startswith(NAME)
        ]


@pytest.mark.deployment
def test_pull_request(bake: Bake, tmp_path: Path) -> None:
    """It is checked, changes no file, and what clients of main would miss is said."""
    with Ministack(tmp_path) as aws, osv() as database:
        repository = Repository(bake(architecture=ARCHITECTURE), tmp_path, aws, database)
        contract = repository.project / "openapi.json"
        now = contract.read_text(encoding="utf-8")
        document = json.loads(now)
        document["paths"]["/old"] = {"get": {}}
        contract.write_text(json.dumps(document), encoding="utf-8")
        repository.commit("As main has it")
        repository.git("switch", "--quiet", "--create=change")
        contract.write_text(now, encoding="utf-8")
        repository.commit("A change")
        code, said = repository.pull_request()
        assert code == 0, said
        assert re.findall(r"GONE .*", said) == ["GONE get /old"]
        assert repository.changed.read_text() == "", "what git says after each command"


@pytest.mark.deployment
def test_role_of_another_stage(bake: Bake, tmp_path: Path) -> None:
    """A job for dev does not get the role of prod; nor does a repository whose name someone else has taken."""
    with Ministack(tmp_path, AUTH="true") as aws:
        variables = roles(aws, bake())
        (tmp_path / "assume.py").write_text(ASSUME, encoding="utf-8")
        for repository, stage, allowed in (
            (REPOSITORY, "dev", True),
            (REPOSITORY, "prod", False),
            ("octo-org@123456/orders@1", "dev", False),
            ("octo-org/orders", "dev", False),
        ):
            more = {"REPOSITORY_THERE": repository, "STAGE": stage, "MINISTACK": aws.url, "GITHUB_ENV": "keys"}
            result = subprocess.run(
                [BIN / "python", "assume.py", variables["DEV_ROLE_ARN"]],
                cwd=tmp_path,
                env=clean_environment(tmp_path, **more),
                capture_output=True,
                encoding="utf-8",
            )
            assert (result.returncode == 0) == allowed, result.stderr
            assert allowed or "Not authorized to perform sts:AssumeRoleWithWebIdentity" in result.stderr
