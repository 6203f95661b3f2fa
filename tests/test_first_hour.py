"""The first hour with a new project: what a newcomer changes, in their order, and what must still work."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CONTEXT, Bake
from tests.emulator import Emulator
from tests.events import http_api
from tests.machine import ARCHITECTURE, BIN, clean_environment, free_port, interpreter, links
from tests.parsers import read_yaml
from tests.sam import translate
from tests.test_updates import ITEMS, Git, change

PYTHON = interpreter("python3.13")
ORIGIN = "https://shop.example.com"
# An extra, capitals, an underscore and a space, as people write them.
DEPENDENCIES = '    "Pydantic_Settings[yaml] >= 2",\n    "PyJWT>=2",\n'

ROUTER = '''"""Orders."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

import settings

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/orders", tags=["orders"])


class NewOrder(BaseModel):
    """What a customer asks for."""

    article: str


class Order(NewOrder):
    """An order, as it is stored."""

    order_id: int
    currency: str


async def get_orders(request: Request) -> dict[int, Order]:
    """Return the orders, which the lifespan has made."""
    orders: dict[int, Order] = request.state.orders
    return orders


Orders = Annotated[dict[int, Order], Depends(get_orders)]


@router.post("", status_code=201)
async def create_order(new: NewOrder, orders: Orders) -> Order:
    """Take an order."""
    order = Order(article=new.article, order_id=len(orders) + 1, currency=settings.CURRENCY)
    orders[order.order_id] = order
    logger.info("order %d is new", order.order_id)
    return order


@router.get("/{order_id}", responses={404: {"description": "There is no such order"}})
async def read_order(order_id: int, orders: Orders) -> Order:
    """Return one order."""
    if order_id not in orders:
        raise HTTPException(404, "There is no such order")
    return orders[order_id]
'''

TEST = """from fastapi.testclient import TestClient

from conftest import Call


def test_create(client: TestClient) -> None:
    assert client.post("/orders", json={"article": "lamp"}).json()["order_id"] == 1
    assert client.get("/orders/1").json() == {"article": "lamp", "order_id": 1, "currency": "EUR"}


def test_unknown(call: Call) -> None:
    assert call("/orders/1", query={"of": "me"}, headers={"accept": "*/*"})[0] == 404
    assert call("/orders", "POST", body={"article": "lamp"})[0] == 201
    assert call("/orders/1")[0] == 200


def test_static_file(client: TestClient) -> None:
    assert "green" in client.get("/static/shop.css").text
"""

LIFESPAN = '''

@asynccontextmanager
async def lifespan( _: FastAPI ) -> AsyncGenerator[dict[str, Any]] :
    """Make what all requests share."""
    yield {'orders': {}}
'''

# What works on a developer's machine and not on Lambda, as a line of a module, and what says so.
ONLY_HERE = {
    'open("app/settings.py").close()': "No such file or directory: 'app/settings.py'",
    'open("notes.txt", "w").close()': "Lambda's files are read-only",
    "import pytest": "pytest is not in the layer",
    'import socket; socket.create_connection(("127.0.0.1", PORT))': "the import of main opens a connection",
}


class Project:
    """A rendered project, on a machine with uv."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        commands = links(home / "bin", uv=BIN / "uv", python3=PYTHON)
        self.environment = clean_environment(home, commands, UV_PYTHON_DOWNLOADS="never")

    def run(self, *command: str | Path, code: int = 0) -> str:
        """Run a command, and return what it prints on both streams."""
        result = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, encoding="utf-8")
        assert (result.returncode == 0) == (code == 0), result.stdout + result.stderr
        return result.stdout + result.stderr

    def make(self, *arguments: str, code: int = 0) -> str:
        """Run `make`."""
        return self.run("make", *arguments, code=code)

    def test(self, name: str, code: int = 0) -> str:
        """Run one of the project's tests."""
        return self.run(".venv/bin/python", "-m", "pytest", "-q", "-k", name, code=code)

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file."""
        change(self.folder / path, old, new)

    def replace_the_example(self) -> None:
        """Put the newcomer's router in the place of the example."""
        event = json.loads((self.folder / "events" / "create-item.json").read_text(encoding="utf-8"))
        text = json.dumps(event | {"body": json.dumps({"article": "lamp"})}, indent=2).replace("items", "orders")
        for path in ("app/items.py", "tests/test_items.py", "events/create-item.json", "events/get-item.json"):
            (self.folder / path).unlink()
        self.write("events/create-order.json", f"{text}\n")
        self.write("app/orders.py", ROUTER)
        self.write("tests/test_orders.py", TEST)
        self.write("app/static/shop.css", "a { color: green }\n")
        self.change("app/main.py", "import items\n", "import orders\n")
        more = 'app.include_router(orders.router)\napp.mount("/static", StaticFiles(directory="static"))\n'
        self.change("app/main.py", "app.include_router(items.router)\n", more)
        self.change("app/main.py", "from fastapi import FastAPI\n", "from fastapi import FastAPI\n" + STATIC)
        self.change("app/main.py", "import gc\n", "from contextlib import asynccontextmanager\nimport gc\n" + GENERATOR)
        self.change("app/main.py", "\napp = FastAPI(\n", f"{LIFESPAN}\napp = FastAPI(\n    lifespan=lifespan,\n")
        self.change("app/settings.py", "\nDOCS =", '\nCURRENCY = os.environ.get("CURRENCY", "EUR")\nDOCS =')

    def unpacked(self) -> tuple[Path, Path]:
        """Return the folders that the archives in dist/ make on Lambda: of the function, and of the layer."""
        target = self.folder.parent / "unpacked"
        for name in ("function", "layer"):
            shutil.unpack_archive(self.folder / "dist" / f"{name}.zip", target / name)
        return target / "function", target / "layer"


STATIC = "from fastapi.staticfiles import StaticFiles\n"
GENERATOR = "from collections.abc import AsyncGenerator\n"


def orders(emulator: Emulator) -> list[Any]:
    """Create an order, read it and an unknown one, and return the answers."""
    body, headers = json.dumps({"article": "lamp"}), {"content-type": "application/json", "origin": ORIGIN}
    created = emulator.invoke(http_api("/orders", method="POST", body=body, send=headers))
    return [created, *(emulator.invoke(http_api(f"/orders/{number}")) for number in (1, 2))]


@pytest.mark.deployment
def test_first_hour(clone: Path, tmp_path: Path) -> None:
    """With SAM, from `cruft create` to `cruft update`."""
    git = Git(tmp_path / "git")
    git.commit(clone, "first version")
    answers = json.dumps({"architecture": ARCHITECTURE, "build_layer": False})
    git(tmp_path, "cruft", "create", clone, "--no-input", "--extra-context", answers, "--output-dir", tmp_path)
    project = Project(tmp_path / "orders-api", tmp_path / "home")
    git.commit(project.folder, "created")

    # Dependencies. A lock without its layer is named by the tests, with the command.
    project.change("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{DEPENDENCIES}")
    project.make("lock", "install", "layer")
    assert {"jwt", "yaml", "pydantic_settings"} <= {p.name for p in (project.folder / "package" / "python").iterdir()}
    lock = (project.folder / "app" / "requirements.txt").read_text(encoding="utf-8")
    project.write("app/requirements.txt", f"{lock}# pulled\n")
    assert re.search(r"package/python is out of date .*; `make layer` builds it", project.test("layer", code=1))
    project.write("app/requirements.txt", lock)

    # The sample events, as the README has them.
    assert "\n200\n" in project.make("invoke")
    assert "\n201\n" in project.make("invoke", "EVENT=events/create-item.json")

    # A router of one's own. The older way to write a dependency is refused by the name of the newer one, and a finding
    # that nothing can fix does not keep `make format` from its work.
    project.replace_the_example()
    project.change("app/orders.py", "orders: Orders) -> Order:", "orders: dict = Depends(get_orders))->Order:")
    assert "FAST002" in project.make("format")
    assert "-> Order:" in (project.folder / "app" / "orders.py").read_text(encoding="utf-8")
    findings = project.make("lint", code=1)
    assert "FAST002" in findings and "B008" not in findings
    project.change("app/orders.py", "orders: dict = Depends(get_orders)", "orders: Orders")

    # The infrastructure: a setting, an origin, another function, and a permission, in the wrong place first.
    template = "template.yaml"
    project.change(template, "          DOCS: !Ref Docs\n", "          DOCS: !Ref Docs\n          CURRENCY: DKK\n")
    project.change(
        template, 'AllowedOrigins: {Type: String, Default: ""', f'AllowedOrigins: {{Type: String, Default: "{ORIGIN}"'
    )
    project.change(
        template,
        "      Handler: main.handler\n",
        "      Handler: main.handler\n      Policies: [AmazonSSMReadOnlyAccess]\n",
    )
    assert "write the statement into ApiRole, not into ApiFunction" in project.test("permissions", code=1)
    project.change(template, "      Policies: [AmazonSSMReadOnlyAccess]\n", "")
    text = (project.folder / template).read_text(encoding="utf-8")
    commented = re.search(r"(?m)^ +# - Effect: Allow\n( +#   .*\n)+", text)[0]
    text = text.replace(commented, re.sub(r"# ", "", commented))
    function = re.search(r"(?ms)^  ApiFunction:.*?(?=^  \w)", text)[0].replace("ApiFunction", "NightFunction")
    function = re.sub(r"Runtime: (\S+)", r'Runtime: "\1"', re.sub(r"(?ms)^      Events:.*", "\n", function))
    project.write(template, text.replace("  DependenciesLayer:\n", f"{function}  DependenciesLayer:\n", 1))
    resources = translate(project.folder / template, "us-east-1")["Resources"]
    statements = resources["ApiRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert "ssm:GetParameter" in [statement.get("Action") for statement in statements]

    # All that is done before each commit.
    for target in ("format", "lint", "test", "zip"):
        project.make(target)
    called = project.make("invoke")
    assert "\n201\n" in called and "INFO: orders: order 1 is new" in called

    # On this machine, at another port, with the log of one's own code.
    port = str(free_port())
    url, log = f"http://127.0.0.1:{port}/static/shop.css", tmp_path / "run.log"
    with log.open("w") as output:
        run = subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=project.folder,
            env=project.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        assert "green" in answer(url)
        order = urllib.request.Request(f"http://127.0.0.1:{port}/orders", b'{"article": "lamp"}')  # noqa: S310
        order.add_header("content-type", "application/json")
        assert json.loads(answer(order))["order_id"] == 1
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait(10)
    assert "INFO: orders: order 1 is new" in log.read_text(encoding="utf-8")

    # On Lambda.
    variables = read_yaml((project.folder / template).read_text(encoding="utf-8"))
    origin = variables["Parameters"]["AllowedOrigins"]["Default"]
    with Emulator(PYTHON, *project.unpacked(), ALLOWED_ORIGINS=origin, CURRENCY="DKK") as emulator:
        created, read, unknown = orders(emulator)
        assert (created["statusCode"], read["statusCode"], unknown["statusCode"]) == (201, 200, 404)
        assert json.loads(read["body"]) == {"article": "lamp", "order_id": 1, "currency": "DKK"}
        assert created["headers"]["access-control-allow-origin"] == ORIGIN
        assert "green" in emulator.invoke(http_api("/static/shop.css"))["body"]

    # What works on this machine only is found before it is deployed.
    settings = (project.folder / "app" / "settings.py").read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as database:
        for line, reason in ONLY_HERE.items():
            line = line.replace("PORT", str(database.getsockname()[1]))
            project.write("app/settings.py", f"{settings}\n{line}\n")
            assert reason in project.test("start_as_lambda", code=1)
    project.write("app/settings.py", settings)
    (project.folder / "app" / "notes.txt").unlink()

    # A later version of the template, also of what is no longer there.
    git.commit(project.folder, "mine")
    rendered = clone / "{{cookiecutter.project_slug}}"
    change(rendered / "app" / "middleware.py", "Put the middleware around", "Put each middleware around")
    change(rendered / "app" / ITEMS, "One item.", "One item of many.")
    change(rendered / "README.md", "## Commands", "## Every-day commands")
    git.commit(clone, "second version")
    git(project.folder, "cruft", "update", "--skip-apply-ask")
    changed = {line[3:] for line in git(project.folder, "git", "status", "--porcelain").splitlines()}
    assert changed == {".cruft.json", "README.md", "app/middleware.py"}


@pytest.mark.deployment
@pytest.mark.parametrize("deployer", CONTEXT["deployer"][1:])
def test_first_hour_of_the_others(deployer: str, bake: Bake, tmp_path: Path) -> None:
    """With the other deployers: a router of one's own, a permission, archives, and an answer on Lambda."""
    shutil.copytree(bake(deployer=deployer, architecture=ARCHITECTURE, build_layer=True), tmp_path / "project")
    project = Project(tmp_path / "project", tmp_path / "home")
    project.make("install")
    project.replace_the_example()
    project.make("format")
    if deployer == "serverless":
        project.change("serverless.yml", "provider:\n", "provider:\n  iam:\n    role: {statements: []}\n")
        assert "write the statement into IamRoleLambdaExecution" in project.test("permissions", code=1)
        project.change("serverless.yml", "  iam:\n    role: {statements: []}\n", "")
    project.make("test")
    project.make("zip")
    with Emulator(PYTHON, *project.unpacked()) as emulator:
        assert [response["statusCode"] for response in orders(emulator)] == [201, 200, 404]


def answer(request: str | urllib.request.Request) -> str:
    """Return the body of a response, once a server that has just been started answers."""
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - it is ours
                return response.read().decode()
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.05)
