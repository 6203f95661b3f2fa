"""The test suites of FastAPI and Starlette, with each request through the handler of a project, as Lambda calls it."""

import time

import pytest

from tests.conftest import Bake
from tests.lock import TEMPLATE, pins
from tests.upstream.suites import LOCK, RUNS, SUITES, differences, failures


def test_versions() -> None:
    """The suites run with the versions that a project starts with."""
    versions = {line for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line}
    application = (TEMPLATE / "app" / "requirements.txt").read_text(encoding="utf-8")
    assert {pin.splitlines()[0] for pin in pins(application)[1:]} <= versions


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("suite", SUITES)
def test_suite(
    suite: str, run: str, bake: Bake, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails is listed with its reason, and what is listed fails."""
    if not request.config.getoption("--all-projects"):
        pytest.skip("it takes minutes; make test-all runs it")
    start = time.monotonic()
    failed = failures(suite, run, bake() / "app")
    with capsys.disabled():
        print(f"\n{suite}, {run}: {len(failed)} failed, {time.monotonic() - start:.0f} s")
    different = differences(suite, run, failed)
    assert not different, "\n".join(different)
