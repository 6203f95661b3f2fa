"""AWS on this machine: ministack, which runs whole stacks of CloudFormation and the functions in them."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from tests.machine import CACHE, ROOT, UV, free_port, interpreter

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# With AUTH=true, ministack asks for permissions on a log group where AWS asks for them on a log stream in it, and on
# everything where AWS asks for them on the stack of a change set. It has no TLS, which policies of buckets and queues
# ask for: so each request passes as one with it, but for those with x-forwarded-proto. And it asks for no permission
# where Lambda takes messages from a queue, and where EventBridge and its Scheduler send to one.
AUTHORIZE = """
from json import loads

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import cloudformation, eventbridge, lambda_svc, sqs

resource, application = iam_actions.extract_resource_arn, app.app
batches, send = lambda_svc._sqs_esm_concurrency, eventbridge._invoke_target
TAKING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def as_on_aws(service, method, path, headers, body, parameters, *more):
    arn = resource(service, method, path, headers, body, parameters, *more)
    if service == "logs" and "logGroupName" in (named := loads(body)):
        return f"{arn}:log-stream:{named.get('logStreamName', '')}"
    if service == "cloudformation" and arn == "*":
        change_set = iam_actions._query_param(parameters, "ChangeSetName")
        return cloudformation._change_sets.get(change_set, {}).get("StackId", arn)
    return arn


async def over_tls(scope, receive, send):
    await application({**scope, "scheme": "https"} if scope["type"] == "http" else scope, receive, send)


def may(role, action, queue):
    account, name = role.split(":")[4], role.rpartition("/")[2]
    asked = iam_evaluator.EvalContext(role, "AssumedRole", account, action, queue, "us-east-1", secure_transport=True)
    allowed = iam_evaluator.evaluate(asked, iam_evaluator._gather_role_policies(name, account)).decision == "Allow"
    return allowed or print(f"{name} is not authorized to perform: {action}", flush=True)


def batches_if_allowed(mapping, function, *more):
    allowed = all(may(function["config"]["Role"], action, mapping["EventSourceArn"]) for action in TAKING)
    return batches(mapping, function, *more) if allowed else 0


def send_if_allowed(target, event, rule, *more):
    queue, role, service = target["Arn"], target.get("RoleArn"), "events.amazonaws.com"
    iam_evaluator.pin_request_origin("127.0.0.1", True)
    if ":sqs:" not in queue or (
        may(role, "sqs:SendMessage", queue)
        if role
        else sqs.queue_policy_allows(queue, service, rule["Arn"], queue.split(":")[4])
    ):
        send(target, event, rule, *more)


iam_actions.extract_resource_arn = as_on_aws
app.app = over_tls
lambda_svc._sqs_esm_concurrency, eventbridge._invoke_target = batches_if_allowed, send_if_allowed
"""
# ministack refuses an alarm with metric math, so such an alarm is made of the first metric that it reads. The lines
# that it logs of a function have no id. It takes the concurrency of a mapping that comes from a parameter for a text,
# sends what a schedule has without the time, and answers /health itself, whatever the host.
START = """
import time
from uuid import uuid4

from ministack import app
from ministack.services import cloudwatch_logs, eventbridge, lambda_svc
from ministack.services.cloudformation import provisioners

concurrency, invoke = lambda_svc._sqs_esm_concurrency, eventbridge._invoke_target
append, record = cloudwatch_logs._append_log_events, provisioners._cw_metric_alarm_record


def of_one_metric(name, properties):
    if metrics := properties.get("Metrics"):
        read = next(each["MetricStat"]["Metric"] for each in metrics if "MetricStat" in each)
        properties = {**read, **{key: value for key, value in properties.items() if key != "Metrics"}}
    return record(name, properties)


def with_time(target, *more):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    given = target.get("Input", "").replace("<aws.scheduler.scheduled-time>", now)
    invoke({**target, "Input": given} if given else target, *more)


eventbridge._invoke_target = with_time


def with_ids(stream, events):
    append(stream, [{"eventId": uuid4().hex, **event} for event in events])


cloudwatch_logs._append_log_events = with_ids
provisioners._cw_metric_alarm_record = of_one_metric
lambda_svc._sqs_esm_concurrency = lambda *given: int(concurrency(*given))
app._HEALTH_PATHS = ("/_ministack/health",)
app.main()
"""


@functools.cache
def installed() -> Path:
    """Return an interpreter with ministack, which runs the functions too; it is kept for later runs.

    Made beside its place and renamed, so that two processes may do so at once: the second one's is thrown away.
    """
    python = interpreter("python3.13")
    assert python, "ministack runs functions with its own Python, and the default project needs Python 3.13"
    lock = ROOT / "requirements" / "ministack.txt"
    target = CACHE / "ministack" / hashlib.sha256(lock.read_bytes() + str(python).encode()).hexdigest()[:16]
    if not target.exists():
        fresh = target.with_name(f"{target.name}-{os.getpid()}")
        subprocess.run([UV, "venv", "--quiet", "--clear", "--relocatable", "--python", python, fresh], check=True)
        install = [
            UV,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            fresh / "bin" / "python",
            "--require-hashes",
            "-r",
            lock,
        ]
        subprocess.run(install, check=True)
        try:
            fresh.rename(target)
        except OSError:
            assert target.exists()
            shutil.rmtree(fresh)
    return target / "bin" / "python"


class Ministack:
    """A server that answers as AWS does; leaving the `with` block ends it.

    Args:
        folder: where its log is.
        variables: more of its environment; with AUTH="true", functions may do only what their roles allow.

    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.variables = variables
        self.port, self.log = free_port(), folder / "ministack.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = CREDENTIALS | {"AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true"}

    def __enter__(self) -> "Ministack":
        """Start it, on 127.0.0.1 alone, and wait until it answers."""
        variables = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "IOT_MTLS_ENABLED": "0"}
        # The functions that it runs are processes of its own; nothing of this environment is theirs to see.
        environment = (
            CREDENTIALS
            | variables
            | self.variables
            | {"SFTP_ENABLED": "0", "PATH": os.environ["PATH"], "HOME": str(self.log.parent)}
        )
        with self.log.open("w") as log:
            command = [installed(), "-c", (AUTHORIZE if "AUTH" in self.variables else "") + START]
            self.process = subprocess.Popen(
                command, env=environment, cwd=self.log.parent, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health").close()  # noqa: S310 - it is ours
                return self
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        """End it, and the functions that it runs."""
        self.process.terminate()
        self.process.wait(10)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a client of one of its services."""
        names = ("aws_access_key_id", "aws_secret_access_key")
        keys = dict(zip(names, CREDENTIALS.values(), strict=True))
        return boto3.client(service, region_name=region, endpoint_url=self.url, **keys)

    def call(
        self, address: str, body: bytes | None = None, method: str | None = None, **more: str
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer at an address of AWS, which this server gives in AWS's place.

        With a body, which is JSON, the request is a POST unless a method is given; more headers have names with _.
        """
        parts = urllib.parse.urlsplit(address)
        # It knows the API of an API Gateway by a host of its own, a Function URL by that of AWS.
        host = re.sub(r"\.execute-api\..*", ".execute-api.localhost", parts.netloc)
        headers = {"Host": host, "Content-Type": "application/json"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)  # noqa: S310 - it is ours
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - it is ours
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def function(self, stack: str, region: str = "us-east-1") -> dict[str, Any]:
        """Return the configuration of the function of a stack."""
        name = self.outputs(stack, region)["ApiFunctionName"]
        return self.client("lambda", region).get_function_configuration(FunctionName=name)

    def outputs(self, stack: str, region: str = "us-east-1") -> dict[str, str]:
        """Return the outputs of a stack."""
        (found,) = self.client("cloudformation", region).describe_stacks(StackName=stack)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    def resources(self, name: str, region: str = "us-east-1") -> dict[str, str]:
        """Return what has a name in its own, by what it is."""
        functions, logs = self.client("lambda", region), self.client("logs", region)
        found = {
            "stack": [each["StackName"] for each in self.client("cloudformation", region).describe_stacks()["Stacks"]],
            "function": [each["FunctionName"] for each in functions.list_functions()["Functions"]],
            "layer": [each["LayerName"] for each in functions.list_layers()["Layers"]],
            "log group": [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]],
            "role": [each["RoleName"] for each in self.client("iam", region).list_roles()["Roles"]],
            "API": [each["Name"] for each in self.client("apigatewayv2", region).get_apis()["Items"]],
            "bucket": [each["Name"] for each in self.client("s3", region).list_buckets()["Buckets"]],
        }
        return {kind: each for kind, names in found.items() for each in names if name in each}

    def add_routes(self, stack: str, region: str = "us-east-1") -> None:
        """Make what ministack leaves out of a stack: it reads no HTTP API's Body, and no ANY in a REST API's.

        CloudFormation makes a route of each path in it. Here they are made from the processed template, by calls. osls
        writes each route as a resource, so its stacks lack nothing.
        """
        cloudformation, resources = self.client("cloudformation", region), {}
        arn = self.function(stack, region)["FunctionArn"]
        template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
            resources |= {
                each["LogicalResourceId"]: each["PhysicalResourceId"] for each in page["StackResourceSummaries"]
            }
        for name, resource in template["Resources"].items():
            paths = resource.get("Properties", {}).get("Body", {}).get("paths", {})
            if resource["Type"] == "AWS::ApiGatewayV2::Api":
                gateway, api = self.client("apigatewayv2", region), {"ApiId": resources[name]}
                how = {"IntegrationType": "AWS_PROXY", "IntegrationUri": arn, "PayloadFormatVersion": "2.0"}
                target = f"integrations/{gateway.create_integration(**api, **how)['IntegrationId']}"
                for path in paths:
                    gateway.create_route(**api, RouteKey=f"ANY {path}", Target=target)
            elif resource["Type"] == "AWS::ApiGateway::RestApi":
                gateway, api = self.client("apigateway", region), {"restApiId": resources[name]}
                ids = {each["path"]: each["id"] for each in gateway.get_resources(**api)["items"]}
                for path in paths:
                    if path not in ids:
                        ids[path] = gateway.create_resource(**api, parentId=ids["/"], pathPart=path[1:])["id"]
                    method = api | {"resourceId": ids[path], "httpMethod": "ANY"}
                    gateway.put_method(**method, authorizationType="NONE")
                    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"
                    gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
