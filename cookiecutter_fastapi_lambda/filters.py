"""The filters that write an answer into a file: each file type reads back exactly the text that was given."""

import json
import re


def quoted(text: str) -> str:
    """Return the text as a double-quoted string of TOML, YAML and JSON.

    Jinja's own `tojson` writes an emoji as two surrogates, which TOML refuses.
    """
    return json.dumps(text, ensure_ascii=False)


def python_quoted(text: str) -> str:
    """Return the text as the Python string that `ruff format` leaves alone: the quotes that need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def markdown(text: str) -> str:
    """Return the text as Markdown that reads as plain text, also at the start of a line."""
    text = re.sub(r"[\\`*_\[\]<>~|]|&(?=#|\w)|!(?=\[)|#(?=#*$)", r"\\\g<0>", text)
    text = re.sub(r"^([-+=#])", r"\\\1", text)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", text)
