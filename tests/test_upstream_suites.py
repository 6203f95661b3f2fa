"""The test suites of FastAPI and Starlette, with each request through the handler of a project, as Lambda calls it."""

import re
import time
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.upstream.suites import LOCK, RUNS, SUITES, differences, failures


def pins(lock: Path) -> set[str]:
    """Return what a lock pins, such as "fastapi==0.165.0"."""
    return set(re.findall(r"^[a-z0-9-]+==[^ ;]+", lock.read_text(encoding="utf-8"), re.MULTILINE))


def test_versions(bake: Bake) -> None:
    """The suites run with the versions that a project starts with."""
    application = pins(bake() / "app" / "requirements.txt")
    assert application
    assert application <= pins(LOCK)


@pytest.mark.long
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("suite", SUITES)
def test_suite(suite: str, run: str, bake: Bake, capsys: pytest.CaptureFixture[str]) -> None:
    """What fails is listed with its reason, and what is listed fails."""
    start = time.monotonic()
    failed = failures(suite, run, bake() / "app")
    with capsys.disabled():
        print(f"\n{suite}, {run}: {len(failed)} failed, {time.monotonic() - start:.0f} s")
    different = differences(suite, run, failed)
    assert not different, "\n".join(different)
