"""What a worker has on AWS: the same whichever deployer, no permission too many, and checked by cfn-lint."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CONTEXT, Bake, Package
from tests.facts import STAGES, made_with, named, of_type, plain, worker_facts
from tests.parsers import read_yaml
from tests.sam import cfn_lint, resolve, translate

SOURCES = CONTEXT["events"][1:]
PARAMETERS = {
    "WorkerMemorySize": 512,
    "WorkerConcurrency": 50,
    "UploadPrefix": "in/",
    "UploadSuffix": ".csv",
    "ScheduleExpression": "rate(1 hour)",
    "ScheduleTimezone": "Europe/Amsterdam",
}


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    """Return each source."""
    return request.param


def facts_of(made: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return the facts about a worker in a stage; in the last one each parameter is set."""
    given = STAGES[stage] | (PARAMETERS if stage == "all" else {})
    return worker_facts(made, **{name: value for name, value in given.items() if name in made["Parameters"]})


def test_same_whichever_deployer(source: str, bake: Bake, package: Package) -> None:
    """What SAM makes, the others make too, in each stage."""
    made = made_with(bake, package, events=source, storage="none", secret=False)
    for stage in STAGES:
        expected = facts_of(made["sam"], stage)
        for deployer in ("zip", "serverless"):
            assert facts_of(made[deployer], stage) == expected, (deployer, stage)
    parameters = {deployer: set(each["Parameters"]) for deployer, each in made.items()}
    assert len(set(map(frozenset, parameters.values()))) == 1
    outputs = {deployer: set(each["Outputs"]) - {"ServerlessDeploymentBucketName"} for deployer, each in made.items()}
    assert outputs["zip"] == outputs["sam"] <= outputs["serverless"]


def test_function(source: str, bake: Bake) -> None:
    """The worker is the code and the layer of the API with another handler, role, log and size."""
    made = translate(bake(events=source) / "template.yaml", "us-east-1")
    functions = {name: each["Properties"] for name, each in named(made["Resources"], "Lambda::Function").items()}
    api, worker = functions["ApiFunction"], functions["WorkerFunction"]
    assert {name for name in api if api[name] != worker.get(name)} == {
        *("Handler", "MemorySize", "Timeout", "Role", "LoggingConfig", "Environment", "ReservedConcurrentExecutions"),
    }
    assert worker["Handler"] == "worker.handler"
    facts = {stage: facts_of(made, stage) for stage in STAGES}
    function = facts["all"]["WorkerFunction"]
    assert (function["memory"], function["tracing"], function["log format"]) == (
        512,
        "Active",
        ("JSON", "DEBUG", "INFO"),
    )
    mapping = facts["all"]["WorkMapping"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 50}
    for stage, name, policy in (("dev", "WorkerLogGroup", "Delete"), ("prod", "KeptWorkerLogGroup", "Retain")):
        assert facts[stage][name].get("DeletionPolicy") == policy


def test_queues(source: str, bake: Bake) -> None:
    """Both are encrypted; a message is invisible for six times the timeout, and in the dead-letter queue the longest.

    No other queue may use the dead-letter queue.
    """
    facts = facts_of(translate(bake(events=source) / "template.yaml", "us-east-1"), "dev")
    work, dead = facts["WorkQueue"]["Properties"], facts["DeadLetterQueue"]["Properties"]
    assert work["VisibilityTimeout"] == 6 * facts["WorkerFunction"]["timeout"]
    assert work["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True
    assert work["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert work["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert work["MessageRetentionPeriod"] < dead["MessageRetentionPeriod"] == 14 * 24 * 3600
    (arn,) = dead["RedriveAllowPolicy"]["sourceQueueArns"]
    assert arn["Fn::Sub"].endswith(f":{work['QueueName']['Fn::Sub']}")
    code = (bake(events=source) / "app" / "batch.py").read_text(encoding="utf-8")
    assert "expires_after_seconds=14 * 24 * 3600" in code
    table = facts["IdempotencyTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


LOG = "${WorkerLogGroup.Arn}"
OF_WORKER = [
    (["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], "${IdempotencyTable.Arn}"),
    (["logs:CreateLogStream", "logs:PutLogEvents"], LOG),
    (["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], "${WorkQueue.Arn}"),
    (["sqs:SendMessage"], "${DeadLetterQueue.Arn}"),
    (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
]
OF_API = [
    (["logs:CreateLogStream", "logs:PutLogEvents"], "${ApiLogGroup.Arn}"),
    (["sqs:SendMessage"], "${WorkQueue.Arn}"),
    (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
]


def test_permissions(source: str, bake: Bake) -> None:
    """Each role may do what is listed here, and services of AWS only what this stack has asked them for."""
    resources = resolve(translate(bake(events=source) / "template.yaml", "us-east-1"), {})["Resources"]
    allowed = {
        name: sorted(
            (sorted([each["Action"]] if isinstance(each["Action"], str) else each["Action"]), plain(each["Resource"]))
            for policy in role["Properties"]["Policies"]
            for each in policy["PolicyDocument"]["Statement"]
        )
        for name, role in named(resources, "IAM::Role").items()
    }
    of_schedule = {"ScheduleRole": [(["sqs:SendMessage"], "${WorkQueue.Arn}")]} if source == "schedule" else {}
    assert allowed == {"ApiRole": OF_API, "WorkerRole": OF_WORKER} | of_schedule
    assert not [role for role in of_type(resources, "IAM::Role") if "ManagedPolicyArns" in role]
    for role in of_schedule:
        (trust,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert "aws:SourceArn" in trust["Condition"]["ArnLike"]
    senders = {}
    for kind in ("SQS::QueuePolicy", "S3::BucketPolicy", "SNS::TopicPolicy"):
        for policy in of_type(resources, kind):
            deny, *allow = policy["PolicyDocument"]["Statement"]
            assert (deny["Effect"], deny["Principal"]) == ("Deny", "*")
            assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in allow:
                assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
                senders[statement["Principal"]["Service"]] = plain(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
    assert senders == {
        "s3": {"events.amazonaws.com": "${UploadRule.Arn}"},
        "sns": {"sns.amazonaws.com": "${Topic}"},
    }.get(source, {})
    policies = named(resources, "SQS::QueuePolicy", "S3::BucketPolicy", "SNS::TopicPolicy")
    own = {"s3": ["BucketPolicy"], "sns": ["TopicPolicy"]}.get(source, [])
    assert sorted(policies) == sorted(["DeadLetterQueuePolicy", "WorkQueuePolicy", *own])


def test_source(source: str, bake: Bake) -> None:
    """The queue gets what the source has, as it is, and a schedule is off but in prod."""
    made = translate(bake(events=source) / "template.yaml", "us-east-1")
    facts = {stage: facts_of(made, stage) for stage in STAGES}
    if source == "s3":
        pattern = facts["all"]["UploadRule"]["Properties"]["EventPattern"]
        assert pattern["detail"]["object"]["key"] == [{"wildcard": {"Fn::Sub": "${UploadPrefix}*${UploadSuffix}"}}]
        assert pattern["detail"]["bucket"] == {"name": [{"Ref": "Bucket"}]}
        bucket = facts["dev"]["Bucket"]
        assert bucket["DeletionPolicy"] == "Retain"
        assert (
            bucket["Properties"]["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
        )
        # Both would be read as something else in the pattern.
        for name in ("UploadPrefix", "UploadSuffix"):
            allowed = re.compile(made["Parameters"][name]["AllowedPattern"])
            assert all(map(allowed.fullmatch, ("", "in/", "a b.csv")))
            assert not any(map(allowed.fullmatch, ("in/*", "a\\b")))
    elif source == "sns":
        assert facts["dev"]["TopicSubscription"]["Properties"]["RawMessageDelivery"] is True
        assert facts["dev"]["Topic"]["Properties"]["KmsMasterKeyId"] == "alias/aws/sns"
    elif source == "schedule":
        states = {stage: facts[stage]["Schedule"]["Properties"]["State"] for stage in STAGES}
        assert states == {"dev": "DISABLED", "prod": "ENABLED", "all": "DISABLED"}
        schedule = facts["all"]["Schedule"]["Properties"]
        assert schedule["ScheduleExpression"] == "rate(1 hour)"
        assert schedule["ScheduleExpressionTimezone"] == "Europe/Amsterdam"
        assert json.loads(schedule["Target"]["Input"])["time"] == "<aws.scheduler.scheduled-time>"


def test_alarms_and_dashboard(source: str, bake: Bake) -> None:
    """Work that waits for long or has failed is an alarm, to the topic of the others; the dashboard shows both."""
    made = translate(bake(events=source) / "template.yaml", "us-east-1")
    facts = facts_of(made, "dev")
    for name, queue, metric in (
        ("WorkAgeAlarm", "WorkQueue", "ApproximateAgeOfOldestMessage"),
        ("DeadLetterAlarm", "DeadLetterQueue", "ApproximateNumberOfMessagesVisible"),
    ):
        alarm = facts[name]["Properties"]
        (read,) = alarm["Metrics"]
        assert read["MetricStat"]["Metric"] == {
            "Namespace": "AWS/SQS",
            "MetricName": metric,
            "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
        }
        assert alarm["AlarmActions"] == facts["ErrorAlarm"]["Properties"]["AlarmActions"]
        assert alarm["TreatMissingData"] == "notBreaching"
    text, values = facts["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert {"${WorkAgeAlarm.Arn}", "${DeadLetterAlarm.Arn}"} <= set(re.findall(r"\$\{\w+\.Arn\}", text))
    shown = {widget["properties"]["title"]: widget["properties"] for widget in json.loads(text)["widgets"]}
    # SQS tells this number each minute, so the sum of five minutes would be five times as many messages.
    assert shown["Messages"]["metrics"][2][1] == "ApproximateNumberOfMessagesVisible"
    assert shown["Messages"]["metrics"][2][-1]["stat"] == "Maximum"
    assert {"Messages", "Age of the oldest message in s", "Worker", "Last errors of the worker"} <= shown.keys()
    assert values["WorkerLog"] == {"Ref": "WorkerLogGroup"}


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("VisibilityTimeout: 360", "VisibilityTimeout: 30", "E3505"),
        ("Timeout: 60", "Timeout: 600", "E3505"),
        ("sqs:ReceiveMessage", "sqs:ReceiveMessages", "W3037"),
        ("EventSourceArn: !GetAtt WorkQueue.Arn", "EventSourceArn: !GetAtt Queue.Arn", "E1010"),
    ],
)
def test_planted_fault_is_found(right: str, wrong: str, finding: str, bake: Bake, tmp_path: Path) -> None:
    """cfn-lint finds on the translation a visibility timeout that is too short, and other faults of a worker."""
    text = (bake(events="sqs") / "template.yaml").read_text(encoding="utf-8")
    assert right in text
    spoilt = tmp_path / "template.yaml"
    spoilt.write_text(text.replace(right, wrong), encoding="utf-8")
    found = cfn_lint(translate(spoilt, "us-east-1"), "us-east-1")
    assert finding in {line.split()[0] for line in found}


def test_docs_say_what_is_made(source: str, bake: Bake) -> None:
    """docs/operate.md lists the parameters and alarms of the worker, docs/worker.md its outputs and its times."""
    project = bake(events=source)
    operate, page = ((project / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("operate", "worker"))
    made = read_yaml((project / "template.yaml").read_text(encoding="utf-8"))
    without = read_yaml((bake() / "template.yaml").read_text(encoding="utf-8"))
    for name in set(made["Outputs"]) - set(without["Outputs"]):
        assert f"`{name}`" in page, name
    listed = dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \| ", operate, re.MULTILINE))
    for name in set(made["Parameters"]) - set(without["Parameters"]):
        assert listed[name] == (str(made["Parameters"][name]["Default"]) or "none")
    alarms = named(made["Resources"], "CloudWatch::Alarm")
    assert {name for name in listed if name.endswith("Alarm")} == set(alarms)
    metrics = sum("MetricStat" in each for alarm in alarms.values() for each in alarm["Properties"]["Metrics"])
    assert f"alarms: {metrics} metrics at $0.10" in operate
    assert f"{made['Resources']['WorkerFunction']['Properties']['Timeout']} seconds" in page
