"""A rendered project's own day: its make targets, on machines that differ in where Python comes from."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, VARIANTS, Bake, Venv
from tests.machine import BIN, clean_environment, free_port, interpreter, links
from tests.ministack import Ministack
from tests.test_layer import build
from tests.wheels import ask_for, make_wheel

PYTHON = interpreter("python3.13")
OwnChecks = Callable[[Path], tuple[int, str]]


def from_pyenv(folder: Path) -> dict[str, str]:
    """Return the environment of a machine whose Python 3.13 comes from pyenv, and that has no uv."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    if (root / "shims").is_dir():
        return clean_environment(folder, root / "shims", root / "bin", PYENV_ROOT=str(root))
    # Without pyenv itself: what its shims come to in a folder whose .python-version says 3.13.
    return clean_environment(folder, links(folder / "bin", python3=PYTHON, python3_13=PYTHON))


def from_uv(folder: Path) -> dict[str, str]:
    """Return the environment of a machine where uv provides Python 3.13, and `python3` is another or none."""
    managed = folder / "uv-python"
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True).stdout.split()[1]
    home = managed / f"cpython-{version}-{sys.platform}-{os.uname().machine}-gnu"
    if str(PYTHON).startswith(str(Path.home() / ".local/share/uv")):
        managed = Path.home() / ".local/share/uv/python"
    else:
        shutil.copytree(PYTHON.parent.parent, home, symlinks=True, ignore=shutil.ignore_patterns("test", "__pycache__"))
    commands = links(folder / "bin", uv=BIN / "uv")
    return clean_environment(folder, commands, UV_PYTHON_INSTALL_DIR=str(managed), UV_PYTHON_PREFERENCE="only-managed")


@pytest.mark.parametrize("machine", [from_pyenv, from_uv])
def test_make(machine: object, bake: Bake, tmp_path: Path) -> None:
    """Make test and make lint pass in a fresh project, format and lock change nothing in it."""
    project = tmp_path / "a project"
    shutil.copytree(bake(build_layer=True), project)
    environment = machine(tmp_path / "machine")

    def make(target: str) -> str:
        result = subprocess.run(["make", target], cwd=project, env=environment, capture_output=True, encoding="utf-8")
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert re.search(r"\d+ passed", make("test"))
    if machine is from_pyenv:
        assert "All checks passed" in make("lint")
        make("format")
        make("lock")
    assert "package/ is up to date." in make("layer")
    assert "make deploy: deploy a stage to AWS" in make("help")
    assert {path: path.read_bytes() for path in before} == before
    new = [path.relative_to(project) for path in project.rglob("*") if path not in before and path.is_file()]
    assert {path.parts[0] for path in new if "__pycache__" not in path.parts} <= {".venv", ".uv", ".build"}
    assert not list((project / "app").rglob("*.pyc"))


@pytest.mark.parametrize(
    "answers",
    [
        {"runtime": CONTEXT["runtime"][-1], "deployer": "zip"},
        {"runtime": CONTEXT["runtime"][0], "deployer": "zip"},
        {"storage": "dynamodb"},
        {"secret": True},
    ],
    ids=str,
)
def test_lock_changes_nothing(answers: dict[str, object], bake: Bake, tmp_path: Path) -> None:
    """The locks of a fresh project are those of its own runtime, which is the lowest Python that they hold for."""
    project = tmp_path / "project"
    shutil.copytree(bake(**answers), project)
    result = build(project, "lock")
    assert result.returncode == 0, result.stderr
    for name in ("app/requirements.txt", "requirements-dev.txt"):
        assert (project / name).read_text() == (bake(**answers) / name).read_text()


def test_own_tests(tested_variant: str, bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """The tests of a variant pass, on the runtime that it is for where there is one, and reach 95 % of its branches."""
    project = tmp_path / "project"
    shutil.copytree(bake(**VARIANTS[tested_variant]), project)
    runtime = VARIANTS[tested_variant].get("runtime", "python3.13")
    python = project_venv(project, interpreter(runtime) or PYTHON) / "bin" / "python"
    environment = os.environ | {"COVERAGE_FILE": str(tmp_path / "coverage")}
    for command in (["run", "-m", "pytest", "-q"], ["report", "--fail-under=95"]):
        command = [python, "-m", "coverage", *command]
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")
        assert result.returncode == 0, result.stdout + result.stderr


def test_deploy_builds_first(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """`make deploy` goes on to `sam deploy` only after a build, which a lock that cannot be installed makes fail."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    commands = links(tmp_path / "bin", uv=BIN / "uv", python3=PYTHON)
    calls = tmp_path / "calls"
    sam = commands / "sam"
    lines = ["#!/bin/sh", f'echo "$1" >> "{calls}"']
    lines += ['[ "$1" != build ] || make build-DependenciesLayer ARTIFACTS_DIR=.aws-sam/build/DependenciesLayer']
    sam.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sam.chmod(0o755)
    # stage.py asks for the release that is deployed.
    environment = clean_environment(tmp_path, commands, **ministack.environment)
    deploy = ["make", "deploy"]
    result = subprocess.run(deploy, cwd=project, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert calls.read_text(encoding="utf-8").split() == ["build", "deploy"]
    assert (project / "package" / "python" / "fastapi").is_dir()

    lock = project / "app" / "requirements.txt"
    lock.write_text(lock.read_text().replace("==", "==999.", 1), encoding="utf-8")
    result = subprocess.run(deploy, cwd=project, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode != 0
    assert calls.read_text(encoding="utf-8").split() == ["build", "deploy", "build"]


def test_deploy_with_osls(bake: Bake, tmp_path: Path) -> None:
    """`make deploy` installs what the lock pins, once, and hands the stage on."""
    project = tmp_path / "project"
    shutil.copytree(bake(deployer="serverless"), project)
    commands = links(tmp_path / "bin", uv=BIN / "uv", python3=PYTHON)
    calls = tmp_path / "calls"
    for name, more in (("npm", "mkdir -p node_modules && touch node_modules/.package-lock.json"), ("npx", "true")):
        (commands / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n{more}\n', encoding="utf-8")
        (commands / name).chmod(0o755)
    environment = clean_environment(tmp_path, commands)
    for arguments in ([], ["STAGE=prod"]):
        command = ["make", "deploy", *arguments]
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")
        assert result.returncode == 0, result.stderr
    assert calls.read_text(encoding="utf-8").splitlines() == [
        "npm ci",
        "npx osls deploy --stage dev",
        "npx osls deploy --stage prod",
    ]


def test_deploy_without_a_tool(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """`make deploy`, with the boto3 of the development lock."""
    project = tmp_path / "project"
    shutil.copytree(bake(deployer="zip", build_layer=True, project_slug="by-make"), project)
    commands = links(tmp_path / "bin", uv=BIN / "uv", python3=PYTHON)
    environment = clean_environment(tmp_path, commands, **ministack.environment)

    def make(target: str) -> str:
        result = subprocess.run(["make", target], cwd=project, env=environment, capture_output=True, encoding="utf-8")
        return result.stdout + result.stderr

    assert "\nApiUrl: https://" in make("deploy")
    assert {"make zip", "make deploy"} <= {line.strip().split(":")[0] for line in make("help").splitlines()}


def test_uvicorn_serves_the_same_application(bake: Bake, project_venv: Venv) -> None:
    """What `make run` starts answers on this machine as the handler does on Lambda, crash shape and ids included."""
    project = bake()
    venv = project_venv(project, PYTHON)
    run = r"^\tcd app && \.\./\$\(VENV_PYTHON\) (-B -m uvicorn .*)$"
    line = re.search(run, (project / "Makefile").read_text(), re.MULTILINE)[1]
    port = str(free_port())
    command = [venv / "bin" / "python", *line.replace("$(or $(PORT),8000)", port).split()]
    with subprocess.Popen(command, cwd=project / "app", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 20
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/items/42") as answer:  # noqa: S310 - it is ours
                        assert json.loads(answer.read()) == {"item_id": 42, "name": "Item 42"}
                        assert answer.headers["x-request-id"]
                        break
                except urllib.error.URLError:
                    assert time.monotonic() < end and server.poll() is None
                    time.sleep(0.05)
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def own_checks(bake: Bake, project_venv: Venv) -> OwnChecks:
    """Return a function that runs the tests of a project that compare its files with one another."""
    venv = project_venv(bake(), PYTHON)

    def own_checks(project: Path) -> tuple[int, str]:
        command = [venv / "bin" / "python", "-B", "-m", "pytest", "-q", "tests/test_project.py"]
        result = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")
        return result.returncode, result.stdout + result.stderr

    return own_checks


def test_own_tests_take_each_way_to_name_a_package(own_checks: OwnChecks, bake: Bake, tmp_path: Path) -> None:
    """Extras, capitals, underscores, spaces, markers and addresses, after `make lock layer`."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    wheels = tmp_path / "wheels"
    for name in ("Capital_Name", "plain", "other", "windows_only", "direct"):
        make_wheel(wheels, name)
    address = (wheels / "direct-1.0-py3-none-any.whl").as_uri()
    ask_for(
        project,
        "Capital_Name[extra]>=1",
        "plain >= 1.0",
        "other>=1; sys_platform != 'win32'",
        "windows-only>=1; sys_platform == 'win32'",
        f"direct @ {address}",
    )
    path = project / "pyproject.toml"
    path.write_text(
        re.sub(r"^(dev|check) = \[.*?^\]", r"\1 = []", path.read_text(), flags=re.M | re.S), encoding="utf-8"
    )
    (tmp_path / "uv.toml").write_text('no-index = true\nfind-links = ["wheels"]\n', encoding="utf-8")
    for command in ("lock", "layer"):
        result = build(project, command, UV_CONFIG_FILE=str(tmp_path / "uv.toml"))
        assert result.returncode == 0, result.stderr
    code, printed = own_checks(project)
    assert code == 0, printed


@pytest.mark.parametrize("deployer", ["sam", "serverless"])
def test_own_tests_take_a_second_function(deployer: str, own_checks: OwnChecks, bake: Bake, tmp_path: Path) -> None:
    """One more function, the runtime in quotes; another runtime or processor is found."""
    project = tmp_path / "project"
    shutil.copytree(bake(deployer=deployer), project)
    path = project / ("serverless.yml" if deployer == "serverless" else "template.yaml")
    text = path.read_text(encoding="utf-8")
    if deployer == "serverless":
        second = text + "\nx-second:\n  runtime: \"python3.13\"\n  architecture: 'arm64'\n"
    else:
        function = '  Second:\n    Properties:\n      Runtime: "python3.13"\n      Architectures:\n        - arm64\n'
        second = text.replace("\nOutputs:\n", f"\n{function}\nOutputs:\n")
    assert second != text
    path.write_text(second, encoding="utf-8")
    code, printed = own_checks(project)
    assert code == 0, printed
    for right, wrong in (('"python3.13"', '"python3.12"'), ("arm64\n\nOutputs", "x86_64\n\nOutputs")):
        if right in second:
            path.write_text(second.replace(right, wrong), encoding="utf-8")
            assert own_checks(project)[0] == 1


def test_own_tests_say_how_to_build_the_layer(own_checks: OwnChecks, bake: Bake, tmp_path: Path) -> None:
    """After a `git pull` with a new lock, the message is what to do."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    with (project / "app" / "requirements.txt").open("a", encoding="utf-8") as lock:
        lock.write("# changed\n")
    code, printed = own_checks(project)
    assert code == 1
    assert "package/python is out of date (lock); `make layer` builds it" in printed
