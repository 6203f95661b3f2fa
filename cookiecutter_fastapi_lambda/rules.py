"""Validate answers, one by one and together, suggest valid ones, and derive variables from them."""

import difflib
import functools
import keyword
import re
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeGuard

from slugify import slugify

CHOICES = {
    "runtime": ("python3.13", "python3.14", "python3.12", "python3.11"),
    "architecture": ("arm64", "x86_64"),
    "deployer": ("sam", "serverless", "zip"),
    "api": ("http_api", "rest_api", "function_url"),
    "storage": ("none", "dynamodb"),
    "events": ("none", "sqs", "s3", "sns", "schedule"),
    "ci": ("github", "none"),
}
SWITCHES = ("secret", "build_layer", "git_init")

# Where AWS Lambda runs: botocore 1.44.8 and cfn-lint 1.58.0 name the same 46.
REGIONS = """
    af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1
    ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1
    cn-north-1 cn-northwest-1 eu-central-1 eu-central-2 eu-isoe-west-1 eu-north-1 eu-south-1 eu-south-2 eu-west-1
    eu-west-2 eu-west-3 eusc-de-east-1 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2
    us-gov-east-1 us-gov-west-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 us-isob-west-1 us-isof-east-1
    us-isof-south-1 us-west-1 us-west-2
""".split()
# Where Lambda has no Function URLs, by cfn-lint 1.58.0: it knows no AWS::Lambda::Url there.
WITHOUT_FUNCTION_URL = """
    ap-east-2 ap-south-2 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-west-1 cn-northwest-1
    eu-central-2 il-central-1 me-central-1 mx-central-1 us-gov-east-1 us-gov-west-1
""".split()
# A region in which every choice is available.
ANYWHERE = "us-east-1"
# The longest region code of AWS has 15 characters (us-isof-south-1); leave room for longer ones.
REGION_LENGTH = 19
# Where osls 4.3.1, the deployer of serverless.yml, refuses to deploy to: its list of regions has none of these.
UNKNOWN_TO_OSLS = "eu-isoe-west-1 eusc-de-east-1 us-isob-west-1 us-isof-east-1 us-isof-south-1".split()
DIRECTIONS = {"central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"}

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SLUG_LENGTH = (2, 40)
# uv cannot resolve a package that has the name of one of its dependencies, and Python may import a folder in place
# of a module of the same name.
DEPENDENCIES = set(
    """
    anyio aws-lambda-powertools aws-sam-translator boto3 botocore cfn-lint cloudformation-validate coverage
    detect-secrets fastapi httpx2 mangum moto mypy pip-audit prek pydantic pytest pyyaml ruff starlette uvicorn
    """.split()
)
OUR_FOLDERS = {"app", "events", "package", "python", "tests"}
# Names that Windows reserves for devices.
DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}

NAME_LENGTH = 80
DESCRIPTION_LENGTH = 200
EXAMPLE_LENGTH = 60

# In the order in which they are asked.
QUESTIONS = (
    *("project_name", "project_slug", "description", "aws_region", "runtime", "architecture", "deployer", "api"),
    *("storage", "events", "secret", "ci", "build_layer", "git_init"),
)

# Answers that are valid alone but not together: the test, the questions, and what to choose instead.
CONFLICTS: list[tuple[Callable[[Mapping[str, object]], bool], tuple[str, str], str]] = [
    (
        lambda answers: (
            answers["deployer"] == "serverless"
            and (answers["aws_region"] in UNKNOWN_TO_OSLS or answers["aws_region"] not in REGIONS)
        ),
        ("deployer", "aws_region"),
        "osls does not know that region; choose sam or zip, or another region",
    ),
    (
        lambda answers: answers["api"] == "function_url" and answers["aws_region"] in WITHOUT_FUNCTION_URL,
        ("api", "aws_region"),
        "that region has no Function URLs; choose http_api or rest_api, or another region",
    ),
]


class Problem(NamedTuple):
    """What is wrong with an answer, or with two together: one ASCII sentence, and a valid answer."""

    questions: tuple[str, ...]
    sentence: str
    example: str


def complete(answers: object) -> TypeGuard[Mapping[str, object]]:
    """Return True if each question is answered."""
    return isinstance(answers, Mapping) and all(question in answers for question in QUESTIONS)


def derived(answers: Mapping[str, object]) -> dict[str, object]:
    """Return the variables derived from the answers. They are never stored, so they always match the answers."""
    deployer, url = answers["deployer"], answers["api"] == "function_url"
    host = ("lambda-url", "on.aws") if url else ("execute-api", "amazonaws.com")
    return {
        "__python": str(answers["runtime"]).removeprefix("python"),
        "__sam": deployer == "sam",
        "__serverless": deployer == "serverless",
        "__zip": deployer == "zip",
        "__template": deployer in ("sam", "zip"),
        "__url": url,
        "__table": answers["storage"] == "dynamodb",
        "__worker": answers["events"] != "none",
        "__data": answers["storage"] == "dynamodb" or bool(answers["secret"]),
        "__progress": answers["storage"] == "dynamodb" and answers["events"] != "none",
        "__state": answers["storage"] != "none" or answers["events"] != "none" or bool(answers["secret"]),
        "__github": answers["ci"] == "github",
        "__domain": f"{host[0]}.{answers['aws_region']}.{host[1]}",
    }


def problems(answers: Mapping[str, object]) -> list[Problem]:
    """Return what is wrong with the answers; an empty list if they are valid.

    Questions that are not answered yet are skipped.
    """
    alone: dict[str, Callable[[object], Problem | None]] = {
        "project_name": lambda name: text_problem("project_name", name, NAME_LENGTH, "Orders API"),
        "project_slug": slug_problem,
        "description": lambda text: text_problem("description", text, DESCRIPTION_LENGTH, "Sells pots and pans"),
        "aws_region": region_problem,
        **{question: functools.partial(choice_problem, question) for question in CHOICES},
        **{question: functools.partial(switch_problem, question) for question in SWITCHES},
    }
    found = [judge(answers[question]) for question, judge in alone.items() if question in answers]
    if not any(found):
        found = [
            Problem(pair, f"{' and '.join(f'{name}={answers[name]}' for name in pair)}: {instead}.", ANYWHERE)
            for conflict, pair, instead in CONFLICTS
            if all(name in answers for name in pair) and conflict(answers)
        ]
    return [problem for problem in found if problem]


def unknown_names(given: Iterable[str]) -> list[Problem]:
    """Return a problem for each name of an answer that is no question; Cookiecutter ignores such an answer."""
    found = []
    for name in given:
        if name not in QUESTIONS and not name.startswith("_"):
            near = difflib.get_close_matches(name, QUESTIONS, n=1)
            rule = "is not the name of a question"
            found.append(Problem((name,), f"{shown(name)} {rule}; for example {shown((near or QUESTIONS)[0])}.", ""))
    return found


def warnings(answers: Mapping[str, object]) -> list[str]:
    """Return one sentence for each answer that is valid but may be a mistake."""
    region = answers["aws_region"]
    if region in REGIONS:
        return []
    return [f"aws_region: {shown(region)} is not a region this template knows, so it was not checked."]


def refused(question: str, value: object, rule: str, *examples: str) -> Problem:
    """Return the problem of one answer: what was answered, the rule, and examples, the best one first."""
    sentence = f"{question}: {shown(value)} {rule}; for example {' or '.join(map(shown, examples))}."
    return Problem((question,), sentence, examples[0])


def text_problem(question: str, value: object, longest: int, example: str) -> Problem | None:
    """Reject text that is not one line of printable characters: some file of the project could not contain it."""
    if not isinstance(value, str) or not value.strip():
        rule = "must not be empty"
    elif value != value.strip():
        rule = "must not begin or end with a space"
    elif len(value) > longest:
        rule = f"must be at most {longest} characters long, not {len(value)}"
    elif odd := next((character for character in value if not printable(character)), None):
        rule = f"must be one line without control characters, not with U+{ord(odd):04X}"
    else:
        return None
    return refused(question, value, rule, usable_text(value) or example)


def usable_text(value: object) -> str:
    """Return the first words of a text without what may not be in it; empty if nothing is left."""
    words = "".join(character if printable(character) else " " for character in str(value)).split()
    text = " ".join(words)
    return textwrap.shorten(text, EXAMPLE_LENGTH, placeholder="") or text[:EXAMPLE_LENGTH].strip()


def printable(character: str) -> bool:
    """Return True if TOML, YAML, JSON, Markdown and Python source all take this character as it is."""
    if character in "\ufeff\ufffe\uffff" or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return False
    # Bidirectional control characters can make source code look different from what it does (CVE-2021-42574).
    return unicodedata.bidirectional(character) not in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


def usable_slug(name: object) -> str:
    """Return a valid slug for any name: its words, with "api" added if they are not valid alone."""
    _, longest = SLUG_LENGTH
    words = slugify(str(name), max_length=longest, word_boundary=True, save_order=True)
    fewer = slugify(str(name), max_length=longest - len("-api"), word_boundary=True, save_order=True)
    candidates = (words, f"{fewer}-api", f"api-{fewer}")
    return next((slug for slug in candidates if not slug_rule(slug)), "my-api")


def slug_problem(value: object) -> Problem | None:
    """Reject a slug that is not valid as the name of a folder, a stack and a Python package."""
    rule = slug_rule(value)
    return refused("project_slug", value, rule, usable_slug(value)) if rule else None


def slug_rule(value: object) -> str | None:
    """Return the rule that a slug breaks."""
    shortest, longest = SLUG_LENGTH
    if not isinstance(value, str) or not SLUG.fullmatch(value):
        return "must be lower-case words joined by hyphens, the first one starting with a letter"
    if not shortest <= len(value) <= longest:
        return f"must have {shortest} to {longest} characters, not {len(value)}"
    if value in DEPENDENCIES | OUR_FOLDERS | sys.stdlib_module_names or keyword.iskeyword(value):
        return "must not be a name that Python or this project already uses"
    if value in DEVICES:
        return "must not be a name that Windows reserves for a device"
    return None


def region_problem(value: object) -> Problem | None:
    """Reject what cannot be the code of a region, and misspelt codes of known regions."""
    near = regions_near(value)
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{2,5}(-[a-z]+)+-[0-9]", value):
        rule = "must be the code of a region, in lower case"
    elif len(value) > REGION_LENGTH:
        rule = f"must be the code of a region, at most {REGION_LENGTH} characters long"
    elif value in REGIONS or could_be_new(value) or not near:
        return None
    else:
        rule = "must be the code of a region"
    return refused("aws_region", value, rule, *(near or [ANYWHERE]))


def regions_near(value: object) -> list[str]:
    """Return the one or two regions that were probably meant, the nearest first."""
    typed = re.sub(r"(?<=\d)[a-z]$", "", slugify(str(value)))  # without the letter of an availability zone
    if typed in REGIONS:
        return [typed]
    near = difflib.get_close_matches(typed, REGIONS, n=2, cutoff=0.8)
    return sorted(near, key=lambda region: (-difflib.SequenceMatcher(None, region, typed).ratio(), region))


def could_be_new(region: str) -> bool:
    """Return True if a new region of AWS could have this code: a known area, a direction, a number."""
    area, *_, direction, _ = region.split("-")
    return direction in DIRECTIONS and area in {known.split("-")[0] for known in REGIONS}


def choice_problem(question: str, value: object) -> Problem | None:
    """Reject a value that is not among the choices."""
    choices = CHOICES[question]
    if value in choices:
        return None
    nearest = max(choices, key=lambda choice: difflib.SequenceMatcher(None, choice, str(value).lower()).ratio())
    return refused(question, value, f"must be one of {', '.join(choices)}", nearest)


def switch_problem(question: str, value: object) -> Problem | None:
    """Reject a value that is not a boolean; a replay file can contain any."""
    return None if isinstance(value, bool) else refused(question, value, "must be true or false", "true")


def shown(value: object) -> str:
    """Return the value as a short ASCII literal, so that any console can print it."""
    literal = ascii(value)
    return literal if len(literal) <= 100 else literal[:96] + "...'"
