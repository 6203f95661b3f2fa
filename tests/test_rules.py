"""The pre-gen hook's rules, as the functions they are."""

import json
from datetime import date
from importlib import resources

import pytest

from hooks import pre_gen_project
from tests.conftest import CONTEXT, VARIANTS

GOOD = {
    "project_name": "Orders API",
    "project_slug": "orders-api",
    "description": "A FastAPI service on AWS Lambda",
    "aws_region": "us-east-1",
    "runtime": "python3.13",
    "architecture": "arm64",
    "deployer": "sam",
    "api": "http_api",
    "build_layer": True,
}

WORDS = "must be lower-case words joined by hyphens, the first one starting with a letter"
TAKEN = "must not be a name that Python or this project already uses"
ONE_LINE = "must be one line without control characters, not with"
REGION = "must be the code of a region"
RUNTIMES = "must be one of python3.13, python3.14, python3.12, python3.11"

DEVICES = ("con", "nul", "com1", "lpt9")

REFUSED = [
    *(("project_slug", slug, WORDS, "'orders-api'") for slug in ("orders_api", "Orders-api", "1st-api", "", "../x")),
    *(("project_slug", slug, WORDS, "'orders-api'") for slug in ("x--y", "x-", "orders\n", "ünï", "a.b", "c:d", "~")),
    *(("project_slug", slug, TAKEN, "'orders-api'") for slug in ("class", "logging", "fastapi", "mangum", "pydantic")),
    *(("project_slug", slug, TAKEN, "'orders-api'") for slug in ("python", "tests", "package", "app")),
    ("project_slug", "a" * 41, "must have 2 to 40 characters, not 41", "'orders-api'"),
    ("project_slug", "x", "must have 2 to 40 characters, not 1", "'orders-api'"),
    *(("aws_region", name, f"{REGION}, in lower case", "'us-east-1'") for name in ("", "US-EAST-1", "us-east-1a", "x")),
    ("aws_region", "us-est-1", REGION, "'us-east-1' or 'us-west-1'"),
    ("aws_region", "eu-wst-1", REGION, "'eu-west-1' or 'us-west-1'"),
    ("aws_region", "ap-suotheast-2", REGION, "'ap-southeast-2' or 'ap-southeast-7'"),
    ("runtime", "python3.9", RUNTIMES, "'python3.13'"),
    ("architecture", "arm", "must be one of arm64, x86_64", "'arm64'"),
    *(("project_slug", slug, "must not be a name that Windows keeps for a device", "'orders-api'") for slug in DEVICES),
    ("deployer", "SAM", "must be one of sam, serverless, zip", "'sam'"),
    ("aws_region", "us-isobar-northwest-1", f"{REGION}, at most 19 characters long", "'us-east-1'"),
    ("api", "HTTP", "must be one of http_api, rest_api, function_url", "'http_api'"),
    ("project_name", " ", "must not be empty", "'Orders API'"),
    ("project_name", "x ", "must not begin or end with a space", "'Orders API'"),
    ("project_name", "x" * 81, "must be at most 80 characters long, not 81", "'Orders API'"),
    ("project_name", "x\ny", f"{ONE_LINE} U+000A", "'Orders API'"),
    ("description", "x\u2028y", f"{ONE_LINE} U+2028", "'Sells pots and pans'"),
    ("description", "x\u202ey", f"{ONE_LINE} U+202E", "'Sells pots and pans'"),
    ("description", "x\ud800y", f"{ONE_LINE} U+D800", "'Sells pots and pans'"),
    ("description", "x\ufeffy", f"{ONE_LINE} U+FEFF", "'Sells pots and pans'"),
]


@pytest.mark.parametrize(("prompt", "value", "rule", "example"), REFUSED)
def test_refusal(prompt: str, value: str, rule: str, example: str) -> None:
    """Each refusal is one ASCII sentence that names the prompt, the value, the rule and a good example."""
    (sentence,) = pre_gen_project.problems(GOOD | {prompt: value})
    assert sentence == f"{prompt}: {ascii(value)} {rule}; for example {example}."
    assert sentence.isascii()


def test_long_value_is_shortened() -> None:
    """The sentence stays a sentence."""
    (sentence,) = pre_gen_project.problems(GOOD | {"description": "x" * 5000})
    assert sentence.startswith(f"description: '{'x' * 95}...' must be at most 200 characters long, not 5000;")


def test_all_problems_at_once() -> None:
    """Whoever got three answers wrong learns of all three."""
    answers = GOOD | {"project_slug": "X", "aws_region": "x", "runtime": "x"}
    prompts = [sentence.partition(":")[0] for sentence in pre_gen_project.problems(answers)]
    assert prompts == ["project_slug", "aws_region", "runtime"]


def test_good_answers_pass() -> None:
    """The default answers and those of the variants have nothing wrong with them."""
    for answers in ({}, *VARIANTS.values()):
        assert pre_gen_project.problems(GOOD | answers) == []


def test_rules_know_the_choices() -> None:
    """The hook accepts exactly what the questions offer."""
    assert list(pre_gen_project.RUNTIMES) == CONTEXT["runtime"]
    assert list(pre_gen_project.ARCHITECTURES) == CONTEXT["architecture"]
    assert list(pre_gen_project.DEPLOYERS) == CONTEXT["deployer"]
    assert list(pre_gen_project.APIS) == CONTEXT["api"]
    assert list(GOOD) == [name for name in CONTEXT if not name.startswith("_")]


def test_clashes() -> None:
    """Answers that do not go together are refused by both names, with what to choose instead."""
    for region in pre_gen_project.WITHOUT_FUNCTION_URL:
        assert pre_gen_project.problems(GOOD | {"api": "function_url", "aws_region": region}) == [
            f"api=function_url and aws_region={region}: that region has no Function URLs; "
            "choose http_api or rest_api, or another region."
        ]
        assert pre_gen_project.problems(GOOD | {"api": "http_api", "aws_region": region}) == []
    for region in (*pre_gen_project.UNKNOWN_TO_OSLS, "eu-west-9"):
        assert pre_gen_project.problems(GOOD | {"deployer": "serverless", "aws_region": region}) == [
            f"deployer=serverless and aws_region={region}: osls deploys to no region that it does not know; "
            "choose sam or zip, or another region."
        ]
        assert pre_gen_project.problems(GOOD | {"deployer": "zip", "aws_region": region}) == []
    assert len(pre_gen_project.CLASHES) == 2, "a new clash needs its text here"


def test_regions_are_those_of_the_tools() -> None:
    """cfn-lint and botocore know the same regions; when they move on, so has this list to."""
    from botocore.session import Session
    from cfnlint.helpers import REGIONS
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    session = Session()
    partitions = session.get_available_partitions()
    lambdas = {region for partition in partitions for region in session.get_available_regions("lambda", partition)}
    assert set(pre_gen_project.REGIONS) == lambdas == set(REGIONS)

    def has_function_url(region: str) -> bool:
        try:
            return bool(PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, "AWS::Lambda::Url"))
        except ResourceNotFoundError:
            return False

    assert sorted(r for r in lambdas if not has_function_url(r)) == pre_gen_project.WITHOUT_FUNCTION_URL


def test_support_ends_when_the_questions_say() -> None:
    """The dates in the labels are those that cfn-lint knows."""
    data = resources.files("cfnlint") / "data" / "AdditionalSpecs" / "LmbdRuntimeLifecycle.json"
    lifecycle = json.loads(data.read_text(encoding="utf-8"))
    labels = CONTEXT["__prompts__"]["runtime"]
    for runtime in pre_gen_project.RUNTIMES:
        end = date.fromisoformat(lifecycle[runtime]["deprecated"])
        assert f"supported by AWS until {end:%B %Y}" in labels[runtime]


def test_region_of_the_future() -> None:
    """A region that AWS may open next year goes through, with a warning."""
    for region in ("eu-west-9", "sa-west-1", "mars-north-1"):
        answers = GOOD | {"aws_region": region}
        assert pre_gen_project.problems(answers) == []
        assert pre_gen_project.warnings(answers) == [
            f"aws_region: '{region}' is not a region this template knows, so it goes on unchecked."
        ]
    assert pre_gen_project.warnings(GOOD) == []


def test_every_known_region_passes() -> None:
    """No rule about spelling refuses a region that exists."""
    for region in pre_gen_project.REGIONS:
        answers = GOOD | {"aws_region": region}
        assert pre_gen_project.problems(answers) + pre_gen_project.warnings(answers) == []
