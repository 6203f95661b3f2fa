"""Whole deployments with SAM and osls on ministack, as a user types them; test_deploy.py has those of deploy.py."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, Bake
from tests.machine import ARCHITECTURE, BIN, clean_environment, links, with_node
from tests.ministack import Ministack
from tests.sam import sam
from tests.serverless import node_modules, osls, run
from tests.terminal import Terminal
from tests.test_first_hour import Project
from tests.test_layer import build
from tests.wheels import make_wheel


class Service:
    """A project that is deployed under a name of its own, as its stage dev unless it says otherwise."""

    def __init__(self, folder: Path, ministack: Ministack) -> None:
        self.folder, self.ministack, self.name = folder, ministack, folder.name
        self.stack = f"{self.name}-dev"
        self.url = ""

    def deploy(self, *options: str) -> str:
        """Deploy, and return what is said; the address is kept."""
        raise NotImplementedError

    def script(self, name: str, *arguments: str, code: int = 0) -> str:
        """Run a script of the project, and return what it says."""
        home, settings = self.folder.parent / "home", self.ministack.environment
        result = subprocess.run(
            [sys.executable, "-B", f"scripts/{name}.py", *arguments],
            cwd=self.folder,
            env=clean_environment(home, Path(sys.executable).parent, **settings),
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def logs(self) -> str:
        """Return what the function has logged, as logs.py shows the lines of each request."""
        logs, group = self.ministack.client("logs"), self.ministack.outputs(self.stack)["ApiLogGroupName"]
        return "".join(each["message"] for each in logs.filter_log_events(logGroupName=group)["events"])

    def item(self) -> str:
        """Return the name of the item 42."""
        status, body = self.get("items/42")
        assert status == 200, body
        return json.loads(body)["name"]

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
        """Build and deploy, as `make deploy` does."""
        self.script("stage", "before")
        self.run("build")
        said = self.run("deploy", *options)
        outputs = self.script("stage", "after")
        if not self.url:
            self.url = self.printed(said)
            assert f"ApiUrl: {self.url}\n" in outputs
            self.ministack.add_routes(self.stack)
        return said

    def printed(self, said: str) -> str:
        """Return the address among the outputs that are printed."""
        return re.search(r"^Key +ApiUrl *$[^$]*?^Value +(https://\S+/) *$", said, re.MULTILINE)[1]


class Osls(Service):
    """A project that osls deploys."""

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


@pytest.fixture
def service(bake: Bake, ministack: Ministack, tmp_path: Path) -> Callable[..., Service]:
    """Return a function that makes a project of a name for a deployer, behind an HTTP API unless it says otherwise."""

    def make(kind: type[Service], name: str, **answers: object) -> Service:
        deployer = {Sam: "sam", Osls: "serverless"}[kind]
        answers |= {"deployer": deployer, "project_slug": name, "architecture": ARCHITECTURE, "build_layer": True}
        shutil.copytree(bake(**answers), tmp_path / name)
        return kind(tmp_path / name, ministack)

    return make


@pytest.mark.deployment
def test_life_with_sam(service: Callable[..., Sam], ministack: Ministack) -> None:
    """Created, a parameter, which is kept, nothing to change, code, dependency, back twice, away: served."""
    life = service(Sam, "sam-life")
    life.deploy()
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')
    assert life.get("items/43")[0] == 404
    assert life.post("items", '{"name":"A lamp"}')[0] == 201
    assert life.get("docs")[0] == 200

    said = life.deploy("--parameter-overrides", "Docs=off")
    assert uploads(said) == []
    assert life.get("docs")[0] == 404

    said = life.deploy()
    assert "No changes to deploy. Stack sam-life-dev is up to date" in said
    assert uploads(said) == []
    assert life.get("docs")[0] == 404

    life.replace("app/items.py", '"Item 42"', '"Thing 42"')
    assert uploads(life.deploy()) == ["archive", "template"]
    assert life.item() == "Thing 42"

    (before,) = ministack.function("sam-life-dev")["Layers"]
    life.need_tiny()
    assert uploads(life.deploy()) == ["archive", "archive", "template"]
    (layer,) = ministack.function("sam-life-dev")["Layers"]
    assert layer["Arn"] != before["Arn"]
    assert life.item() == "Tiny 1"
    assert life.get("docs")[0] == 404

    back = []
    for name, docs in (("Thing 42", 404), ("Item 42", 404)):
        back += re.findall(r"What differs: (.*)\.$", life.script("stage", "rollback"), re.MULTILINE)
        assert (life.item(), life.get("docs")[0]) == (name, docs)
    assert back == ["code, layer", "code"]
    assert archives(ministack, "sam-life") != set()

    kinds = {"stack", "function", "layer", "log group", "role", "API"}
    assert set(ministack.resources("sam-life")) == kinds
    life.script("stage", "delete", "--yes")
    assert ministack.resources("sam-life") == {}
    assert archives(ministack, "sam-life") == set()


@pytest.mark.deployment
def test_life_with_osls(service: Callable[..., Osls], ministack: Ministack) -> None:
    """Created, nothing to change, a parameter, for once, code, back, again, alone, dependency, back twice, and away."""
    life = service(Osls, "osls-life")
    assert "Service deployed to stack osls-life-dev" in life.deploy()
    info = run(life.folder, ministack, "npx", "sls", "info", "--verbose")
    assert f"ApiUrl: {life.url}\n" in info.stdout
    assert life.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')
    assert life.get("items/43")[0] == 404
    assert life.post("items", '{"name":"A lamp"}')[0] == 201
    assert life.get("docs")[0] == 200
    assert "there is no record of a release of osls-life-dev before the one that is" in life.run("rollback", code=1)

    (before,) = ministack.function("osls-life-dev")["Layers"]

    assert "No changes to deploy. Deployment skipped." in life.deploy()

    life.deploy("--param=docs=off")
    assert life.get("docs")[0] == 404

    life.replace("app/items.py", '"Item 42"', '"Thing 42"')
    life.deploy()
    assert life.item() == "Thing 42"
    assert life.get("docs")[0] == 200
    assert ministack.function("osls-life-dev")["Layers"] == [before], "it has not changed"

    assert "rolled back" in life.run("rollback")
    assert (life.item(), life.get("docs")[0]) == ("Item 42", 404)
    life.deploy()
    assert life.item() == "Thing 42", "it is deployed again, although it is the newest in the bucket"

    life.replace("app/items.py", '"Thing 42"', '"Other 42"')
    assert "Function code deployed" in life.run("deploy", "function", "-f", "api")
    assert life.item() == "Other 42"

    life.need_tiny()
    life.deploy()
    (layer,) = ministack.function("osls-life-dev")["Layers"]
    assert layer["Arn"] != before["Arn"]
    assert life.item() == "Tiny 1"

    # Not to the release that was rolled back.
    for name, docs in (("Thing 42", 200), ("Item 42", 404)):
        life.run("rollback")
        assert (life.item(), life.get("docs")[0]) == (name, docs)

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
    stage = "dev/" if api == "rest_api" else ""
    assert other.url.partition("//")[2].partition("/")[2] == stage
    assert other.get("items/42") == (200, '{"item_id":42,"name":"Item 42"}')
    assert f"GET /{stage}items/42 200" in other.logs()
    assert f"url: '/{stage}openapi.json'" in other.get("docs")[1]
    assert "/items/{item_id}" in json.loads(other.get("openapi.json")[1])["paths"]
    if api == "rest_api":
        gateway, rest_api = ministack.client("apigateway"), other.url.partition("//")[2].partition(".")[0]
        assert gateway.get_stage(restApiId=rest_api, stageName="dev")["tracingEnabled"] is True


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
    stack = f"{name}-dev"
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
@pytest.mark.parametrize("deployer", ["sam", "serverless"])
def test_commands(deployer: str, bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """`make` deploys prod beside dev, rolls it back, shows its log, and deletes both, prod when it is not protected."""
    name = f"made-{deployer}"
    shutil.copytree(bake(deployer=deployer, project_slug=name, architecture=ARCHITECTURE), tmp_path / name)
    project = Project(tmp_path / name, tmp_path / "home")
    tools = links(with_node(tmp_path / "bin") / "sam", sam=BIN / "sam")
    more = ministack.environment | {"SAM_CLI_POLL_DELAY": "0.1", "SLS_AWS_MONITORING_FREQUENCY": "100"}
    project.environment = clean_environment(tmp_path / "home", tools, tools.parent, UV_PYTHON_DOWNLOADS="never", **more)
    # An environment variable of that name is not meant for make.
    project.environment["STAGE"] = "prod"
    cloudformation, stack = ministack.client("cloudformation"), f"{name}-prod"

    def protected() -> dict[str, bool]:
        found = cloudformation.describe_stacks()["Stacks"]
        return {each["StackName"]: each["EnableTerminationProtection"] for each in found if name in each["StackName"]}

    project.make("deploy")
    project.make("deploy", "STAGE=prod")
    assert protected() == {f"{name}-dev": False, stack: True}
    assert "DocsUrl" in ministack.outputs(f"{name}-dev")
    before = ministack.function(stack)["CodeSha256"]
    project.change("app/items.py", '"Item 42"', '"Thing 42"')
    project.make("deploy", "STAGE=prod")
    assert ministack.function(stack)["CodeSha256"] != before
    project.make("rollback", "STAGE=prod")
    assert ministack.function(stack)["CodeSha256"] == before
    assert "DocsUrl" not in ministack.outputs(stack)

    logs, group = ministack.client("logs"), ministack.outputs(stack)["ApiLogGroupName"]
    logs.create_log_stream(logGroupName=group, logStreamName="written")
    message = '{"requestId": "a-1", "level": "INFO", "message": "sold"}'
    event = {"timestamp": int(time.time() * 1000), "message": message}
    logs.put_log_events(logGroupName=group, logStreamName="written", logEvents=[event])
    assert project.make("logs", "STAGE=prod", "REQUEST=a-1", "SINCE=1h").count("INFO a-1 sold\n") == 1

    def delete(which: str, typed: str) -> tuple[int, str]:
        terminal = Terminal([shutil.which("make"), "delete", f"STAGE={which}"], project.folder, project.environment)
        terminal.type(f"{typed}\n", after=f"Type {name}-{which} to delete")
        return terminal.end(), terminal.shown

    everything = archives(ministack, name if deployer == "sam" else f"serverless/{name}")
    assert delete("dev", "yes")[0] != 0
    refused = project.make("delete", "STAGE=prod", code=2) if deployer == "sam" else delete("prod", stack)[1]
    assert f"update-termination-protection --no-enable-termination-protection --stack-name {stack}" in refused
    assert archives(ministack, name if deployer == "sam" else f"serverless/{name}") == everything
    assert set(protected()) == {f"{name}-dev", stack}
    assert delete("dev", f"{name}-dev")[0] == 0
    cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=False)
    assert delete("prod", stack)[0] == 0
    assert set(ministack.resources(name)) == {"log group"}
    assert ministack.resources(f"{name}-dev") == {}
    assert archives(ministack, name) | archives(ministack, f"serverless/{name}") == set()


def uploads(said: str) -> list[str]:
    """Return what SAM says that it uploads, in its order of names."""
    names = set(re.findall(r"Uploading to (\S+)", said))
    return sorted("template" if name.endswith(".template") else "archive" for name in names)


def archives(ministack: Ministack, name: str) -> set[str]:
    """Return the keys of the objects in all buckets that start with a name."""
    s3 = ministack.client("s3")
    buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    listed = [s3.list_objects_v2(Bucket=bucket).get("Contents", []) for bucket in buckets]
    return {each["Key"] for objects in listed for each in objects if each["Key"].startswith(name)}
