"""The figures in the READMEs are those that were measured last."""

import json
import re
import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import tables  # noqa: E402


def test_tables_are_those_of_the_measurements() -> None:
    """Nobody typed them."""
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert tables.written(readme) == readme


def test_readme_quotes_the_measurements() -> None:
    """The short version in the template's README, rounded."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    ratios = json.loads((ROOT / "benchmarks" / "cold_start.json").read_text(encoding="utf-8"))["ratios"]
    quoted = re.search(r"cold start takes ([\d.]+) times .*? and ([\d.]+) times what importing", readme)
    assert float(quoted[1]) == round(ratios["init+first / the tutorial's FastAPI"][0], 2)
    assert float(quoted[2]) == round(ratios["init+first / importing fastapi and mangum"][0], 2)
