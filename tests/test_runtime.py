"""The rendered project under Lambda's own runtime: layer from build.py, code and layer read-only, no other packages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import ARCHITECTURE, CI, RUNTIMES, interpreter

# Few machines have Python 3.14 yet; the layer tests check its wheels all the same.
NEEDED = ("python3.11", "python3.12", "python3.13")


@pytest.fixture(scope="module", params=[runtime for runtime in RUNTIMES if runtime in NEEDED or interpreter(runtime)])
def function(request: pytest.FixtureRequest, bake: Bake) -> Iterator[Emulator]:
    """Return the function of the project in the emulator, on each runtime that there is an interpreter of."""
    python = interpreter(request.param)
    if python is None:
        message = f"no {request.param} here; `uv python install {request.param.removeprefix('python')}`"
        pytest.fail(message) if CI else pytest.skip(message)
    project = bake(runtime=request.param, architecture=ARCHITECTURE, build_layer=True)
    assert (project / "package" / "python" / "fastapi").is_dir()
    with Emulator(python, project / "app", project / "package") as emulator:
        yield emulator


def test_routes(function: Emulator) -> None:
    """The routes answer, a value that is no integer is refused, and a path that is not there is not found."""
    root = function.invoke(http_api("/"))
    assert (root["statusCode"], json.loads(root["body"])["service"]) == (200, "Orders API")
    item = function.invoke(http_api("/items/42"))
    assert (item["statusCode"], json.loads(item["body"])["item_id"]) == (200, 42)
    assert function.invoke(http_api("/items/x"))["statusCode"] == 422
    assert function.invoke(http_api("/nowhere"))["statusCode"] == 404


def test_sample_events(function: Emulator, bake: Bake) -> None:
    """The events that come with the project are answered."""
    for path in (bake() / "events").glob("*.json"):
        status = {"create-item": 201}.get(path.stem, 200)
        assert function.invoke(json.loads(path.read_text(encoding="utf-8")))["statusCode"] == status


def test_named_stage(function: Emulator) -> None:
    """The docs of a named stage ask for their schema below it."""
    page = function.invoke(http_api("/dev/docs", stage="dev"))
    assert page["statusCode"] == 200
    assert "'/dev/openapi.json'" in page["body"]


def test_emulator_shows_what_is_missing(bake: Bake, tmp_path: Path) -> None:
    """Without the layer the import fails, so what passes above does come from the layer."""
    python = interpreter("python3.13")
    (tmp_path / "python").mkdir()
    with Emulator(python, bake() / "app", tmp_path) as emulator, pytest.raises(OSError, match="502"):
        emulator.invoke(http_api("/"))
    assert "No module named 'fastapi'" in emulator.said()
