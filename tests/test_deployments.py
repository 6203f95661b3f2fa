"""Whole deployments with SAM and osls on ministack, as a user types them; test_deploy.py has those of deploy.py."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, Bake
from tests.machine import ARCHITECTURE, BIN, clean_environment, links, with_node
from tests.ministack import Ministack
from tests.sam import sam
from tests.serverless import node_modules, osls, run
from tests.test_first_hour import Project
from tests.test_layer import build
from tests.wheels import make_wheel


class Service:
    """A project that is deployed under a name of its own."""

    def __init__(self, folder: Path, ministack: Ministack) -> None:
        self.folder, self.ministack, self.name = folder, ministack, folder.name
        self.url = ""

    def deploy(self, *options: str) -> str:
        """Deploy, and return what is said; the address is kept."""
        raise NotImplementedError

    def logs(self) -> str:
        """Return the log of the function."""
        raise NotImplementedError

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file, which is there."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of what the service answers at a path."""
        return self.answer(path, None)

    def post(self, path: str, body: str) -> tuple[int, str]:
        """Return the status and the body of what the service answers to this JSON."""
        return self.answer(path, body.encode())

    def answer(self, path: str, body: bytes | None) -> tuple[int, str]:
        """Send a request to the address that the deployment printed."""
        status, answer = self.ministack.call(f"{self.url}{path}", body)
        return status, answer.decode()

    def readme(self) -> str:
        """Return the text of README.md in one line."""
        return " ".join((self.folder / "README.md").read_text(encoding="utf-8").split())

    def need_tiny(self) -> None:
        """Let the code need a package that a folder of the project has, and lock it, as the README says."""
        make_wheel(self.folder / "wheels", "tiny")
        self.replace("pyproject.toml", "\ndependencies = [\n", '\ndependencies = [\n    "tiny",\n')
        self.replace("pyproject.toml", "\npackage = false\n", '\npackage = false\nfind-links = ["wheels"]\n')
        result = build(self.folder, "lock")
        assert result.returncode == 0, result.stderr
        self.replace("app/items.py", "from fastapi import ", "import tiny\nfrom fastapi import ")
        text = (self.folder / "app" / "items.py").read_text(encoding="utf-8")
        self.replace("app/items.py", re.search(r'"\w+ 42"', text)[0], 'f"Tiny {tiny.value}"')


class Sam(Service):
    """A project that `sam` deploys."""

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run the SAM CLI, and return what it says."""
        settings = self.ministack.environment | {"SAM_CLI_POLL_DELAY": "0.1"}
        result = sam(self.folder, *arguments, **settings)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def deploy(self, *options: str) -> str:
        """Build and deploy."""
        self.run("build")
        said = self.run("deploy", *options)
        if not self.url:
            self.url = self.printed(said)
            self.ministack.add_routes(self.name)
        return said

    def logs(self) -> str:
        """Let SAM show the log."""
        return self.run("logs")

    def printed(self, said: str) -> str:
        """Return the address among the outputs that are printed."""
        return re.search(r"^Key +ApiUrl *$[^$]*?^Value +(https://\S+/) *$", said, re.MULTILINE)[1]


class Osls(Service):
    """A project that osls deploys, as its stage prod."""

    def __init__(self, folder: Path, ministack: Ministack) -> None:
        super().__init__(folder, ministack)
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(node_modules(folder))

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run osls, and return what it says."""
        result = osls(self.folder, self.ministack, *arguments)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def deploy(self, *options: str) -> str:
        """Deploy."""
        said = self.run("deploy", *options)
        if not self.url:
            self.url = re.search(r"^endpoints?:\s+(?:ANY - )?(https://\S+)$", said, re.MULTILINE)[1].rstrip("/") + "/"
        return said

    def logs(self) -> str:
        """Let osls show the log."""
        return self.run("logs", "-f", "api")


@pytest.fixture
def service(bake: Bake, ministack: Ministack, tmp_path: Path) -> Callable[..., Service]:
    """Return a function that makes a project of a name for a deployer, behind an HTTP API unless it says otherwise."""

    def make(kind: type[Service], name: str, **answers: object) -> Service:
        deployer = {Sam: "sam", Osls: "serverless"}[kind]
        answers |= {"deployer": deployer, "project_slug": name, "architecture": ARCHITECTURE, "build_layer": True}
        shutil.copytree(bake(**answers), tmp_path / name)
        return kind(tmp_path / name, ministack)

    return make


def test_life_with_sam(service: Callable[..., Sam], ministack: Ministack) -> None:
    """Created, a parameter, which is kept, nothing to change, the code, a dependency, and away: all is served."""
    life = service(Sam, "sam-life")
    life.deploy()
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')
    assert life.get("items/43")[0] == 404
    assert life.post("items", '{"name":"A lamp"}')[0] == 201
    assert life.get("docs")[0] == 200

    said = life.run("deploy", "--parameter-overrides", "Docs=off")
    assert uploads(said) == []
    assert life.get("docs")[0] == 404

    said = life.deploy()
    assert "No changes to deploy. Stack sam-life is up to date" in said
    assert uploads(said) == []
    assert life.get("docs")[0] == 404
    assert "The stack keeps a value until it gets another one." in life.readme()

    life.replace("app/items.py", '"Item 42"', '"Thing 42"')
    assert uploads(life.deploy()) == ["archive", "template"]
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Thing 42"}')

    (before,) = ministack.function("sam-life")["Layers"]
    life.need_tiny()
    assert uploads(life.deploy()) == ["archive", "archive", "template"]
    (layer,) = ministack.function("sam-life")["Layers"]
    assert layer["Arn"] != before["Arn"]
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Tiny 1"}')
    assert life.get("docs")[0] == 404

    assert set(ministack.resources("sam-life")) == {"stack", "function", "layer", "log group", "role", "API"}
    life.run("delete", "--no-prompts")
    assert ministack.resources("sam-life") == {}


def test_life_with_osls(service: Callable[..., Osls], ministack: Ministack) -> None:
    """Created, nothing to change, a parameter, for once, the code, that alone, back, a dependency, and away."""
    life = service(Osls, "osls-life")
    assert "Service deployed to stack osls-life-prod" in life.deploy()
    info = run(life.folder, ministack, "npx", "sls", "info", "--verbose")
    assert f"ApiUrl: {life.url}\n" in info.stdout
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')
    assert life.get("items/43")[0] == 404
    assert life.post("items", '{"name":"A lamp"}')[0] == 201
    assert life.get("docs")[0] == 200

    (before,) = ministack.function("osls-life-prod")["Layers"]

    assert "No changes to deploy. Deployment skipped." in life.deploy()

    life.deploy("--param=docs=off")
    assert life.get("docs")[0] == 404

    life.replace("app/items.py", '"Item 42"', '"Thing 42"')
    life.deploy()
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Thing 42"}')
    assert life.get("docs")[0] == 200
    assert "Later deployments without the option take the default again" in life.readme()
    assert ministack.function("osls-life-prod")["Layers"] == [before], "it has not changed"

    life.replace("app/items.py", '"Thing 42"', '"Other 42"')
    assert "Function code deployed" in life.run("deploy", "function", "-f", "api")
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Other 42"}')

    timestamp = re.search(r"Timestamp: (\d+)", life.run("deploy", "list"))[1]
    assert "rolled back" in life.run("rollback", "-t", timestamp)
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')

    life.need_tiny()
    life.deploy()
    (layer,) = ministack.function("osls-life-prod")["Layers"]
    assert layer["Arn"] != before["Arn"]
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Tiny 1"}')

    kinds = {"stack", "function", "layer", "log group", "role", "API", "bucket"}
    assert set(ministack.resources("osls-life")) == kinds
    assert "successfully removed" in life.run("remove")
    assert ministack.resources("osls-life") == {}


@pytest.mark.deployment
@pytest.mark.parametrize("kind", [Sam, Osls])
@pytest.mark.parametrize("api", CONTEXT["api"][1:])
def test_other_front_ends(api: str, kind: type[Service], service: Callable[..., Service], ministack: Ministack) -> None:
    """The printed address answers, below the stage of a REST API, and /docs finds the schema there; it is logged."""
    name = f"{kind.__name__.lower()}-{api.replace('_', '-')}"
    other = service(kind, name, api=api)
    other.deploy()
    stage = "prod/" if api == "rest_api" else ""
    assert other.url.partition("//")[2].partition("/")[2] == stage
    assert other.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')
    assert f"GET /{stage}items/42 200" in other.logs()
    assert f"url: '/{stage}openapi.json'" in other.get("docs")[1]
    assert "/items/{item_id}" in json.loads(other.get("openapi.json")[1])["paths"]
    if api == "rest_api":
        gateway, rest_api = ministack.client("apigateway"), other.url.partition("//")[2].partition(".")[0]
        # osls switches it on by a call after the deployment.
        assert gateway.get_stage(restApiId=rest_api, stageName="prod")["tracingEnabled"] is True


@pytest.mark.deployment
@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_first_hour(deployer: str, bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """What a newcomer has made of the example is served after the command of the README, in a fresh project."""
    name = f"hour-{deployer}"
    shutil.copytree(bake(deployer=deployer, project_slug=name, architecture=ARCHITECTURE), tmp_path / name)
    project = Project(tmp_path / name, tmp_path / "home")
    project.replace_the_example()
    readme = (project.folder / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^## Deploy\n.*?^```\n(.+?)\n```", readme, re.MULTILINE | re.DOTALL)[1]
    tools = links(with_node(tmp_path / "bin") / "sam", sam=BIN / "sam")
    more = ministack.environment | {"SAM_CLI_POLL_DELAY": "0.1", "SLS_AWS_MONITORING_FREQUENCY": "100"}
    environment = clean_environment(tmp_path / "home", tools, tools.parent, UV_PYTHON_DOWNLOADS="never", **more)
    result = subprocess.run(
        ["sh", "-c", command],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    stack = f"{name}-prod" if deployer == "serverless" else name
    url = ministack.outputs(stack)["ApiUrl"]
    assert url in result.stdout
    if deployer != "serverless":
        ministack.add_routes(stack)
    order = b'{"article":"lamp","order_id":1,"currency":"EUR"}'
    assert ministack.call(f"{url}orders", b'{"article": "lamp"}') == (201, order)
    assert ministack.call(f"{url}orders/1") == (200, order)
    assert ministack.call(f"{url}orders/2")[0] == 404
    assert ministack.call(f"{url}static/shop.css") == (200, b"a { color: green }\n")


@pytest.mark.deployment
def test_stages_with_sam(service: Callable[..., Sam], ministack: Ministack) -> None:
    """The command of the README deploys a stage beside the stack; deleting it leaves the stack and its archives."""
    stages = service(Sam, "sam-stages")
    stages.deploy()

    def archives() -> set[str]:
        s3 = ministack.client("s3")
        buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        listed = [s3.list_objects_v2(Bucket=bucket).get("Contents", []) for bucket in buckets]
        return {each["Key"] for objects in listed for each in objects if each["Key"].startswith("sam-stages")}

    before = archives()
    command = re.search(r"`sam (deploy --stack-name sam-stages-dev\b[^`]*)`", stages.readme())[1].split()
    stages.run(*command)
    assert {key.partition("/")[0] for key in archives()} == {"sam-stages", "sam-stages-dev"}
    stages.run("delete", "--no-prompts", "--stack-name", "sam-stages-dev")
    assert "stack" not in ministack.resources("sam-stages-dev")
    assert archives() == before
    assert stages.get("items/42")[0] == 200
    stages.run("delete", "--no-prompts")
    assert archives() == set()


def uploads(said: str) -> list[str]:
    """Return what SAM says that it uploads, in its order of names."""
    names = set(re.findall(r"Uploading to (\S+)", said))
    return sorted("template" if name.endswith(".template") else "archive" for name in names)
