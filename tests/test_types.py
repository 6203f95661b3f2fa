"""The type checkers mypy, with --strict, and ty find nothing in a rendered project and in the code of the hooks."""

import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, ROOT, Bake
from tests.machine import BIN, UV, interpreter

HOOKS = sorted([*ROOT.glob("hooks/*.py"), *ROOT.glob("cookiecutter_fastapi_lambda/*.py")])


def check(*command: str | Path, folder: Path) -> None:
    """Run a type checker in a folder, and fail with what it finds."""
    result = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, f"{folder}\n{result.stdout}{result.stderr}"


@pytest.fixture(scope="module")
def venv(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with the development packages of a zip project, which are those of all and boto3."""
    venv = tmp_path_factory.mktemp("types") / "venv"
    python = venv / "bin" / "python"
    lock = bake(deployer="zip") / "requirements-dev.txt"
    subprocess.run([UV, "venv", "--quiet", "--python", interpreter("python3.13"), venv], check=True)
    subprocess.run([UV, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock], check=True)
    return venv


def test_projects(venv: Path, bake: Bake, tmp_path: Path) -> None:
    """Each deployer with each front end, with the project's own settings."""
    project = tmp_path / "project"
    for deployer, api in product(CONTEXT["deployer"], CONTEXT["api"]):
        # At one path, with one cache: packages and files that do not differ are read once.
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(bake(deployer=deployer, api=api), project)
        check(venv / "bin" / "python", "-m", "mypy", "--strict", "--cache-dir", tmp_path / "mypy", folder=project)
        check(BIN / "ty", "check", "--quiet", "--error-on-warning", "--python", venv, folder=project)


@pytest.mark.xfail((ROOT / "hooks" / "filters.py").exists(), reason="the rules are not typed yet", strict=True)
def test_hooks(tmp_path: Path) -> None:
    """The code of the template that its users run."""
    mypy = ["-m", "mypy", "--strict", "--explicit-package-bases", "--cache-dir", tmp_path]
    check(BIN / "python", *mypy, *HOOKS, folder=ROOT)
    check(BIN / "ty", "check", "--quiet", "--error-on-warning", *HOOKS, folder=ROOT)
