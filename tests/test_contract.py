"""The contract of the API: openapi.json is what the code makes of it, and clients can be generated from it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tests.conftest import NAMED, ROOT, Bake, Venv, files
from tests.lock import CONTRACTS
from tests.machine import BIN, interpreter

PYTHON = interpreter("python3.13")
APIS = {
    "-".join(["table"] * (storage != "none") + ["worker"] * (events != "none") + ["secret"] * secret) or "none": {
        "storage": storage,
        "events": events,
        "secret": secret,
    }
    for storage, events, secret in product(("none", "dynamodb"), ("none", "sqs"), (False, True))
} | {"hostile": NAMED["hostile"]}
STALE = "openapi.json is stale: run `make openapi`, look at the difference, and commit it.\n"


def openapi(project: Path, venv: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run openapi.py in a project."""
    command = [venv / "bin" / "python", "scripts/openapi.py", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")


def operations(document: dict[str, dict[str, dict[str, dict[str, object]]]]) -> Iterator[dict[str, object]]:
    """Return the operations of a document."""
    for path in document["paths"].values():
        yield from path.values()


@pytest.mark.parametrize("name", APIS)
def test_contract(name: str, bake: Bake, project_venv: Venv) -> None:
    """It is valid and current from the start, and each operation has a name that a function in a client can have."""
    project = bake(**APIS[name])
    before = files(project)
    result = openapi(project, project_venv(project, PYTHON), "--check")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert files(project) == before
    document = json.loads((project / "openapi.json").read_text(encoding="utf-8"))
    validate(document)
    names = [each["operationId"] for each in operations(document)]
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", each) for each in names)
    assert len({*names}) == len(names)
    # Two models of one name would be called by their modules, as in items__Error.
    assert not [schema for schema in document["components"]["schemas"] if "__" in schema]


def test_every_contract_is_that_of_some_answers() -> None:
    """The template has no contract that no project gets."""
    assert {path.stem for path in CONTRACTS.iterdir()} == {*APIS} - {"hostile"}
    assert CONTRACTS.parent == ROOT / "templates"


def test_stale_contract(bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """A change of the API is noticed until `make openapi` has written it, in one sentence; so is a missing file."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    venv = project_venv(project, PYTHON)
    items, contract = project / "app" / "items.py", project / "openapi.json"
    items.write_text(items.read_text(encoding="utf-8").replace("There is no such item", "No item"), encoding="utf-8")
    before = contract.read_bytes()
    for _ in range(2):
        result = openapi(project, venv, "--check")
        assert (result.returncode, result.stdout, result.stderr) == (1, "", STALE)
        assert contract.read_bytes() == before
    result = openapi(project, venv)
    assert (result.returncode, result.stdout, result.stderr) == (0, "openapi.json is written.\n", "")
    assert "No item" in contract.read_text(encoding="utf-8")
    assert openapi(project, venv, "--check").returncode == 0
    contract.unlink()
    assert openapi(project, venv, "--check").stderr == STALE
    assert not list(project.rglob("*.pyc"))


def test_two_operations_of_one_name(bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """A client would have one function for both, so the contract is not written."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    with (project / "app" / "items.py").open("a", encoding="utf-8") as items:
        items.write('\n\n@router.get("/again")\nasync def read_root() -> str:\n    """Again."""\n    return ""\n')
    result = openapi(project, project_venv(project, PYTHON))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("openapi.py: Duplicate Operation ID read_root ")
    assert line.endswith("; give one of the two functions another name.")


@pytest.mark.parametrize("program", ["prek", pytest.param("pre-commit", marks=pytest.mark.deployment)])
def test_checks_before_a_commit(program: str, bake: Bake, project_venv: Venv, tmp_path: Path) -> None:
    """They find nothing in a fresh project, and a key, a wrong type, bad formatting and a stale contract in another."""
    project = tmp_path / "project"
    shutil.copytree(bake(storage="dynamodb", events="s3", secret=True), project)
    venv = project_venv(project, PYTHON)
    (project / ".venv").symlink_to(venv)
    homes = {"PREK_HOME": str(tmp_path / "prek"), "PRE_COMMIT_HOME": str(tmp_path / "pre-commit")}
    environment = os.environ | homes | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}

    def run(*command: str | Path) -> tuple[int, str]:
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")
        return result.returncode, result.stdout + result.stderr

    run("git", "init", "--quiet")
    (project / ".git" / "info" / "exclude").write_text(".venv\n", encoding="utf-8")
    run("git", "add", "--all")
    check = ((venv if program == "prek" else BIN.parent) / "bin" / program, "run", "--all-files")
    code, printed = run(*check)
    assert code == 0, printed
    assert run("git", "diff") == (0, "")

    items = project / "app" / "items.py"
    key = "AKIA" + "IOSFODNN7EXAMPLF"
    text = items.read_text(encoding="utf-8")
    items.write_text(
        f'{text}\n\n@router.get("/new")\nasync def read_new() -> int:\n    """New."""\n    return "{key}"\nx=1\n'
    )
    code, printed = run(*check)
    failed = {line.split(".")[0] for line in printed.splitlines() if line.endswith("Failed")}
    assert failed == {"formatting", "types", "openapi", "secrets in files"}, printed
    assert "x = 1" in items.read_text(encoding="utf-8")
    assert "AWS Access Key" in printed
