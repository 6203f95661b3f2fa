"""Each deployer does its work with the permissions of docs/deploy-policy.yaml, on ministack with AUTH=true.

ministack refuses the calls of the deployer itself for which it has no permission. What CloudFormation makes with the
same permissions, it makes without asking; test_permissions.py compares those with what AWS lists.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.conftest import CONTEXT, Bake
from tests.machine import ARCHITECTURE
from tests.ministack import Ministack
from tests.test_deploy import Project
from tests.test_deployments import Osls, Sam

OWN, OTHER = "orders-api-dev", "payments-api-dev"


def allow(aws: Ministack, project: Path, stack: str = "deploy", user: str = "pipeline") -> dict[str, str]:
    """Create the policies of a project as their head says, and return the credentials of a user who has them."""
    cloudformation, iam = aws.client("cloudformation"), aws.client("iam")
    text = (project / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8")
    cloudformation.create_stack(StackName=stack, TemplateBody=text, Capabilities=["CAPABILITY_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    iam.create_user(UserName=user)
    for policy in aws.outputs(stack).values():
        iam.attach_user_policy(UserName=user, PolicyArn=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def commands(deployer: str, source: Path, folder: Path, aws: Ministack) -> tuple[Callable[..., object], ...]:
    """Return what deploys a copy of a project, what rolls it back, what deletes it, and what replaces a text in it."""
    if deployer == "zip":
        by_hand = Project(source, folder, aws)
        roll_back, end = (partial(by_hand, *words, script="stage") for words in (["rollback"], ["delete", "--yes"]))
        return by_hand, roll_back, end, by_hand.replace
    shutil.copytree(source, folder)
    if deployer == "sam":
        sam = Sam(folder, aws)
        roll_back, end = (partial(sam.script, "stage", *words) for words in (["rollback"], ["delete", "--yes"]))
        return sam.deploy, roll_back, end, sam.replace
    osls = Osls(folder, aws)
    return osls.deploy, partial(osls.run, "rollback"), partial(osls.run, "remove"), osls.replace


def refused(call: Callable[..., object], **arguments: object) -> bool:
    """Return if a call is refused for want of a permission."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"].startswith("AccessDenied")
    return False


@pytest.mark.deployment
@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_deploys_rolls_back_and_deletes(deployer: str, bake: Bake, tmp_path: Path) -> None:
    """A stage of its service, with log and protection; nothing of another service, and nothing without the policy."""
    source, folder = bake(deployer=deployer, architecture=ARCHITECTURE, build_layer=True), tmp_path / "orders-api"
    with Ministack(tmp_path, AUTH="true") as aws:
        keys = allow(aws, source)
        aws.environment |= {name.upper(): value for name, value in keys.items()}
        logs, stacks = (
            boto3.client(name, region_name="us-east-1", endpoint_url=aws.url, **keys)
            for name in ("logs", "cloudformation")
        )
        deploy, roll_back, end, replace = commands(deployer, source, folder, aws)
        deploy()
        before = aws.function(OWN)["CodeSha256"]
        replace("app/items.py", '"Item 42"', '"Thing 42"')
        deploy()
        assert aws.function(OWN)["CodeSha256"] != before
        roll_back()
        assert aws.function(OWN)["CodeSha256"] == before
        group = aws.outputs(OWN)["ApiLogGroupName"]
        assert not refused(logs.filter_log_events, logGroupName=group)
        assert refused(logs.filter_log_events, logGroupName=group.replace(OWN, OTHER))
        for protected in (True, False):
            stacks.update_termination_protection(StackName=OWN, EnableTerminationProtection=protected)
        for call in (stacks.describe_stacks, stacks.delete_stack, stacks.get_template):
            assert refused(call, StackName=OTHER)
        assert refused(stacks.delete_stack, StackName="deploy"), "it must not widen its own policy"
        end()
        assert not refused(stacks.delete_stack, StackName=OWN)
        aws.client("iam").detach_user_policy(UserName="pipeline", PolicyArn=aws.outputs("deploy")["PolicyArn"])
        assert refused(stacks.delete_stack, StackName=OWN)
