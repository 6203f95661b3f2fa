"""What a project has for GitHub: its workflows, Dependabot, the role that it deploys with; and our own workflows."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import CONTEXT, ROOT, Bake, files
from tests.machine import BIN
from tests.parsers import read_yaml

FILES = {f".github/workflows/{name}.yml" for name in ("ci", "deploy", "stage")} | {".github/dependabot.yml"}
# The releases that the commits are of; each was looked up among the tags of its repository.
ACTIONS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/setup-node": ("820762786026740c76f36085b0efc47a31fe5020", "v7.0.0"),
    "astral-sh/setup-uv": ("20cfd1bf945f4377ade1205e4dbc17946fc9a30d", "v10.0.1"),
    "oasdiff/oasdiff-action/breaking": ("033c15c845bef10f148afb0fa781bf1b2a7fe1bf", "v0.1.12"),
    "aws-actions/configure-aws-credentials": ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
}
USES = re.compile(r"uses: (?!\$/)(\S+)@(\S+) # (v[\d.]+)$", re.MULTILINE)
TOKEN = {"contents": "read", "id-token": "write"}


@cache
def workflows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the workflows of a repository by name; `on`, which YAML 1.1 takes for true, is a key as on GitHub."""
    found = {}
    for path in sorted((folder / ".github" / "workflows").glob("*.yml")):
        made = yaml.safe_load(path.read_text(encoding="utf-8"))
        made["on"] = made.pop(True)
        found[path.stem] = made
    return found


def commands(workflow: dict[str, Any]) -> list[str]:
    """Return the commands of a workflow's steps."""
    steps = [step for job in workflow["jobs"].values() for step in job.get("steps", [])]
    return [step["run"] for step in steps if "run" in step]


def test_zizmor_finds_nothing(bake: Bake) -> None:
    """Nor in our own workflows; it is as strict as it can be without a network, and pedantic."""
    folders = [bake(deployer=deployer) for deployer in CONTEXT["deployer"]]
    command = [BIN / "zizmor", "--offline", "--persona=pedantic", "--no-progress", "--format=json"]
    result = subprocess.run([*command, *folders, ROOT / ".github"], capture_output=True, encoding="utf-8")
    assert [(each["ident"], each["locations"][0]["symbolic"]["key"]) for each in json.loads(result.stdout)] == []
    assert result.returncode == 0
    # Three workflows, the settings of Dependabot, and the checks before a commit.
    assert len(re.findall("completed", result.stderr)) == 5 * len(folders) + len(workflows(ROOT))


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_actions_are_pinned(deployer: str, bake: Bake) -> None:
    """Each by the commit of a release that is named beside it; and each deployer has those that it needs."""
    for folder in (bake(deployer=deployer), ROOT):
        texts = list(files(folder / ".github").values())
        found = {name: (sha, version) for text in texts for name, sha, version in USES.findall(text)}
        assert sum(text.count("uses: ") - text.count("uses: $/") for text in texts) == sum(
            len(USES.findall(text)) for text in texts
        )
        assert found == {name: ACTIONS[name] for name in found}
    used = {name for text in files(bake(deployer=deployer) / ".github").values() for name, *_ in USES.findall(text)}
    other = {"actions/download-artifact", "actions/upload-artifact"}  # of our own workflows
    assert used == ACTIONS.keys() - other - ({"actions/setup-node"} if deployer != "serverless" else set())


def test_permissions(bake: Bake) -> None:
    """Reading is all that a job may do; only those that deploy get a token for AWS. No secret is named."""
    made = workflows(bake())
    assert {name: each["permissions"] for name, each in made.items()} == dict.fromkeys(("ci", "deploy", "stage"), {})
    allowed = {(name, job): each["permissions"] for name in made for job, each in made[name]["jobs"].items()}
    assert allowed == {
        ("ci", "test"): {"contents": "read"},
        ("deploy", "ci"): {"contents": "read"},
        ("deploy", "dev"): TOKEN,
        ("deploy", "prod"): TOKEN,
        ("stage", "deploy"): TOKEN,
    }
    assert "secrets." not in str(made)


def test_own_jobs_that_write_run_no_packages() -> None:
    """A job that may write to the repository runs neither the tests nor what they install."""
    writing = {
        f"{name} {job}": [step.get("run", "") for step in each["steps"]]
        for name, made in workflows(ROOT).items()
        for job, each in made["jobs"].items()
        if "write" in str(each.get("permissions", made["permissions"]))
    }
    assert set(writing) == {"weekly propose", "release release"}
    assert not [run for runs in writing.values() for run in runs if re.search(r"make|\.ci/|uv |pip|npm", run)]


def test_when_what_is_deployed(bake: Bake) -> None:
    """What main has, after its tests, dev before prod, each in its environment, with its role, one at a time."""
    made = workflows(bake())
    assert made["ci"]["on"] == {"pull_request": None, "workflow_call": None}
    assert made["deploy"]["on"] == {"push": {"branches": ["main"]}}
    assert list(made["stage"]["on"]) == ["workflow_call"]
    jobs = made["deploy"]["jobs"]
    assert jobs["ci"]["uses"] == "$/.github/workflows/ci.yml"
    for stage, needed in (("dev", "ci"), ("prod", "dev")):
        role = f"vars.{stage.upper()}_ROLE_ARN"
        assert (jobs[stage]["needs"], jobs[stage]["if"]) == (needed, f"{role} != ''")
        assert jobs[stage]["uses"] == "$/.github/workflows/stage.yml"
        assert jobs[stage]["with"] == {"stage": stage, "role": f"${{{{ {role} }}}}"}
    job = made["stage"]["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.stage }}"
    assert job["concurrency"] == {"group": "deploy-${{ inputs.stage }}", "cancel-in-progress": False}


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_commands_are_those_of_the_project(deployer: str, bake: Bake) -> None:
    """Each is a target of make that the README has too. The AWS SAM CLI that is installed is that of our tests."""
    project = bake(deployer=deployer)
    made = {name: commands(each) for name, each in workflows(project).items()}
    secrets = "uv run --quiet --no-project prek run --all-files secrets"
    targets = [f"make {each}" for each in ("lint", "test", "openapi ARGS=--check", "check", "zip", "audit")]
    assert made["ci"] == [*targets[:3], secrets, *targets[3:]]
    assert "- id: secrets\n" in (project / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (*install, deploy, health) = made["stage"]
    assert (deploy, health) == ('make deploy STAGE="$STAGE"', 'make health STAGE="$STAGE"')
    version = re.search(r"^aws-sam-cli==(\S+)", (ROOT / "requirements" / "test.txt").read_text("utf-8"), re.MULTILINE)
    assert install == ([f"uv tool install aws-sam-cli=={version[1]}"] if deployer == "sam" else [])
    makefile, readme = ((project / name).read_text(encoding="utf-8") for name in ("Makefile", "README.md"))
    for command in (*targets, deploy, health):
        target = command.split()[1]
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
        assert f"`make {target}" in readme, target


def test_region(bake: Bake) -> None:
    """The role is taken in the region that the project deploys to."""
    steps = workflows(bake(aws_region="eu-central-1"))["stage"]["jobs"]["deploy"]["steps"]
    (region,) = [step["with"]["aws-region"] for step in steps if "aws-region" in step.get("with", {})]
    assert region == "eu-central-1"


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_dependabot(deployer: str, bake: Bake) -> None:
    """Each ecosystem of the project, weekly and in one pull request; and each lock is in a folder that is read."""
    project = bake(deployer=deployer)
    made = yaml.safe_load((project / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    updates = {each["package-ecosystem"]: each for each in made["updates"]}
    npm = ["npm"] if (project / "package.json").exists() else []
    assert list(updates) == ["pip", *npm, "github-actions"]
    for each in updates.values():
        assert each["schedule"] == {"interval": "weekly"}
        assert [group["patterns"] for group in each["groups"].values()] == [["*"]]
    locks = {path.relative_to(project).parent for path in project.rglob("requirements*.txt")}
    assert {Path(folder.strip("/")) for folder in updates["pip"]["directories"]} == locks


def test_no_trace_without_them(bake: Bake) -> None:
    """A project whose answer is none has no file and no word of GitHub; all else is the same."""
    for deployer in CONTEXT["deployer"]:
        without, having = files(bake(deployer=deployer, ci="none")), files(bake(deployer=deployer))
        assert having.keys() - without.keys() == FILES | {"docs/github-actions.md"}
        assert not without.keys() - having.keys()
        differ = {path for path in without if without[path] != having[path]}
        assert differ == {"README.md", "docs/deploy-policy.yaml"}
        for path in differ:
            assert not re.search(r"GitHub|(?i:oidc|dependabot|workflow)", without[path]), path


def trust(project: Path) -> dict[str, Any]:
    """Return the properties of the role in docs/deploy-policy.yaml."""
    made = read_yaml((project / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8"))
    return made["Resources"]["DeployRole"]["Properties"]


def test_who_gets_the_role(bake: Bake) -> None:
    """Jobs for one environment of one repository, for an hour; the role has the policies and nothing else."""
    for state in ({}, {"storage": "dynamodb", "secret": True, "events": "s3"}):
        role = trust(bake(**state))
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        issuer = "token.actions.githubusercontent.com"
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert statement["Condition"] == {
            "StringEquals": {
                f"{issuer}:aud": "sts.amazonaws.com",
                f"{issuer}:sub": {"Fn::Sub": "repo:${Repository}:environment:${Stage}"},
            }
        }
        assert role["MaxSessionDuration"] == 3600
        policies = ["DeployPolicy", *(["DeployStatePolicy"] if state else [])]
        assert role["ManagedPolicyArns"] == [{"Ref": name} for name in policies]
        assert "Policies" not in role


@pytest.mark.parametrize(
    ("repository", "good"),
    [
        ("octo-org@123456/octo-repo@789012", True),
        ("octo-org/octo.repo_1", True),
        ("", True),
        ("octo-org@123456/octo-repo", False),
        ("octo-org/*", False),
        ("octo-org@1/repo@2:environment:prod", False),
        ("octo-org", False),
    ],
)
def test_names_of_repositories(repository: str, good: bool, bake: Bake) -> None:
    """Both forms that GitHub's token has, and no pattern, which would let others in."""
    made = read_yaml((bake() / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8"))
    assert bool(re.search(made["Parameters"]["Repository"]["AllowedPattern"], repository)) == good
    (rule,) = made["Rules"].values()
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "*"]}]}


def test_role_of_a_stage_is_for_that_stage(bake: Bake) -> None:
    """With a short name, each resource that has a name has the stage in it."""
    text = (bake() / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8")
    patterns = [line.strip() for line in text.splitlines() if "orders-api" in line and "!Sub arn" in line]
    assert len(patterns) > 10
    assert [line for line in patterns if "orders-api-${Stage}" not in line] == []


def test_commands_of_the_guide(bake: Bake) -> None:
    """docs/github-actions.md and the head of the policy name what is there: parameters, variables, outputs."""
    project = bake()
    guide = (project / "docs" / "github-actions.md").read_text(encoding="utf-8")
    text = (project / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8")
    made = read_yaml(text)
    for said in (guide, text[: text.index("AWSTemplateFormatVersion")]):
        given = re.findall(r"--parameter-overrides (.+)", said)
        assert {word.split("=")[0] for line in given for word in line.split()} <= made["Parameters"].keys()
        assert "Stage=dev Repository=ORG@1234/REPO@5678" in given[0]
    variables = set(re.findall(r"gh variable set (\w+)", guide))
    assert variables == set(re.findall(r"vars\.(\w+) != ''", str(workflows(project)["deploy"])))
    assert set(re.findall(r"`(\w+\.yml)`", guide)) == {f"{name}.yml" for name in workflows(project)}
