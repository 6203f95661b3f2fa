"""Fixtures: `bake` renders the template, `variant` gives each named set of answers in turn."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from allpairspy import AllPairs
from filelock import FileLock
from hypothesis import settings

from cookiecutter_fastapi_lambda.rules import CHOICES
from tests.machine import CI, RUNTIMES, UV, interpreter
from tests.ministack import Ministack
from tests.serverless import copy, osls

# Cookiecutter renders whatever lies in the template folder, so nothing may be left there or in hooks/.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
os.environ["SAM_CLI_TELEMETRY"] = "0"

# Elsewhere each run tries other examples; a job must not fail for what its commit has not changed.
settings.register_profile("ours", deadline=None, derandomize=CI)
settings.load_profile("ours")

ROOT = Path(__file__).resolve().parent.parent
# The questions; those with choices are texts in the file, so that Cookiecutter leaves it to the rules to refuse one.
CONTEXT = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
CONTEXT |= {question: [*choices] for question, choices in CHOICES.items()}
QUESTIONS = [name for name in CONTEXT if not name.startswith("_")]

Bake = Callable[..., Path]
Venv = Callable[[Path, Path], Path]
Package = Callable[..., tuple[Path, str]]

NAMED: dict[str, dict[str, object]] = {
    "default": {},
    "python3.14": {"runtime": "python3.14"},
    "python3.12-x86": {"runtime": "python3.12", "architecture": "x86_64"},
    "python3.11-x86": {"runtime": "python3.11", "architecture": "x86_64", "aws_region": "eu-central-1"},
    "rest_api": {"api": "rest_api"},
    "function_url": {"api": "function_url", "architecture": "x86_64", "runtime": "python3.12"},
    "serverless": {"deployer": "serverless"},
    "serverless-rest_api": {"deployer": "serverless", "api": "rest_api", "runtime": "python3.14"},
    "serverless-function_url": {"deployer": "serverless", "api": "function_url", "architecture": "x86_64"},
    "zip": {"deployer": "zip"},
    "zip-rest_api": {"deployer": "zip", "api": "rest_api", "runtime": "python3.14"},
    "zip-function_url": {"deployer": "zip", "api": "function_url", "architecture": "x86_64"},
    "data": {"storage": "dynamodb", "secret": True},
    "serverless-data": {"deployer": "serverless", "storage": "dynamodb", "secret": True},
    "worker": {"events": "sqs"},
    "data-worker": {"storage": "dynamodb", "secret": True, "events": "s3"},
    "zip-data": {"deployer": "zip", "storage": "dynamodb", "secret": True},
    "sovereign": {"aws_region": "eusc-de-east-1"},
    "sovereign-zip": {"aws_region": "eusc-de-east-1", "deployer": "zip", "api": "rest_api"},
    "longest": {
        "project_name": "W" * 80,
        "project_slug": "the-longest-name-that-is-allowed-for-one",
        "description": "w" * 200,
        "aws_region": "ap-southeast-2",
    },
    "shortest": {"project_name": "x", "project_slug": "x1", "description": "y"},
    "hostile": {
        "project_name": """O'Neil "Ünï" \\ \U0001f600 #1: {x} ${AWS::Region} ${self:service}""",
        "project_slug": "oneil",
        "description": """- `a` *b* _c_ <b>&amp; [d](e) | {% f %} {{ g }} "h" 'i' \\n # j \\""",
    },
}


TEXTS = {"plain": {}, "hostile": NAMED["hostile"], "longest": NAMED["longest"]}
# With none of these is an answer refused; a filter on the rows would make the cover lose pairs.
REGIONS_TO_TRY = ["us-east-1", "ap-southeast-2", "cn-north-1", "eu-central-1"]


def pairs() -> dict[str, dict[str, object]]:
    """Return sets of answers in which each pair of answers occurs."""
    choices = {name: CONTEXT[name] for name in QUESTIONS if isinstance(CONTEXT[name], list)}
    parameters = OrderedDict(choices | {"secret": [False, True], "aws_region": REGIONS_TO_TRY, "texts": list(TEXTS)})

    rows = [row._asdict() for row in AllPairs(parameters)]
    return {
        "-".join(map(str, row.values())): TEXTS[row["texts"]]
        | {name: value for name, value in row.items() if name != "texts"}
        for row in rows
    }


# Each variant is baked once and goes through every static check. Not building is said once, in `bake`.
VARIANTS = (
    NAMED
    | pairs()
    | {
        f"{name}-{deployer}": NAMED[name] | {"deployer": deployer}
        for deployer in CONTEXT["deployer"][1:]
        for name in ("longest", "hostile")
    }
)


def deployed_with(deployer: str) -> list[str]:
    """Return the names of the variants with a deployer."""
    return [name for name, answers in VARIANTS.items() if answers.get("deployer", "sam") == deployer]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make test-all` and `make test-deploy`."""
    parser.addoption("--all-projects", action="store_true", help="run the tests that take minutes")
    parser.addoption("--deployments", action="store_true", help="run the tests marked deployment as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests that take minutes to `make test-all`, and those that deploy to `make test-deploy` as well."""
    everything = config.getoption("--all-projects")
    skipped = {"long": not everything, "deployment": not everything and not config.getoption("--deployments")}
    left = [item for item in items if any(skipped[name] and item.get_closest_marker(name) for name in skipped)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes seconds for each project a few variants, and with --all-projects each variant."""
    everything = metafunc.config.getoption("--all-projects")
    if "tested_variant" in metafunc.fixturenames:
        # With the default project, whose tests test_make runs: each deployer, and each runtime that is installed here.
        # The others differ in the infrastructure, which these tests do not run.
        wanted: list[dict[str, object]] = [
            {"runtime": "python3.12", "deployer": "serverless"},
            {"runtime": "python3.11", "deployer": "zip"},
        ]
        few = [next(name for name in VARIANTS if each.items() <= VARIANTS[name].items()) for each in wanted]
        few.append("data")
        metafunc.parametrize("tested_variant", [*VARIANTS] if everything else few)
    if "packaged_variant" in metafunc.fixturenames:
        names = deployed_with("serverless")
        few: list[object] = ["serverless", "serverless-rest_api", "serverless-function_url", "serverless-data"]
        other = [name for name in names if "cn-north-1" in name and "hostile" in name][:1]
        few += [pytest.param(name, marks=pytest.mark.deployment) for name in other]
        metafunc.parametrize("packaged_variant", names if everything else few)


def pytest_report_header() -> list[str]:
    """Say which interpreters of Lambda's runtimes the tests found, since the rest is checked without running it."""
    return [f"{runtime}: {interpreter(runtime) or 'not here: wheels, lint and tools only'}" for runtime in RUNTIMES]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give tools a temporary folder that pytest deletes: Cookiecutter, for one, leaves a copy of each hook there."""
    folder = tmp_path_factory.mktemp("tmp")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


@pytest.fixture(scope="session")
def bake(cookies_session: object, shared: Path) -> Bake:
    """Return a function that renders the template and returns the project; equal answers share one project.

    Values are taken as if typed at the prompts: they are not rendered themselves. The layer is not built unless asked;
    it is built once for each runtime and architecture, and with the packages of a worker once more, by the hook, and
    copied into other projects.
    """

    def bake(**answers: object) -> Path:
        unknown = set(answers) - set(QUESTIONS)
        assert not unknown, f"cookiecutter.json has no question {unknown}"
        answers = {"build_layer": False} | {name: typed(value) for name, value in answers.items()}
        key = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16]
        target = shared / "bakes" / key
        target.parent.mkdir(exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.exists():
                layer = {name: answers[name] for name in ("runtime", "architecture", "build_layer") if name in answers}
                if answers.get("events", "none") != "none":
                    layer["events"] = "sqs"  # each source has the same packages
                if answers["build_layer"] and answers != layer:
                    # Under another name until it is whole: a test that fails in between leaves nothing for the next.
                    fresh, package = target.with_suffix(".new"), bake(**layer) / "package"
                    shutil.copytree(bake(**answers | {"build_layer": False}).parent, fresh, dirs_exist_ok=True)
                    (project,) = fresh.iterdir()
                    shutil.copytree(package, project / "package", dirs_exist_ok=True)
                    fresh.rename(target)
                    return target / project.name
                result = cookies_session.bake(extra_context=answers)
                assert result.exception is None, result.exception
                assert result.exit_code == 0
                # pytest-cookies deletes its folders when this worker ends, and others may go on.
                result.project_path.parent.rename(target)
        (project,) = target.iterdir()
        return project

    return bake


@pytest.fixture(scope="session")
def project_venv(shared: Path) -> Venv:
    """Return a function that makes a virtual environment of an interpreter with a project's development packages.

    Equal locks share one environment; a test only reads it.
    """

    def make(project: Path, python: Path) -> Path:
        lock = project / "requirements-dev.txt"
        key = hashlib.sha256(lock.read_bytes() + str(python).encode()).hexdigest()[:16]
        venv = shared / "venvs" / key
        venv.parent.mkdir(exist_ok=True)
        with FileLock(f"{venv}.lock"):
            if not (venv / "done").exists():
                subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, venv], check=True)
                sync = [UV, "pip", "sync", "--quiet", "--require-hashes", "--python", venv / "bin" / "python", lock]
                subprocess.run(sync, check=True)
                (venv / "done").touch()
        return venv

    return make


def typed(value: object) -> object:
    """Return what extra context has to hold for text to arrive unrendered, as it does from a prompt."""
    return "{{ " + json.dumps(value, ensure_ascii=False) + " }}" if isinstance(value, str) and "{" in value else value


@pytest.fixture(scope="session", params=VARIANTS)
def variant(request: pytest.FixtureRequest, bake: Bake) -> Iterator[Path]:
    """Return the project of each variant in turn."""
    yield bake(**VARIANTS[request.param])


@pytest.fixture(scope="session", params=deployed_with("sam") + deployed_with("zip"))
def template_variant(request: pytest.FixtureRequest, bake: Bake) -> Iterator[Path]:
    """Return the project of each variant that has template.yaml."""
    yield bake(**VARIANTS[request.param])


@pytest.fixture(scope="session", params=deployed_with("serverless"))
def serverless_variant(request: pytest.FixtureRequest, bake: Bake) -> Iterator[Path]:
    """Return the project of each variant that osls deploys."""
    yield bake(**VARIANTS[request.param])


@pytest.fixture(scope="session")
def package(bake: Bake, ministack: Ministack, shared: Path) -> Package:
    """Return a function that runs `osls package` in the project with some answers; equal answers are packaged once."""

    def package(**answers: object) -> tuple[Path, str]:
        target = shared / "packaged" / bake(**answers).parent.name
        target.parent.mkdir(exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not (target / "printed").exists():
                shutil.rmtree(target, ignore_errors=True)
                project = copy(bake(**answers, build_layer=True), target / "project")
                result = osls(project, ministack, "package")
                assert result.returncode == 0, result.stderr + result.stdout
                (target / "printed").write_text(result.stdout + result.stderr, encoding="utf-8")
        return target / "project", (target / "printed").read_text(encoding="utf-8")

    return package


@pytest.fixture(scope="session")
def table(bake: Bake, package: Package, shared: Path) -> dict[tuple[str, str, str], dict[str, object]]:
    """Return the facts by deployer, HTTP front end and stage; one worker finds them, and the others read them."""
    from tests.facts import find_facts

    stored = shared / "facts"
    with FileLock(f"{stored}.lock"):
        if not stored.exists():
            stored.write_bytes(pickle.dumps(find_facts(bake, package)))
    found: dict[tuple[str, str, str], dict[str, object]] = pickle.loads(stored.read_bytes())  # noqa: S301 - of this run
    return found


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """Start what runs whole stacks in AWS's place, once for all tests; each test names its stacks by itself."""
    with Ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of what git has, or would have after a commit, in a folder with a space in its name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    target = tmp_path / "a clone"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def files(project: Path) -> dict[str, str]:
    """Return the text of every file of a project by its path, as git would name it."""
    paths = (path for path in sorted(project.rglob("*")) if path.is_file())
    return {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in paths}
