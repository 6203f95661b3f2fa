"""What the roles of a service may do, and what the role that deploys it may do: no less and no more than is needed."""

import copy
import io
import json
import re
import zipfile
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import cfnlint
import pytest
from samcli.lib.bootstrap import bootstrap

from tests.conftest import CONTEXT, VARIANTS, Bake, Package
from tests.facts import plain
from tests.ministack import Ministack
from tests.parsers import read_yaml
from tests.sam import resolve, translate
from tests.serverless import template

# By the service that takes the role: actions and resources, or a policy of AWS.
LOGS = ["logs:CreateLogStream", "logs:PutLogEvents"]
TRACES = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
SIGNALS = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/application-signals/data:*"
BY_STAGE = {
    "dev": {"lambda.amazonaws.com": [(LOGS, "${ApiLogGroup.Arn}"), (TRACES, "*")]},
    "prod": {"lambda.amazonaws.com": [(LOGS, "${KeptApiLogGroup.Arn}"), (TRACES, "*")]},
    "traced": {
        "lambda.amazonaws.com": [
            (LOGS, "${ApiLogGroup.Arn}"),
            (TRACES, "*"),
            (["logs:CreateLogGroup", *LOGS], SIGNALS),
        ]
    },
}
OF_REST_API = {
    "apigateway.amazonaws.com": [
        "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    ]
}
GIVEN = {"dev": {}, "prod": {"Stage": "prod"}, "traced": {"AdotLayerArn": "arn:aws:lambda:us-east-1:1:layer:a:1"}}


def listed(value: Any) -> list[Any]:
    """Return a value that may be a list as one."""
    return value if isinstance(value, list) else [value]


def deployed(deployer: str, api: str, bake: Bake, package: Package, **more: object) -> dict[str, Any]:
    """Return the CloudFormation template of a project."""
    if deployer == "serverless":
        project, _ = package(**VARIANTS[f"serverless-{api}".removesuffix("-http_api")] | more)
        return template(project)
    return translate(bake(deployer=deployer, api=api, **more) / "template.yaml", "us-east-1")


# With a table, a secret and a worker: each deployer once, and each source that makes resources of its own.
STATE = {"storage": "dynamodb", "secret": True}
WITH_STATE = [("sam", "http_api", "s3"), ("serverless", "rest_api", "schedule"), ("zip", "function_url", "sns")]


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_roles_may_do_what_is_listed_here(deployer: str, bake: Bake, package: Package) -> None:
    """Each statement of each role, of each front end and stage, and each policy of AWS that is attached."""
    for api, stage in product(CONTEXT["api"], GIVEN):
        resources = resolve(deployed(deployer, api, bake, package), GIVEN[stage])["Resources"]
        expected = BY_STAGE[stage] | (OF_REST_API if api == "rest_api" else {})
        assert dict(allowed_in(resources).values()) == expected, (api, stage)


def allowed_in(resources: dict[str, Any]) -> dict[str, tuple[str, list[Any]]]:
    """Return who takes each role, and its statements and policies of AWS."""
    allowed = {}
    for name, resource in resources.items():
        assert resource["Type"] not in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
        if resource["Type"] != "AWS::IAM::Role":
            continue
        role = resource["Properties"]
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        (service,) = listed(trust["Principal"]["Service"])
        statements = [each for policy in role.get("Policies", []) for each in policy["PolicyDocument"]["Statement"]]
        assert {(each["Effect"], *(each.keys() - {"Action", "Resource"})) for each in statements} <= {
            ("Allow", "Effect")
        }
        found: list[Any] = [(sorted(listed(each["Action"])), plain(each["Resource"])) for each in statements]
        allowed[name] = (service, found + [plain(arn) for arn in role.get("ManagedPolicyArns", [])])
    return allowed


@pytest.mark.parametrize(("deployer", "api", "events"), WITH_STATE)
def test_roles_of_a_service_with_state(deployer: str, api: str, events: str, bake: Bake, package: Package) -> None:
    """The API, the worker and the schedule each have what they use of table, secret and queues, and no more."""
    made = deployed(deployer, api, bake, package, events=events, **STATE)
    for stage, kept in (("dev", ""), ("prod", "Kept")):
        allowed = allowed_in(resolve(made, GIVEN[stage])["Resources"])
        table = f"${{{kept}Table.Arn}}"
        of_api = [
            (LOGS, f"${{{kept}ApiLogGroup.Arn}}"),
            (TRACES, "*"),
            (["sqs:SendMessage"], "${WorkQueue.Arn}"),
            ([f"dynamodb:{verb}" for verb in ("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")], table),
            (["secretsmanager:GetSecretValue"], f"${{{kept}Secret.Id}}"),
        ]
        of_worker = [
            (LOGS, f"${{{kept}WorkerLogGroup.Arn}}"),
            (TRACES, "*"),
            (["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], "${WorkQueue.Arn}"),
            (["sqs:SendMessage"], "${DeadLetterQueue.Arn}"),
            ([f"dynamodb:{verb}Item" for verb in ("Delete", "Get", "Put", "Update")], "${IdempotencyTable.Arn}"),
            (["dynamodb:GetItem", "dynamodb:UpdateItem"], table),
        ]
        function = "IamRoleLambdaExecution" if deployer == "serverless" else "ApiRole"
        expected: dict[str, tuple[str, list[Any]]] = {
            function: ("lambda.amazonaws.com", of_api),
            "WorkerRole": ("lambda.amazonaws.com", of_worker),
        }
        if events == "schedule":
            expected["ScheduleRole"] = ("scheduler.amazonaws.com", [(["sqs:SendMessage"], "${WorkQueue.Arn}")])
        if api == "rest_api":
            expected["ApiGatewayLogRole"] = ("apigateway.amazonaws.com", OF_REST_API["apigateway.amazonaws.com"])
        assert allowed == expected, stage


# What a deployer asks AWS for itself; the rest, CloudFormation does with the same permissions.
CALLS = {
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",  # a rollback deploys that of the release before
    "cloudformation:UpdateTerminationProtection",
    "logs:DescribeLogStreams",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
}
CALLS_OF = {
    "sam": {
        "cloudformation:GetTemplateSummary",
        "cloudformation:ListChangeSets",
        "cloudformation:ListStackResources",
        "cloudformation:TagResource",
    },
    "serverless": {
        "cloudformation:DescribeStackResource",
        "cloudformation:ListStackResources",
        "cloudformation:TagResource",
        "cloudformation:ValidateTemplate",
    },
    "zip": set(),
}
# What `make replay` asks for.
REPLAY = {f"sqs:{verb}" for verb in ("ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessage")}
# What AWS documents for the access logs of HTTP APIs.
DELIVERY = {f"logs:{verb}LogDelivery" for verb in ("Create", "Delete", "Get", "Update")}
DELIVERY |= {"logs:DescribeResourcePolicies", "logs:ListLogDeliveries", "logs:PutResourcePolicy"}
# What AWS lists for the types too, but only properties need that the service does not set.
NOT_NEEDED = (
    "apigateway:(TagResource|UntagResource)",  # tags are set by PUT, POST and DELETE below /tags
    "apigateway:UpdateRestApiPolicy",
    "ec2:.*|elasticfilesystem:.*|s3files:.*",  # VPC and file systems
    "firehose:.*|kms:.*|s3:REST.PUT.OBJECT",  # the policy of a key allows its use by CloudWatch Logs
    "iam:DeleteRolePermissionsBoundary|iam:ListRoles",  # a boundary stays where it is
    "lambda:.*(CodeSigningConfig|RecursionConfig|ScalingConfig)",
    "lambda:(AssociateRuntimeAlias|ListFunctions|PassCapacityProvider|PublishVersion|PutRuntimeManagementConfig)",
    "logs:.*(DataProtectionPolicy|IndexPolicy|IndexPolicies|DeletionProtection|BearerTokenAuthentication)",
    "logs:DeleteResourcePolicy",
    "sns:(ListTopics|PutDataProtectionPolicy)",
    # Items, replicas, imports, streams and insights; those of tables, as of secrets, are for the functions alone.
    "dynamodb:(BatchWriteItem|DeleteItem|GetItem|PutItem|Query|Scan|UpdateItem|ImportTable|DescribeImport)",
    "dynamodb:(.*Replica|(Delete|Put)ResourcePolicy|(Disable|Enable|Update)Kinesis.*|UpdateContributorInsights)",
    "iam:CreateServiceLinkedRole|kinesis:.*|logs:PutLogEvents|logs:CreateLogStream",
    "secretsmanager:(GetSecretValue|.*Replicat.*)",
)
NOT_NEEDED_OF = {
    "http_api": "iam:(AttachRolePolicy|DetachRolePolicy)",
    "rest_api": "logs:(CreateLogDelivery|.*ResourcePolic.*)",
    "function_url": "iam:(AttachRolePolicy|DetachRolePolicy)|logs:(CreateLogDelivery|.*ResourcePolic.*)",
}
NOT_OWN = (
    r":transform/Serverless-2016-10-31$",
    r":layer:AWSOpenTelemetryDistroPython:\*$",
    r":stack/aws-sam-cli-managed-default/\*$",
    r":s3:::aws-sam-cli-managed-default-\*(/\*)?$",
    # The ids of APIs and mappings are random.
    r":event-source-mapping:\*$",
    r":apigateway:\$\{AWS::Region\}::/(account$|(apis|restapis)(/\*)?$|tags/\*$)",
)
BUCKET = {"s3:CreateBucket", "s3:GetBucketPolicy", "s3:PutBucketPolicy"}
BY_PROPERTY = {
    "BucketEncryption": "s3:PutEncryptionConfiguration",
    "LifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "PublicAccessBlockConfiguration": "s3:PutBucketPublicAccessBlock",
    "NotificationConfiguration": "s3:PutBucketNotification",
    "OwnershipControls": "s3:PutBucketOwnershipControls",
    "Tags": "s3:PutBucketTagging",
    "VersioningConfiguration": "s3:PutBucketVersioning",
}


@cache
def handlers(kind: str) -> set[str]:
    """Return the permissions that AWS lists for creating, reading, updating and deleting a type of resource."""
    folder = Path(cfnlint.__file__).parent / "data" / "schemas"
    names = json.loads((folder / "providers" / "us-east-1.json").read_text(encoding="utf-8"))
    schema = json.loads((folder / "resources" / f"{names[kind]}.json").read_text(encoding="utf-8"))
    needed = {name: each.get("permissions", []) for name, each in schema.get("handlers", {}).items() if name != "list"}
    return {action for actions in needed.values() for action in actions}


@cache
def without_resources() -> set[str]:
    """Return the actions that AWS can allow for all resources only: for an ARN, it refuses them."""
    path = Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json"
    services = json.loads(path.read_text(encoding="utf-8")).items()
    actions = ((name, *each) for name, service in services for each in service.get("Actions", {}).items())
    return {f"{service}:{action}" for service, action, known in actions if not known.get("Resources")}


def policy_of(project: Path) -> list[dict[str, Any]]:
    """Return the statements of the policy for the role that deploys a project, with lists for actions and resources."""
    made = read_yaml((project / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8"))
    policies = resolve(made, {})["Resources"].values()
    assert {policy["Type"] for policy in policies} == {"AWS::IAM::ManagedPolicy"}
    statements = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    for statement in statements:
        for name in ("Action", "Resource"):
            statement[name] = [plain(each) for each in listed(statement[name])]
    return statements


def bucket_of(deployer: str, bake: Bake, made: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of the bucket that a deployer makes for archives."""
    if deployer == "sam":
        made = json.loads(bootstrap._get_stack_template())
    elif deployer == "zip":
        made = read_yaml((bake(deployer="zip") / "scripts" / "artifacts.yaml").read_text(encoding="utf-8"))
    (bucket,) = (
        each["Properties"]
        for name, each in made["Resources"].items()
        if each["Type"] == "AWS::S3::Bucket" and (name != "Bucket" or deployer == "zip")  # the worker's
    )
    return bucket


def check_deploying_role(deployer: str, api: str, bake: Bake, package: Package, **more: object) -> None:
    """Fail if the policy of a project allows less than what is needed, or more."""
    made = deployed(deployer, api, bake, package, **more)
    kinds = {each["Type"] for each in made["Resources"].values()}
    needed = {action for kind in kinds for action in handlers(kind)}
    needed = {action for action in needed if not action.lower().startswith(("s3:", "s3tables:"))}
    needed |= CALLS | CALLS_OF[deployer] | (DELIVERY if api == "http_api" else set())
    needed |= REPLAY if "events" in more else set()
    needed |= BUCKET | {BY_PROPERTY[name] for name in bucket_of(deployer, bake, made)}
    needed |= {BY_PROPERTY[name] for name in made["Resources"].get("Bucket", {}).get("Properties", {})}
    if deployer == "serverless":
        needed |= {"s3:PutBucketTagging"}  # osls gives the stack a tag, which its resources get too
    if deployer != "sam":
        needed |= {"s3:DeleteBucket", "s3:DeleteBucketPolicy"}
    allowed = {action for each in policy_of(bake(deployer=deployer, api=api, **more)) for action in each["Action"]}
    unneeded = re.compile("|".join([*NOT_NEEDED, NOT_NEEDED_OF[api]]))
    assert {action for action in needed - allowed if not unneeded.fullmatch(action)} == set(), api
    assert allowed - needed == set(), api


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_deploying_role_may_do_what_is_needed(
    deployer: str, bake: Bake, package: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What AWS lists for the types of resources, what the deployer asks for itself, and nothing else."""
    monkeypatch.setenv("__SAM_CLI_APP_DIR", str(tmp_path))  # where the AWS SAM CLI keeps an id of the installation
    for api in CONTEXT["api"]:
        check_deploying_role(deployer, api, bake, package)


@pytest.mark.parametrize(("deployer", "api", "events"), WITH_STATE)
def test_deploying_role_of_a_service_with_state(
    deployer: str, api: str, events: str, bake: Bake, package: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same with a table, a secret, a queue and what feeds it."""
    monkeypatch.setenv("__SAM_CLI_APP_DIR", str(tmp_path))
    check_deploying_role(deployer, api, bake, package, events=events, **STATE)


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_deploying_role_is_limited_to_the_service(deployer: str, bake: Bake) -> None:
    """To its stacks and their names, and to roles for Lambda, or for the log of API Gateway; it fits into a policy."""
    slug = "the-longest-name-that-is-allowed-for-one"
    sources = {api: [{}, STATE | {"events": events}] for _, api, events in WITH_STATE}
    for (api, each_of), name in product(sources.items(), ("orders-api", slug)):
        for more in each_of:
            project = bake(deployer=deployer, api=api, project_slug=name, **more)
            statements = policy_of(project)
            made = resolve(read_yaml((project / "docs" / "deploy-policy.yaml").read_text("utf-8")), {})
            for policy in made["Resources"].values():
                # AWS counts no white space, and puts the values of parameters in.
                text = json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":"), default=str)
                longest = {"Stage": "production", "AWS::Partition": "aws-us-gov", "AWS::Region": "ap-southeast-2"}
                for parameter, value in (longest | {"AWS::AccountId": "123456789012"}).items():
                    text = text.replace(f"${{{parameter}}}", value)
                assert len(text) < 6144 - 100
            for statement in statements:
                everywhere = {action.lower() in without_resources() for action in statement["Action"]}
                assert everywhere == {statement["Resource"] == ["*"]}, statement["Action"]
            own = rf"[:/]([Aa]rtifacts-)?{name[:20]}"
            for resource in (each for statement in statements for each in statement["Resource"] if each != "*"):
                assert re.search(f"{own}|{'|'.join(NOT_OWN)}", resource), resource
            (passed,) = (each for each in statements if "iam:PassRole" in each["Action"])
            services = ["lambda.amazonaws.com", *(["apigateway.amazonaws.com"] if api == "rest_api" else [])]
            services += ["scheduler.amazonaws.com"] if more.get("events") == "schedule" else []
            assert passed["Action"] == ["iam:PassRole"]
            assert listed(passed["Condition"]["StringEquals"]["iam:PassedToService"]) == services


# In place of the application: it makes the calls that Lambda makes for a function, and some that it may not make.
PROBE = """
import time
import boto3

def handler(event, context):
    logs = boto3.client("logs")
    into = {"logGroupName": event["group"], "logStreamName": str(time.time_ns())}
    line = {"timestamp": int(time.time() * 1000), "message": "hello"}
    calls = {
        "logs:CreateLogStream": lambda: logs.create_log_stream(**into),
        "logs:PutLogEvents": lambda: logs.put_log_events(**into, logEvents=[line]),
        "another log group": lambda: logs.create_log_stream(**into | {"logGroupName": "/aws/lambda/another"}),
        "logs:CreateLogGroup for traces": lambda: logs.create_log_group(logGroupName="/aws/application-signals/data"),
        "logs:DeleteLogGroup": lambda: logs.delete_log_group(logGroupName=event["group"]),
        "s3:ListAllMyBuckets": lambda: boto3.client("s3").list_buckets(),
    }
    refused = []
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            if "is not authorized to perform" in str(error):
                refused.append(name)
    return refused
"""


def test_statements_are_what_the_function_needs(bake: Bake, tmp_path: Path) -> None:
    """With its statements it may write its log, and nothing else; without them it may not.

    ministack refuses what a role has no permission for, but only calls of the function's code: it writes the log of a
    function without asking, so that a function makes Lambda's calls here itself. It does not emulate X-Ray.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("main.py", PROBE)
    made = translate(bake(api="function_url") / "template.yaml", "us-east-1")
    without = copy.deepcopy(made)
    del without["Resources"]["ApiRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    traced = resolve(made, GIVEN["traced"])
    traced["Resources"]["ApiFunction"]["Properties"] |= {"Layers": [], "Environment": {}}
    others = ["another log group", "logs:DeleteLogGroup", "s3:ListAllMyBuckets"]
    with Ministack(tmp_path, AUTH="true") as aws:
        aws.client("s3").create_bucket(Bucket="bucket")
        aws.client("s3").put_object(Bucket="bucket", Key="archive", Body=archive.getvalue())
        for name, template_, refused in (
            ("whole", made, {"logs:CreateLogGroup for traces", *others}),
            ("without", without, {*LOGS, "logs:CreateLogGroup for traces", *others}),
            ("traced", traced, {*others}),
        ):
            for resource in template_["Resources"].values():
                for place in ("Code", "Content"):
                    if place in resource.get("Properties", {}):
                        resource["Properties"][place] = {"S3Bucket": "bucket", "S3Key": "archive"}
            stack = {"StackName": name, "TemplateBody": json.dumps(template_), "Capabilities": ["CAPABILITY_IAM"]}
            aws.client("cloudformation").create_stack(**stack)
            aws.client("cloudformation").get_waiter("stack_create_complete").wait(
                StackName=name, WaiterConfig={"Delay": 1}
            )
            outputs = aws.outputs(name)
            event = json.dumps({"group": outputs["ApiLogGroupName"]})
            answer = aws.client("lambda").invoke(FunctionName=outputs["ApiFunctionName"], Payload=event)
            assert set(json.loads(answer["Payload"].read())) == refused, name
