"""The filters that carry an answer into a file: each file type reads back exactly the text that was given.

Cookiecutter loads them as local extensions (`_extensions` in cookiecutter.json).
"""

import json
import re
import sys

from cookiecutter.exceptions import FailedHookException
from cookiecutter.utils import simple_filter

from hooks.pre_gen_project import problems


@simple_filter
def quoted(text: str) -> str:
    """Return the text as a double-quoted string of TOML, YAML and JSON.

    Jinja's own `tojson` writes an emoji as two surrogates, which TOML refuses.
    """
    return json.dumps(text, ensure_ascii=False)


@simple_filter
def python_quoted(text: str) -> str:
    """Return the text as the Python string that `ruff format` leaves alone: the quotes that need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


@simple_filter
def markdown(text: str) -> str:
    """Return the text as Markdown that reads as plain text, also at the start of a line."""
    text = re.sub(r"[\\`*_\[\]<>~|]|&(?=#|\w)|!(?=\[)|#(?=#*$)", r"\\\g<0>", text)
    text = re.sub(r"^([-+=#])", r"\\\1", text)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", text)


@simple_filter
def refuse_bad_answers(answers: dict[str, object]) -> str:
    """Stop before Cookiecutter makes the folder: a slug such as '../x' must not name one even for a moment.

    Raises:
        FailedHookException: an answer cannot be used; the sentences about it are on standard error.
    """
    if found := problems(answers):
        print("\n".join(found), file=sys.stderr)
        prompts = ", ".join(sentence.partition(":")[0] for sentence in found)
        raise FailedHookException(f"Nothing was written, because of {prompts}.")
    return "yes"
