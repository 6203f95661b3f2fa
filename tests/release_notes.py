"""Prints the section of CHANGELOG.md about a version, for the notes of its release."""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


def notes(tag: str, changelog: str) -> str:
    """Return what the changelog says of the version of a tag.

    Raises:
        ValueError: the tag is no version, or the changelog has no section about it.

    """
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        raise ValueError(f"tag: {tag!r} must be v and a version; for example 'v0.1.0'.")
    for section in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        if title.split()[0] == tag.removeprefix("v") and text.strip():
            return text.strip() + "\n"
    raise ValueError(
        f"CHANGELOG.md: the section '## {tag.removeprefix('v')}' is missing; rename '## Unreleased' to it."
    )


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(sys.argv[1], CHANGELOG.read_text(encoding="utf-8")))
    except ValueError as error:
        sys.exit(str(error))
