"""`make check` of a rendered project: it finds nothing in one as it is, and each kind of error in one that has it."""

import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.check import check, prepare
from tests.conftest import CONTEXT, Bake
from tests.machine import BIN, UV, clean_environment, interpreter, links
from tests.osv import osv

# Each deployer and each front end once; `make test-all` has the other pairs.
FEW = list(zip(CONTEXT["deployer"], CONTEXT["api"], strict=True))
# SAM's is in test_tools_are_installed_by_the_first_run.
CLEAN = [pair for pair in FEW if pair != ("sam", "http_api")]
REST = [pair for pair in product(CONTEXT["deployer"], CONTEXT["api"]) if pair not in FEW]


@pytest.mark.deployment
@pytest.mark.parametrize(("deployer", "api"), [*CLEAN, *(pytest.param(*pair, marks=pytest.mark.long) for pair in REST)])
def test_nothing_is_found(deployer: str, api: str, bake: Bake, tmp_path: Path) -> None:
    """Offline and without credentials, in each stage, of each front end and deployer."""
    project = prepare(bake(deployer=deployer, api=api), tmp_path / "project")
    code, lines = check(project)
    skipped = ["`sam validate` was skipped: the AWS SAM CLI is not installed."] if deployer == "sam" else []
    assert (code, lines) == (0, [*skipped, "make check: nothing found"])


# What of the infrastructure is replaced, by what mistake, and how the line of `make check` begins: resource and rule.
MISTAKES = {
    "a log group without retention": (r" RetentionInDays: !Ref LogRetentionInDays,\n", "\n", "ApiLogGroup: log_groups"),
    "a partition that is written out": (r"\$\{AWS::Partition\}:logs:", "aws-cn:logs:", "{role}: partition"),
    "a wildcard action": (r"\[logs:CreateLogStream, logs:PutLogEvents\]", "logs:*", "{role}: statements: logs:* "),
    "an action on everything": (r"\[xray:", "[sqs:SendMessage, xray:", "{role}: statements: sqs:SendMessage "),
    "an alarm without a period": (r" Period: 60,", "", "ConcurrencyAlarm: E3003"),
    "another one": (
        r"^( +)Metrics:\n +- \{Id: throttles.*\n.*",
        r"\1Namespace: AWS/Lambda\n\1MetricName: Throttles\n\1Statistic: Sum",
        "ThrottleAlarm: alarms",
    ),
    "a timeout over the gateway's": (r"MaxValue: 2[89],", "MaxValue: 60,", "Timeout: timeouts"),
    "a circular reference": (r"^( +)PUBLIC_URL: .*", r"\g<0>\n\1BASE_URL: {url}", "{function}: E3004"),
}
# Under osls only that of a Function URL is circular: it writes the routes of an API as resources of their own.
URLS = {"http_api": "!Sub https://${HttpApi}.example.com", "rest_api": "!Sub https://${RestApi}.example.com"}


@pytest.mark.deployment
@pytest.mark.parametrize(
    ("deployer", "api"), [*FEW, pytest.param("serverless", "function_url", marks=pytest.mark.long)]
)
def test_mistakes_are_found(deployer: str, api: str, bake: Bake, tmp_path: Path) -> None:
    """Each of a project that has several, with what to do; and nothing else."""
    project = prepare(bake(deployer=deployer, api=api), tmp_path / "project")
    file = "serverless.yml" if deployer == "serverless" else "template.yaml"
    function, role = (
        ("ApiLambdaFunction", "IamRoleLambdaExecution") if file == "serverless.yml" else ("ApiFunction", "ApiRole")
    )
    names = {"role": role, "function": function, "url": URLS.get(api, f"!GetAtt {function}Url.FunctionUrl")}
    text, expected = (project / file).read_text(encoding="utf-8"), set()
    for mistake, (right, wrong, finding) in MISTAKES.items():
        if mistake == "a circular reference" and (deployer, api) == ("serverless", "rest_api"):
            continue
        if mistake == "a timeout over the gateway's" and api == "function_url":
            continue
        text, count = re.subn(right, wrong.replace("{url}", names["url"]), text, flags=re.MULTILINE)
        assert count, mistake
        expected.add(f"{file}: {finding.format(**names)}")
    (project / file).write_text(text, encoding="utf-8")
    code, lines = check(project)
    also = {f"{file}: {name}: E3004" for name in ("HttpApi", "RestApi", f"{function}Url")}
    also |= {f"{file}: AccessLogGroup: log_groups"}
    for beginning in expected:
        assert [line for line in lines if line.startswith(beginning)], "\n".join([beginning, *lines])
    others = [line for line in lines[:-1] if not line.startswith((*expected, *also, "`sam validate` was skipped"))]
    assert others == []
    assert (code, lines[-1]) == (1, f"make check: {sum(line.startswith(file) for line in lines)} found")


def test_mistakes_of_one_stage(bake: Bake, tmp_path: Path) -> None:
    """The parameters of each stage count, not the defaults alone; and the AWS SAM CLI is asked too, if it is there."""
    project = prepare(bake(), tmp_path / "project")
    for file, right, wrong in (
        ("samconfig.toml", '"Docs=off"', '"Docs=of", "Dogs=on", "Timeout=60"'),
        ("template.yaml", "      MemorySize: !Ref MemorySize", "      MemorySize: 64"),
        ("docs/deploy-policy.yaml", "iam:PassRole", "iam:Pass*"),
    ):
        text = (project / file).read_text(encoding="utf-8")
        assert right in text
        (project / file).write_text(text.replace(right, wrong), encoding="utf-8")
    code, lines = check(project, with_sam=True)
    assert (
        code,
        [re.sub(r"(E\d+|timeouts|statements|sam validate): .*?( \(stage prod\))?$", r"\1\2", line) for line in lines],
    ) == (
        1,
        [
            "template.yaml: MemorySize: W2001: Parameter MemorySize not used.",
            "template.yaml: ApiFunction: E3034",
            "template.yaml: Dogs: parameter: the stage sets it, but template.yaml has no such parameter (stage prod)",
            "template.yaml: Docs: E2015 (stage prod)",
            "template.yaml: Timeout: E2015 (stage prod)",
            "template.yaml: ApiFunction: timeouts (stage prod)",
            "docs/deploy-policy.yaml: DeployPolicy: statements",
            "template.yaml: sam validate",
            "make check: 8 found",
        ],
    )


# What is changed of a queue with a timeout of 360 s for a function with one of 60 s: the mistake, and what is found.
QUEUES = {
    "a shorter one": ("VisibilityTimeout: 360", "VisibilityTimeout: 359", ["queues"]),
    "a longer function": ("Timeout: 60", "Timeout: 61", ["queues"]),
    "none": ("VisibilityTimeout: 360", "DelaySeconds: 0", ["E3505", "queues"]),
    "one shorter than the function's": ("VisibilityTimeout: 360", "VisibilityTimeout: 30", ["E3505", "queues"]),
    "both longer": ("VisibilityTimeout: 360", "VisibilityTimeout: 720", []),
}


@pytest.mark.parametrize(
    ("deployer", "mistake"),
    [
        ("sam", "a shorter one"),
        ("serverless", "a longer function"),
        *(pytest.param(*pair, marks=pytest.mark.long) for pair in product(CONTEXT["deployer"], QUEUES)),
    ],
)
def test_visibility_timeout(deployer: str, mistake: str, bake: Bake, tmp_path: Path) -> None:
    """A message is invisible for six times the timeout of the function that gets it, or `make check` says so."""
    project = prepare(bake(deployer=deployer, events="sqs"), tmp_path / "project")
    path = project / ("serverless.yml" if deployer == "serverless" else "template.yaml")
    text = path.read_text(encoding="utf-8")
    right, wrong, rules = QUEUES[mistake]
    assert text.count(f" {right}\n") == 1
    text = text.replace(f" {right}\n", f" {wrong}\n")
    if mistake == "both longer":
        text = text.replace(" Timeout: 60\n", " Timeout: 120\n")
    path.write_text(text, encoding="utf-8")
    code, lines = check(project)
    found = [line.split(": ")[2] for line in lines if line.startswith(path.name)]
    assert (code, found) == (int(bool(rules)), rules), lines
    if "queues" in found:
        worker = "WorkerLambdaFunction" if deployer == "serverless" else "WorkerFunction"
        needed = 366 if mistake == "a longer function" else 360
        assert f"; set it to at least {needed}: six times the timeout of {worker}, as AWS recommends" in lines[-2]


def test_without_osls_it_is_said(bake: Bake, tmp_path: Path) -> None:
    """And nothing is taken for checked."""
    project = prepare(bake(deployer="serverless"), tmp_path / "project")
    (project / "node_modules").unlink()
    assert check(project) == (1, ["check.py: osls is not installed: run `npm ci`."])


def test_what_osls_says_is_shown(bake: Bake, tmp_path: Path) -> None:
    """A serverless.yml that osls refuses has no template to be checked."""
    project = prepare(bake(deployer="serverless"), tmp_path / "project")
    path = project / "serverless.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("handler:", "hanlder:"), encoding="utf-8")
    code, (line,) = check(project)
    assert code == 1
    assert line.startswith("check.py: `osls package --stage dev` failed:")
    assert "unrecognized property 'hanlder'" in line


def test_tools_are_installed_by_the_first_run(bake: Bake, tmp_path: Path) -> None:
    """`make check` needs no `make install`; later runs need no network; of a project with SAM too nothing is found."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    commands = links(tmp_path / "bin", uv=UV, python3=BIN / "python", python3_13=interpreter("python3.13"))
    variables = clean_environment(tmp_path, commands, UV_PYTHON_DOWNLOADS="never")
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "UV_OFFLINE": "1"}
    for more, first in (({}, ["Making .venv-check with Python 3.13 ..."]), (nowhere, [])):
        result = subprocess.run(
            ["make", "--silent", "check"], cwd=project, env=variables | more, capture_output=True, encoding="utf-8"
        )
        assert result.returncode == 0, result.stderr
        skipped = "`sam validate` was skipped: the AWS SAM CLI is not installed."
        assert result.stdout.splitlines() == [*first, skipped, "make check: nothing found"]
    assert not (project / ".venv").exists()


def test_audit(bake: Bake, tmp_path: Path) -> None:
    """`make audit` asks for what each lock pins, and fails for a known vulnerability, which it names."""
    project = prepare(bake(), tmp_path / "project")
    commands = links(tmp_path / "bin", uv=UV, python3=interpreter("python3.13"))
    locks = ("app/requirements.txt", "requirements-dev.txt", "requirements-check.txt")
    with osv() as database:
        variables = clean_environment(tmp_path, commands, UV_OFFLINE="1", **database.environment)

        def audit() -> tuple[int, str]:
            command = ["make", "--silent", "audit"]
            result = subprocess.run(command, cwd=project, env=variables, capture_output=True, encoding="utf-8")
            return result.returncode, result.stdout

        assert audit() == (0, "".join(f"{lock}:\n" for lock in locks))
        assert {"mangum", "pytest", "cfn-lint"} <= set(database.asked)
        database.vulnerable = {"pytest"}
        code, said = audit()
        assert code != 0
        assert re.search(r"^pytest +\S+ +TEST-1", said, re.MULTILINE)
