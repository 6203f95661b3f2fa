"""Readers for each kind of file that a project has, so that a test sees what the file's own tools will see."""

import ast
import json
import re
from typing import Any

import yaml
from markdown_it import MarkdownIt

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as !Ref, as {"Ref": ...}."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Template.add_multi_constructor("!", _tag)


def read_toml(text: str) -> Any:
    """Return the content of a TOML file."""
    return tomllib.loads(text)


def read_yaml(text: str) -> Any:
    """Return the content of a YAML file or a CloudFormation template."""
    return yaml.load(text, Loader=_Template)  # noqa: S506 - it is a SafeLoader


def read_markdown(text: str) -> list[str]:
    """Return the plain text of each block of a Markdown file, marks removed."""
    blocks = []
    for token in MarkdownIt("commonmark").enable("strikethrough").enable("table").parse(text):
        if token.type == "inline":
            blocks.append("".join(child.content for child in token.children or []))
    return blocks


def read_python(text: str) -> ast.Module:
    """Return a module; type parameters in brackets are left out, since the Python of the tests may be older."""
    return ast.parse(re.sub(r"^(class \w+)\[.*\]", r"\1", text, flags=re.MULTILINE))


PARSERS = {
    ".json": json.loads,
    ".md": read_markdown,
    ".py": read_python,
    ".toml": read_toml,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}


def prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page, flags=re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
