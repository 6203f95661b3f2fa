"""Releases: a tag, and the notes that CHANGELOG.md has for it."""

import re

import pytest

from tests.conftest import ROOT
from tests.release_notes import notes

CHANGELOG = "# Changelog\n\n## Unreleased\n\n- C\n\n## 0.2.0 (2026-12-01)\n\n### Added\n\n- B\n\n## 0.1.0\n\n- A\n"


def test_notes_are_the_section_of_the_version() -> None:
    """Without its title, and without those of other versions."""
    assert notes("v0.2.0", CHANGELOG) == "### Added\n\n- B\n"
    assert notes("v0.1.0", CHANGELOG) == "- A\n"


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        ("0.1.0", "tag: '0.1.0' must be v and a version; for example 'v0.1.0'."),
        ("v1", "tag: 'v1' must be v and a version; for example 'v0.1.0'."),
        ("v0.3.0", "CHANGELOG.md: the section '## 0.3.0' is missing; rename '## Unreleased' to it."),
    ],
)
def test_no_notes(tag: str, sentence: str) -> None:
    """A release without notes is not made."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        notes(tag, CHANGELOG)


def test_changelog_has_sections_that_a_release_finds() -> None:
    """What is not released yet is on top."""
    titles = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", title) for title in titles[1:])
