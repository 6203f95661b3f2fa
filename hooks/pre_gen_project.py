"""Can these answers become a project? Says everything that is wrong with them, before a file is written.

The rules are plain functions, asked twice: by `hooks/filters.py` as soon as the last answer is in, while there is no
folder yet (Cookiecutter names the folder after the slug before it runs this hook), and here, for answers that come
from a replay file.
"""

import difflib
import json
import keyword
import re
import sys
import unicodedata

RUNTIMES = ("python3.13", "python3.14", "python3.12", "python3.11")
ARCHITECTURES = ("arm64", "x86_64")
DEPLOYERS = ("sam", "serverless", "zip")
APIS = ("http_api", "rest_api", "function_url")

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
# With the longest slug this is what fits into the name of a role; those of AWS have at most 14.
REGION_LENGTH = 19
# Where osls 4.3.1, the deployer of serverless.yml, refuses to deploy to: its list of regions has none of these.
UNKNOWN_TO_OSLS = "eu-isoe-west-1 eusc-de-east-1 us-isob-west-1 us-isof-east-1 us-isof-south-1".split()
DIRECTIONS = {"central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"}

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SLUG_LENGTH = (2, 40)
# A distribution that is called like something it depends on cannot be resolved, and a folder called like a module
# invites Python to import the folder.
DEPENDENCIES = {"anyio", "fastapi", "mangum", "pydantic", "pytest", "ruff", "starlette", "uvicorn"}
OUR_FOLDERS = {"app", "events", "package", "python", "tests"}
# Names that Windows keeps for devices.
DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}

NAME_LENGTH = 80
DESCRIPTION_LENGTH = 200

# Answers that are fine alone and not together: the test, the prompts, and what to choose instead.
CLASHES = [
    (
        lambda answers: (
            answers["deployer"] == "serverless"
            and (answers["aws_region"] in UNKNOWN_TO_OSLS or answers["aws_region"] not in REGIONS)
        ),
        ("deployer", "aws_region"),
        "osls deploys to no region that it does not know; choose sam or zip, or another region",
    ),
    (
        lambda answers: answers["api"] == "function_url" and answers["aws_region"] in WITHOUT_FUNCTION_URL,
        ("api", "aws_region"),
        "that region has no Function URLs; choose http_api or rest_api, or another region",
    ),
]


def problems(answers: dict[str, object]) -> list[str]:
    """Return one sentence for each answer that cannot be used, and an empty list when all can.

    What was not asked is not judged: with --replay, only the questions that the file lacks are.
    """
    rules = {
        "project_name": lambda name: text_problem("project_name", name, NAME_LENGTH, "Orders API"),
        "project_slug": slug_problem,
        "description": lambda text: text_problem("description", text, DESCRIPTION_LENGTH, "Sells pots and pans"),
        "aws_region": region_problem,
        "runtime": lambda runtime: choice_problem("runtime", runtime, RUNTIMES),
        "architecture": lambda architecture: choice_problem("architecture", architecture, ARCHITECTURES),
        "deployer": lambda deployer: choice_problem("deployer", deployer, DEPLOYERS),
        "api": lambda api: choice_problem("api", api, APIS),
    }
    found = [rule(answers[prompt]) for prompt, rule in rules.items() if prompt in answers]
    if not any(found) and rules.keys() <= answers.keys():
        found = [
            f"{' and '.join(f'{prompt}={answers[prompt]}' for prompt in prompts)}: {instead}."
            for clash, prompts, instead in CLASHES
            if clash(answers)
        ]
    return [sentence for sentence in found if sentence]


def warnings(answers: dict[str, object]) -> list[str]:
    """Return one sentence for each answer that can be used but may not be what was meant."""
    region = answers["aws_region"]
    if region in REGIONS:
        return []
    return [f"aws_region: {shown(region)} is not a region this template knows, so it goes on unchecked."]


def text_problem(prompt: str, value: object, longest: int, example: str) -> str | None:
    """Refuse text that some file of the project could not carry unchanged: what is left is any single line."""
    rule = None
    if not isinstance(value, str) or not value.strip():
        rule = "must not be empty"
    elif value != value.strip():
        rule = "must not begin or end with a space"
    elif len(value) > longest:
        rule = f"must be at most {longest} characters long, not {len(value)}"
    elif odd := next((character for character in value if not printable(character)), None):
        rule = f"must be one line without control characters, not with U+{ord(odd):04X}"
    return rule and f"{prompt}: {shown(value)} {rule}; for example {example!r}."


def printable(character: str) -> bool:
    """Say whether TOML, YAML, JSON, Markdown and Python source all take this character as it is."""
    if character in "\ufeff\ufffe\uffff" or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return False
    # Marks of writing direction make source code read other than it runs.
    return unicodedata.bidirectional(character) not in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


def slug_problem(value: object) -> str | None:
    """Refuse a slug that could not name a folder, a stack and a distribution everywhere."""
    shortest, longest = SLUG_LENGTH
    if not isinstance(value, str) or not SLUG.fullmatch(value):
        rule = "must be lower-case words joined by hyphens, the first one starting with a letter"
    elif not shortest <= len(value) <= longest:
        rule = f"must have {shortest} to {longest} characters, not {len(value)}"
    elif value in DEPENDENCIES | OUR_FOLDERS | sys.stdlib_module_names or keyword.iskeyword(value):
        rule = "must not be a name that Python or this project already uses"
    elif value in DEVICES:
        rule = "must not be a name that Windows keeps for a device"
    else:
        return None
    return f"project_slug: {shown(value)} {rule}; for example 'orders-api'."


def region_problem(value: object) -> str | None:
    """Refuse what cannot be a region's name, and a slip in the name of one that exists."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{2,5}(-[a-z]+)+-[0-9]", value):
        rule = "must be the code of a region, in lower case; for example 'us-east-1'"
    elif len(value) > REGION_LENGTH:
        rule = f"must be the code of a region, at most {REGION_LENGTH} characters long; for example 'us-east-1'"
    elif value in REGIONS or could_be_new(value):
        return None
    elif near := difflib.get_close_matches(value, REGIONS, n=2, cutoff=0.8):
        rule = f"must be the code of a region; for example {' or '.join(map(repr, sorted(near)))}"
    else:
        return None
    return f"aws_region: {shown(value)} {rule}."


def could_be_new(region: str) -> bool:
    """Say whether a region is spelt as one that AWS may open next: a known part of the world, a direction, a number."""
    area, *_, direction, _ = region.split("-")
    return direction in DIRECTIONS and area in {known.split("-")[0] for known in REGIONS}


def choice_problem(prompt: str, value: object, choices: tuple[str, ...]) -> str | None:
    """Refuse a value that is not among the choices."""
    if value in choices:
        return None
    return f"{prompt}: {shown(value)} must be one of {', '.join(choices)}; for example {choices[0]!r}."


def shown(value: object) -> str:
    """Return the value as a short ASCII literal, so that any console can print it."""
    literal = ascii(value)
    return literal if len(literal) <= 100 else literal[:96] + "...'"


if __name__ == "__main__":
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    if found := problems(answers):
        sys.exit("\n".join(found))
    for sentence in warnings(answers):
        print(sentence, file=sys.stderr)
