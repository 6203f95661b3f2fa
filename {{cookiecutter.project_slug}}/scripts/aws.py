"""What the scripts that call AWS share: the stack of a stage, a session, messages, and errors that are explained."""

import argparse
import re
import sys
{% if cookiecutter.__sam %}
import tomllib
{% endif %}
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ModuleNotFoundError:
    sys.exit("boto3 is not installed; run `python scripts/build.py venv`, then use the Python of .venv.")

PROJECT = Path(__file__).resolve().parent.parent
{% if not cookiecutter.__sam %}
NAME, REGION = "{{ cookiecutter.project_slug }}", "{{ cookiecutter.aws_region }}"
{% endif %}


class CommandError(Exception):
    """An error that ends the command; its message is for the user."""


def options_of(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of all commands."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--stage", default="dev", help="the stage; %(default)s by default")
    {% if not cookiecutter.__sam %}
    parser.add_argument("--region", default=REGION, help="the AWS region; %(default)s by default")
    {% endif %}
    return parser


def connect(options: argparse.Namespace) -> tuple[Any, str]:
    """Return a boto3 session, and the name of the stack of the stage."""
    stage: str = options.stage
    if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", stage):
        rule = "a lower-case letter, then lower-case letters and digits, at most 20 characters"
        raise CommandError(f"--stage {stage!a}: the name of a stage is {rule}, such as dev")
    {% if cookiecutter.__sam %}
    name = "default" if stage == "dev" else stage
    try:
        environment = tomllib.loads((PROJECT / "samconfig.toml").read_text(encoding="utf-8")).get(name, {})
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"samconfig.toml is not valid: {error}") from error
    # `sam deploy --guided` writes below `deploy`.
    tables = (environment.get(command, {}).get("parameters", {}) for command in ("global", "deploy"))
    settings = {key: value for table in tables for key, value in table.items()}
    if not {"stack_name", "region"} <= set(settings):
        missing = f"[{name}.global.parameters] and [{name}.deploy.parameters]"
        raise CommandError(f"samconfig.toml has no stage {stage}: write {missing}, like those of prod")
    return boto3.Session(profile_name=settings.get("profile"), region_name=settings["region"]), settings["stack_name"]
    {% else %}
    return boto3.Session(region_name=options.region), f"{NAME}-{stage}"
    {% endif %}


def describe(client: Any, name: str) -> dict[str, Any]:
    """Return the description of a stack, or an empty one if it does not exist."""
    try:
        return dict(client.describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise


def outputs(description: dict[str, Any]) -> dict[str, str]:
    """Return the outputs in the description of a stack."""
    return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}


def run(program: str, command: Callable[[], None]) -> int:
    """Run a command and return the exit code: 0 if it succeeded, 1 if not; print the reason to standard error."""
    try:
        command()
    except (CommandError, BotoCoreError, ClientError, OSError) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        if re.search("credential|token", problem, re.IGNORECASE):
            problem += "; `aws configure` or `aws sso login` gives credentials, AWS_PROFILE chooses them"
        say(f"{program}: {problem}.", sys.stderr)
        return 1
    except KeyboardInterrupt:
        say(f"{program}: interrupted.", sys.stderr)
        return 130
    return 0


def say(line: str, file: Any = None) -> None:
    """Print a line at once, on any console."""
    print(line.encode("ascii", "backslashreplace").decode(), file=file, flush=True)
