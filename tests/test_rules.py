"""The rules for answers, as the functions they are."""

import json
import re
from datetime import date
from importlib import resources
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiecutter_fastapi_lambda import rules
from cookiecutter_fastapi_lambda.rules import SWITCHES
from tests.conftest import CONTEXT, QUESTIONS, ROOT, VARIANTS

GOOD = {
    "project_name": "Orders API",
    "project_slug": "orders-api",
    "description": "A FastAPI service on AWS Lambda",
    "aws_region": "us-east-1",
    "runtime": "python3.13",
    "architecture": "arm64",
    "deployer": "sam",
    "api": "http_api",
    "storage": "none",
    "events": "none",
    "secret": False,
    "ci": "github",
    "build_layer": True,
    "git_init": False,
}

WORDS = "must be lower-case words joined by hyphens, the first one starting with a letter"
TAKEN = "must not be a name that Python or this project already uses"
ONE_LINE = "must be one line without control characters, not with"
REGION = "must be the code of a region"
RUNTIMES = "must be one of python3.13, python3.14, python3.12, python3.11"

DEVICE = "must not be a name that Windows reserves for a device"

REFUSED = [
    ("project_slug", "orders_api", WORDS, "'orders-api'"),
    ("project_slug", "Orders-api", WORDS, "'orders-api'"),
    ("project_slug", "1st-api", WORDS, "'api-1st-api'"),
    ("project_slug", "", WORDS, "'my-api'"),
    ("project_slug", "../x", WORDS, "'x-api'"),
    ("project_slug", "x--y", WORDS, "'x-y'"),
    ("project_slug", "x1-", WORDS, "'x1'"),
    ("project_slug", "orders\n", WORDS, "'orders'"),
    ("project_slug", "ünï", WORDS, "'uni'"),
    ("project_slug", "a.b", WORDS, "'a-b'"),
    ("project_slug", "~", WORDS, "'my-api'"),
    *(("project_slug", slug, TAKEN, f"'{slug}-api'") for slug in ("class", "logging", "fastapi", "mangum", "pydantic")),
    *(("project_slug", slug, TAKEN, f"'{slug}-api'") for slug in ("python", "tests", "package", "app")),
    *(("project_slug", slug, DEVICE, f"'{slug}-api'") for slug in ("con", "nul", "com1", "lpt9")),
    ("project_slug", "a" * 41, "must have 2 to 40 characters, not 41", f"'{'a' * 40}'"),
    ("project_slug", "x", "must have 2 to 40 characters, not 1", "'x-api'"),
    ("aws_region", "", f"{REGION}, in lower case", "'us-east-1'"),
    ("aws_region", "x", f"{REGION}, in lower case", "'us-east-1'"),
    ("aws_region", "EU-West-3", f"{REGION}, in lower case", "'eu-west-3'"),
    ("aws_region", "eu_west_3", f"{REGION}, in lower case", "'eu-west-3'"),
    ("aws_region", "eu-west-3b", f"{REGION}, in lower case", "'eu-west-3'"),
    ("aws_region", "us-isobar-northwest-1", f"{REGION}, at most 19 characters long", "'us-isob-west-1'"),
    ("aws_region", "us-est-1", REGION, "'us-east-1' or 'us-west-1'"),
    ("aws_region", "eu-wst-1", REGION, "'eu-west-1' or 'us-west-1'"),
    ("aws_region", "ap-suotheast-2", REGION, "'ap-southeast-2' or 'ap-southeast-7'"),
    ("aws_region", "ue-west-3", REGION, "'eu-west-3'"),
    ("runtime", "python3.9", RUNTIMES, "'python3.13'"),
    ("runtime", "Python3.12", RUNTIMES, "'python3.12'"),
    ("deployer", "ZIP", "must be one of sam, serverless, zip", "'zip'"),
    ("architecture", "arm", "must be one of arm64, x86_64", "'arm64'"),
    ("deployer", "SAM", "must be one of sam, serverless, zip", "'sam'"),
    ("api", "HTTP", "must be one of http_api, rest_api, function_url", "'http_api'"),
    ("project_name", " ", "must not be empty", "'Orders API'"),
    ("project_name", "x ", "must not begin or end with a space", "'x'"),
    ("project_name", "x" * 81, "must be at most 80 characters long, not 81", f"'{'x' * 60}'"),
    ("project_name", "word " * 16 + "x", "must be at most 80 characters long, not 81", f"'{'word ' * 11}word'"),
    ("project_name", "orders " * 12 + "x", "must be at most 80 characters long, not 85", f"'{'orders ' * 7}orders'"),
    ("project_name", "x\ny", f"{ONE_LINE} U+000A", "'x y'"),
    *(("description", f"x{line}y", f"{ONE_LINE} U+{ord(line):04X}", "'x y'") for line in "\x85\u2028\u2029"),
    ("description", "\u202e\ufeff", f"{ONE_LINE} U+202E", "'Sells pots and pans'"),
    ("description", "x\ud800y", f"{ONE_LINE} U+D800", "'x y'"),
    *((question, value, "must be true or false", "'true'") for question in SWITCHES for value in ("yes", 1, None)),
]


@pytest.mark.parametrize(("prompt", "value", "rule", "example"), REFUSED)
def test_refusal(prompt: str, value: object, rule: str, example: str) -> None:
    """Each refusal is one ASCII sentence that names the prompt, the value, the rule and a good example."""
    (problem,) = rules.problems(GOOD | {prompt: value})
    assert problem.sentence == f"{prompt}: {ascii(value)} {rule}; for example {example}."
    assert problem.sentence.isascii()
    assert problem.questions == (prompt,)
    assert example.startswith(ascii(problem.example))


NAMES = {
    "Orders API": "orders-api",
    "Calendar": "calendar-api",
    "Email": "email-api",
    "Profile": "profile-api",
    "Events": "events-api",
    "3D Viewer": "api-3d-viewer",
    "2048": "api-2048",
    "A": "a-api",
    "\U0001f600": "my-api",
    "Ünïcode Ñame 日本": "unicode-name-ri-ben",
    "The longest name that anybody could think of for a service": "the-longest-name-that-anybody-could",
    "W" * 58: "w" * 40,
}


@pytest.mark.parametrize("name", NAMES)
def test_offered_slug(name: str) -> None:
    """Enter at the second question is an answer that can be used, and one that is made of the name."""
    assert rules.usable_slug(name) == NAMES[name]


@given(st.text() | st.sampled_from(sorted(rules.DEPENDENCIES | rules.OUR_FOLDERS | rules.DEVICES)))
def test_every_offered_slug_can_be_used(name: str) -> None:
    """Whatever the name is."""
    assert rules.slug_problem(rules.usable_slug(name)) is None


def test_no_slug_is_the_name_of_a_dependency() -> None:
    """What pyproject.toml of a project names, whatever the answers are."""
    text = (ROOT / "{{cookiecutter.project_slug}}" / "pyproject.toml").read_text(encoding="utf-8")
    names = re.findall(r'^    "([\w-]+)[>=]', text, re.MULTILINE)
    assert {"aws-lambda-powertools", "boto3", "fastapi", "moto"} < set(names)
    assert {name: rules.slug_rule(name) for name in names} == dict.fromkeys(names, TAKEN)


def test_long_value_is_shortened() -> None:
    """The sentence stays a sentence."""
    (problem,) = rules.problems(GOOD | {"description": "x" * 5000})
    assert problem.sentence.startswith(f"description: '{'x' * 95}...' must be at most 200 characters long, not 5000;")


def test_all_problems_at_once() -> None:
    """Whoever got three answers wrong learns of all three."""
    answers = GOOD | {"project_slug": "X", "aws_region": "x", "runtime": "x"}
    questions = [problem.questions for problem in rules.problems(answers)]
    assert questions == [("project_slug",), ("aws_region",), ("runtime",)]


def test_what_is_not_answered_is_not_judged() -> None:
    """While questions are asked, each is judged as soon as it is answered, and two together as soon as both are."""
    assert rules.problems({}) == []
    assert len(rules.problems({"project_slug": "X"})) == 1
    assert len(rules.problems({"aws_region": "eusc-de-east-1", "deployer": "serverless"})) == 1
    assert not rules.complete({"project_slug": "x1"})


def test_good_answers_pass() -> None:
    """The default answers and those of the variants have nothing wrong with them."""
    for answers in ({}, *VARIANTS.values()):
        assert rules.problems(GOOD | answers) == []


def test_questions_offer_the_choices() -> None:
    """With the number that stands for each, the default first."""
    context = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    for question, choices in rules.CHOICES.items():
        assert context[question] == choices[0]
        offered = re.findall(r"^    (\d) - ([^:]+): .+$", context["__prompts__"][question], re.MULTILINE)
        assert offered == [(str(number), choice) for number, choice in enumerate(choices, start=1)]
    assert list(GOOD) == [*rules.QUESTIONS] == QUESTIONS


def sentences(**answers: object) -> list[str]:
    """Return what is said about answers that are good but for these."""
    return [problem.sentence for problem in rules.problems(GOOD | answers)]


def test_conflicts() -> None:
    """Answers that do not go together are refused by both names, with what to choose instead."""
    for region in rules.WITHOUT_FUNCTION_URL:
        assert sentences(api="function_url", aws_region=region) == [
            f"api=function_url and aws_region={region}: that region has no Function URLs; "
            "choose http_api or rest_api, or another region."
        ]
        assert sentences(api="http_api", aws_region=region) == []
    for region in (*rules.UNKNOWN_TO_OSLS, "eu-west-9"):
        assert sentences(deployer="serverless", aws_region=region) == [
            f"deployer=serverless and aws_region={region}: osls does not know that region; "
            "choose sam or zip, or another region."
        ]
        assert sentences(deployer="zip", aws_region=region) == []
    (conflict,) = rules.problems(GOOD | {"deployer": "serverless", "aws_region": "eu-west-9"})
    assert (conflict.questions, conflict.example) == (("deployer", "aws_region"), rules.ANYWHERE)
    assert len(rules.CONFLICTS) == 2, "a new conflict needs its text here"
    for deployer, api in product(rules.CHOICES["deployer"], rules.CHOICES["api"]):
        assert sentences(deployer=deployer, api=api, aws_region=rules.ANYWHERE) == []


def test_regions_are_those_of_the_tools() -> None:
    """cfn-lint and botocore know the same regions; when they move on, so has this list to."""
    from botocore.session import Session
    from cfnlint.helpers import REGIONS
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    session = Session()
    partitions = session.get_available_partitions()
    lambdas = {region for partition in partitions for region in session.get_available_regions("lambda", partition)}
    assert set(rules.REGIONS) == lambdas == set(REGIONS)

    def has_function_url(region: str) -> bool:
        try:
            return bool(PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, "AWS::Lambda::Url"))
        except ResourceNotFoundError:
            return False

    assert sorted(r for r in lambdas if not has_function_url(r)) == rules.WITHOUT_FUNCTION_URL


def test_support_ends_when_the_questions_say() -> None:
    """The dates in the labels are those that cfn-lint knows."""
    data = resources.files("cfnlint") / "data" / "AdditionalSpecs" / "LmbdRuntimeLifecycle.json"
    lifecycle = json.loads(data.read_text(encoding="utf-8"))
    labels = CONTEXT["__prompts__"]["runtime"]
    for runtime in rules.CHOICES["runtime"]:
        end = date.fromisoformat(lifecycle[runtime]["deprecated"])
        assert f" - {runtime}: supported by AWS until {end:%B %Y}" in labels


def test_region_of_the_future() -> None:
    """A region that AWS may open next year goes through, with a warning."""
    for region in ("eu-west-9", "sa-west-1", "mars-north-1", "us-isof-northeast-1"):
        answers = GOOD | {"aws_region": region}
        assert rules.problems(answers) == []
        assert rules.warnings(answers) == [
            f"aws_region: '{region}' is not a region this template knows, so it was not checked."
        ]
    assert rules.warnings(GOOD) == []


def test_every_known_region_passes() -> None:
    """No rule about spelling refuses a region that exists."""
    for region in rules.REGIONS:
        answers = GOOD | {"aws_region": region}
        assert rules.problems(answers) + rules.warnings(answers) == []


def test_unknown_names() -> None:
    """A name that is no question is refused with the question that is nearest to it; private ones are no answers."""
    assert rules.unknown_names([*QUESTIONS, "_template", "__sam"]) == []
    found = rules.unknown_names(["deploy", "quite_another"])
    assert [(problem.questions, problem.sentence, problem.example) for problem in found] == [
        (("deploy",), "'deploy' is not the name of a question; for example 'deployer'.", ""),
        (("quite_another",), "'quite_another' is not the name of a question; for example 'project_name'.", ""),
    ]


@pytest.mark.parametrize("deployer", ["sam", "serverless", "zip"])
def test_derived_words(deployer: str) -> None:
    """What the files of the template read follows from the answers."""
    answers = GOOD | {"deployer": deployer, "api": "function_url", "aws_region": "eu-west-1", "runtime": "python3.12"}
    assert rules.derived(answers) == {
        "__python": "3.12",
        "__sam": deployer == "sam",
        "__serverless": deployer == "serverless",
        "__zip": deployer == "zip",
        "__template": deployer != "serverless",
        "__url": True,
        "__table": False,
        "__worker": False,
        "__data": False,
        "__progress": False,
        "__state": False,
        "__github": True,
        "__domain": "lambda-url.eu-west-1.on.aws",
    }
    words = ("__table", "__worker", "__data", "__progress", "__state")
    for more, expected in (
        ({"storage": "dynamodb", "events": "sqs"}, (True, True, True, True, True)),
        ({"storage": "dynamodb"}, (True, False, True, False, True)),
        ({"events": "s3"}, (False, True, False, False, True)),
        ({"secret": True}, (False, False, True, False, True)),
    ):
        chosen = rules.derived(answers | more)
        assert tuple(chosen[word] for word in words) == expected
    assert not rules.derived(answers | {"ci": "none"})["__github"]
    assert rules.derived(answers | {"api": "rest_api"})["__domain"] == "execute-api.eu-west-1.amazonaws.com"


def test_printable() -> None:
    """Letters of any script are; controls, separators of lines and what reverses the direction of a text are not."""
    assert all(map(rules.printable, "aX\u00e9\u05d0\u0627\u4e2d\U0001f600 "))
    odd = "\0\n\x85\u2028\u2029\ud800\ufeff\ufffe\uffff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert [character for character in odd if rules.printable(character)] == []


def test_lengths_at_the_limit() -> None:
    """A value is shown whole up to 100 characters, and a slug keeps whole words in their order."""
    for length in (98, 99):
        assert ("..." in rules.shown("x" * length)) == (length == 99)
    assert (
        rules.usable_slug("one two three four five six seven eight nine ten")
        == "one-two-three-four-five-six-seven-eight"
    )
    assert rules.usable_slug("1 aa b ccccccccccccccccccccccccccccccc ddd") == "api-1-aa-b"


def test_nearest_regions() -> None:
    """The nearest comes first; the letter of an availability zone is left out."""
    assert rules.regions_near("ap-southeast-2a") == ["ap-southeast-2"]
    assert rules.regions_near("eu-wst-3") == ["eu-west-3", "eu-west-2"]
