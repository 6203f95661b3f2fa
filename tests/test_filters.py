"""The filters: what a file's own parser reads is what was answered."""

import ast
import json
import subprocess

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from cookiecutter_fastapi_lambda.rules import text_problem
from tests.conftest import CONTEXT, VARIANTS
from tests.machine import BIN
from tests.parsers import read_markdown, read_toml, read_yaml
from tests.test_rules import GOOD

ENVIRONMENT = Environment(extensions=CONTEXT["_extensions"])  # noqa: S701 - it renders no HTML
FILTERS = ENVIRONMENT.filters

MARKS = "\"'\\`*_[]()<>#+-.!|&~:{}%$@=1aé\U0001f600 "
ANY = st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"))
TEXTS = (
    (st.text(ANY, min_size=1, max_size=80) | st.text(MARKS, min_size=1, max_size=12))
    .map(str.strip)
    .filter(lambda text: not text_problem("description", text, 200, "x"))
)


@given(TEXTS)
def test_quoted(text: str) -> None:
    """One spelling serves TOML, YAML and JSON."""
    written = FILTERS["quoted"](text)
    assert read_toml(f"text = {written}")["text"] == text
    assert read_yaml(f"text: {written}")["text"] == text
    assert json.loads(written) == text


@given(TEXTS)
def test_python_quoted(text: str) -> None:
    """Python reads the same text."""
    assert ast.literal_eval(FILTERS["python_quoted"](text)) == text


@settings(max_examples=20)
@given(st.lists(TEXTS, min_size=20, max_size=60))
def test_python_quoted_is_formatted(texts: list[str]) -> None:
    """Ruff has nothing to change in the strings."""
    code = "".join(f"name = {FILTERS['python_quoted'](text)}\n" for text in texts)
    formatted = subprocess.run(
        [BIN / "ruff", "format", "--isolated", "--line-length", "300", "-"],
        input=code.encode(),
        capture_output=True,
        check=True,
    )
    assert formatted.stdout.decode() == code


@given(TEXTS)
@example("1. first")
@example("2) second")
def test_markdown(text: str) -> None:
    """Markdown shows the same text, as a paragraph and as a heading."""
    written = FILTERS["markdown"](text)
    assert read_markdown(f"# {written}\n\n{written}\n\nmore\n") == [text, text, "more"]


def test_plain_text_stays_plain() -> None:
    """Nobody would type a backslash where none is needed."""
    for text in ("Orders API", "A FastAPI service on AWS Lambda", "O'Neil & Sons: e-mail, 24/7 (v2.1)!", "C# and F#"):
        assert FILTERS["markdown"](text) == text or text.endswith("#")
        assert FILTERS["quoted"](text) == FILTERS["python_quoted"](text) == f'"{text}"'
    for text, written in (('"a"', "'\"a\"'"), ("'\"", '"\'\\""'), ("a\\", '"a\\\\"')):
        assert FILTERS["python_quoted"](text) == written


def test_bad_answers_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentences go to standard error, and the error that stops Cookiecutter names the questions."""
    name = ENVIRONMENT.from_string("{{ cookiecutter.project_name }}")
    with pytest.raises(FailedHookException, match=r"^Nothing was written, because of project_slug, aws_region\.$"):
        name.render(cookiecutter=GOOD | {"project_slug": "../x", "aws_region": "us-est-1"})
    assert capsys.readouterr().err.count("for example") == 2
    answers = GOOD | VARIANTS["hostile"]
    assert name.render(cookiecutter=answers) == answers["project_name"]


def test_derived_words_follow_the_answers() -> None:
    """Whatever a replay file has stored for them."""
    shown = ENVIRONMENT.from_string("{{ cookiecutter.__zip }} {{ cookiecutter.__python }} {{ cookiecutter.__domain }}")
    stored = {"__zip": "", "__python": "3.9", "__domain": "x"}
    answers = GOOD | {"deployer": "zip", "runtime": "python3.12", "aws_region": "eu-west-1"} | stored
    assert shown.render(cookiecutter=answers) == "True 3.12 execute-api.eu-west-1.amazonaws.com"
    answers["api"] = "function_url"
    assert shown.render(cookiecutter=answers) == "True 3.12 lambda-url.eu-west-1.on.aws"


def test_no_word_of_an_answer_is_stored() -> None:
    """What cookiecutter.json computes is kept in replay files, where a later edit does not reach it."""
    words = {name: value for name, value in CONTEXT.items() if name.startswith("__") and name != "__prompts__"}
    assert set(words.values()) == {"{{ cookiecutter | ask_again }}"}
