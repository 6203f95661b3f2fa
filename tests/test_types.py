"""The type checkers mypy, with --strict, and ty find nothing in a rendered project and in the code of the hooks."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake, Venv
from tests.machine import BIN, interpreter

HOOKS = sorted([*ROOT.glob("hooks/*.py"), *ROOT.glob("cookiecutter_fastapi_lambda/*.py")])


def check(*command: str | Path, folder: Path) -> None:
    """Run a type checker in a folder, and fail with what it finds."""
    result = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, f"{folder}\n{result.stdout}{result.stderr}"


def test_projects(project_venv: Venv, bake: Bake, tmp_path: Path) -> None:
    """Each deployer, each front end and each source of messages, with the project's own settings."""
    venv = project_venv(bake(**VARIANTS["zip-data"]), interpreter("python3.13"))  # it has the packages of all
    project = tmp_path / "project"
    each = [
        {"deployer": deployer, "api": api} for deployer, api in zip(CONTEXT["deployer"], CONTEXT["api"], strict=True)
    ]
    # Runtimes differ in how a generic class is written.
    each += [VARIANTS["data"], {"secret": True}, {"storage": "dynamodb", "runtime": "python3.11"}]
    each += [{"events": source} for source in CONTEXT["events"][1:]]
    for answers in each:
        # At one path, with one cache: packages and files that do not differ are read once.
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(bake(**answers), project)
        check(venv / "bin" / "python", "-m", "mypy", "--strict", "--cache-dir", tmp_path / "mypy", folder=project)
        check(BIN / "ty", "check", "--output-format=concise", "--error-on-warning", "--python", venv, folder=project)


def test_hooks(tmp_path: Path) -> None:
    """The code of the template that its users run."""
    mypy = ["-m", "mypy", "--strict", "--explicit-package-bases", "--cache-dir", tmp_path]
    check(BIN / "python", *mypy, *HOOKS, folder=ROOT)
    check(BIN / "ty", "check", "--output-format=concise", "--error-on-warning", *HOOKS, folder=ROOT)
