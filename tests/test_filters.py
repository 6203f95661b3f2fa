"""The filters: what a file's own parser reads is what was answered."""

import ast
import json
import subprocess

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from hooks.pre_gen_project import text_problem
from tests.conftest import VARIANTS
from tests.machine import BIN
from tests.parsers import read_markdown, read_toml, read_yaml
from tests.test_rules import GOOD

FILTERS = Environment(  # noqa: S701 - it renders no HTML
    extensions=[f"hooks.filters.{name}" for name in ("quoted", "python_quoted", "markdown", "refuse_bad_answers")]
).filters

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
def test_markdown(text: str) -> None:
    """Markdown shows the same text, as a paragraph and as a heading."""
    written = FILTERS["markdown"](text)
    assert read_markdown(f"# {written}\n\n{written}\n\nmore\n") == [text, text, "more"]


def test_plain_text_stays_plain() -> None:
    """Nobody would type a backslash where none is needed."""
    for text in ("Orders API", "A FastAPI service on AWS Lambda", "O'Neil & Sons: e-mail, 24/7 (v2.1)!", "C# and F#"):
        assert FILTERS["markdown"](text) == text or text.endswith("#")
        assert FILTERS["quoted"](text) == FILTERS["python_quoted"](text) == f'"{text}"'


def test_bad_answers_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentences go to standard error, and the error that stops Cookiecutter names the prompts."""
    with pytest.raises(FailedHookException, match=r"^Nothing was written, because of project_slug, aws_region\.$"):
        FILTERS["refuse_bad_answers"](GOOD | {"project_slug": "../x", "aws_region": "us-est-1"})
    assert capsys.readouterr().err.count("for example") == 2
    assert FILTERS["refuse_bad_answers"](GOOD | VARIANTS["hostile"]) == "yes"
