"""The figures in the READMEs are those that were measured last, and what is measured does what it should."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Bake
from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import ARCHITECTURE, CI, interpreter

sys.path.insert(0, str(ROOT / "benchmarks"))
import functions  # noqa: E402
import tables  # noqa: E402


def test_tables_are_those_of_the_measurements() -> None:
    """Nobody typed them."""
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert tables.written(readme) == readme


def test_readme_quotes_the_measurements() -> None:
    """The short version in the template's README, rounded."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    example, realistic = (
        json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))["ratios"]
        for name in ("cold_start", "realistic")
    )
    faster, routes = re.search(r"cold start is ([\d.]+) times faster than .*? with (\d+) routes", readme).groups()
    assert float(faster) == round(1 / realistic["init+first"][0], 1)
    assert f": {routes} routes in eight routers" in (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    quoted = re.search(r"init and first request take ([\d.]+) times", readme)[1]
    assert float(quoted) == round(example["init+first / importing fastapi and mangum"][0], 2)


def test_savings_are_taken_out_of_main(bake: Bake, tmp_path: Path) -> None:
    """Without them main.py is what one would write, and passes for Python."""
    path = Path(shutil.copy(bake() / "app" / "main.py", tmp_path))
    functions.drop_savings(path)
    left = path.read_text(encoding="utf-8")
    compile(left, "main.py", "exec")
    assert [word for word in ("gc", "sys", "compat", "Any") if re.search(rf"\b{word}\b", left)] == []
    assert "handler = LambdaHandler(app)" in left


def json_body(value: object) -> dict[str, Any]:
    """Return the fields of an event that carry a JSON body."""
    return {"body": json.dumps(value), "send": {"content-type": "application/json"}}


LINE = {"sku": "TOO-0001", "quantity": 2}
ADDRESS = {"street": "Long Street", "number": "7", "postal_code": "1234 AB", "city": "Delft"}
ORDER = {"customer_id": 1, "lines": [LINE], "deliver_to": ADDRESS, "payment": {"method": "card", "last_digits": "4242"}}
STAFF = {"jwt": {"claims": {"sub": "ada", "role": "staff"}}}
FORM = {"content-type": "application/x-www-form-urlencoded"}

# One request of each kind to the realistic application: the event, the status, and a part of the body.
REQUESTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "the measured one": (http_api("/orders/1"), 200, '"last_digits":"4242"'),
    "a page of a list": (
        http_api("/products", rawQueryString="page=2&size=3"),
        200,
        '"name":"Spade"',
    ),
    "a body": (http_api("/orders/quote", method="POST", **json_body(ORDER)), 200, '"goods":{"amount":"20.00"'),
    "a body that a validator refuses": (
        http_api("/orders/quote", method="POST", **json_body(ORDER | {"lines": [LINE, LINE]})),
        422,
        "an article is on one line",
    ),
    "a change": (
        http_api("/customers/1", method="PATCH", **json_body({"name": "Eve"})),
        200,
        '"name":"Eve"',
    ),
    "nothing found": (http_api("/products/99"), 404, "There is no product 99"),
    "not for guests": (http_api("/reports/sales"), 403, "Only staff may do this"),
    "a page": (http_api("/pages/catalogue"), 200, "<li>Saw: 20"),
    "a form": (
        http_api("/pages/newsletter", method="POST", body="email=A%40b.example", send=FORM),
        200,
        "to a@b.example",
    ),
    "a static file": (http_api("/static/shop.css"), 200, "max-width: 40rem"),
}


@pytest.fixture(scope="module")
def realistic(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Return the code and the layer of the realistic application, in the project's way and in the tutorial's."""
    folder = tmp_path_factory.mktemp("realistic")
    project = folder / "project"
    shutil.copytree(bake(runtime="python3.13", architecture=ARCHITECTURE), project)
    functions.add_realistic(project)
    for command in ("lock", "layer"):
        subprocess.run([sys.executable, "-B", "scripts/build.py", command], cwd=project, check=True)
    tutorial = functions.tutorial_way(folder / "tutorial")
    return {"project": (project / "app", project / "package"), "tutorial": (tutorial, project / "package")}


@pytest.mark.parametrize("way", ["project", "tutorial"])
def test_realistic_application(way: str, realistic: dict[str, tuple[Path, Path]]) -> None:
    """Both ways answer a request of each kind alike, and the application is as large as is said of it."""
    python = interpreter("python3.13")
    if python is None:
        pytest.fail("no python3.13 here") if CI else pytest.skip("no python3.13 here; `uv python install 3.13`")
    with Emulator(python, *realistic[way]) as emulator:
        for name, (event, status, part) in REQUESTS.items():
            answer = emulator.invoke(event)
            assert (answer["statusCode"], part in answer["body"]) == (status, True), (name, answer)
        sales = http_api("/reports/sales")
        sales["requestContext"]["authorizer"] = STAFF
        assert emulator.invoke(sales)["statusCode"] == 200
        schema = json.loads(emulator.invoke(http_api("/openapi.json"))["body"])
    routes = [route for path in schema["paths"].values() for route in path]
    ours = {
        name.removesuffix("-Input").removesuffix("-Output")
        for name, each in schema["components"]["schemas"].items()
        if "properties" in each
    }
    forms = {name for name in ours if name.startswith("Body_")}  # made by FastAPI, called by their operations
    models = ours - forms - {"HTTPValidationError", "ValidationError"}
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert f"{len(routes)} routes in eight routers, {len(models)} models" in text
    assert len(routes) >= 30
    assert len(models) >= 40
