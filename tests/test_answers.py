"""Answers through Cookiecutter itself: refused ones write nothing, odd ones arrive unchanged."""

import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake, files
from tests.machine import BIN
from tests.parsers import read_markdown, read_toml, read_yaml


def generate(output: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the cookiecutter command on the template, with a HOME of its own beside the output folder."""
    home = output.parent / "home"
    home.mkdir(exist_ok=True)
    environment = os.environ | {"HOME": str(home)} | more
    command = [BIN / "cookiecutter", ROOT, "--no-input", "-o", output, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", cwd=output.parent)


REFUSED = [
    *(("project_slug", slug) for slug in ("orders_api", "Orders", "1st", "", "../x", "a" * 41)),
    *(("aws_region", region) for region in ("us-est-1", "US-EAST-1", "")),
]


@pytest.mark.parametrize(("prompt", "value"), REFUSED)
@pytest.mark.parametrize("overwrite", [[], ["-f"]], ids=["new", "over"])
def test_refused_before_anything_is_written(prompt: str, value: str, overwrite: list[str], tmp_path: Path) -> None:
    """One sentence, exit code 1, and the folders are as they were."""
    output = tmp_path / "output"
    project = output / "orders-api" / "app"
    project.mkdir(parents=True)
    (project / "main.py").write_text("mine", encoding="utf-8")
    result = generate(output, *overwrite, f"{prompt}={value}")
    assert result.returncode == 1
    assert result.stderr.startswith(f"{prompt}: {value!r} must ")
    assert "; for example '" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout.splitlines()[-1] == f"Nothing was written, because of {prompt}."
    assert [path.name for path in sorted(tmp_path.rglob("*")) if path.is_file() and "home" not in path.parts] == [
        "main.py"
    ]
    assert (project / "main.py").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "output"]


def test_choice_that_is_not_offered(tmp_path: Path) -> None:
    """Cookiecutter itself refuses it, naming the prompt, the value and the choices."""
    result = generate(tmp_path / "output", "runtime=python3.9")
    assert result.returncode == 1
    assert "python3.9 provided for choice variable runtime, but the choices are ['python3.13', " in result.stderr
    assert not (tmp_path / "output").exists()


def test_replayed_answers_are_checked_too(tmp_path: Path) -> None:
    """A replay file is not asked again, so here it is the hook that refuses."""
    assert generate(tmp_path / "first", "build_layer=no").returncode == 0
    (replay,) = (tmp_path / "home" / ".cookiecutter_replay").glob("*.json")
    answers = json.loads(replay.read_text(encoding="utf-8"))
    answers["cookiecutter"] |= {"aws_region": "us-est-1", "runtime": "python3.9"}
    replay.write_text(json.dumps(answers), encoding="utf-8")
    command = [BIN / "cookiecutter", ROOT, "--replay-file", replay, "-o", tmp_path / "output"]
    result = subprocess.run(command, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stderr.startswith("aws_region: 'us-est-1' must be the code of a region;")
    assert "\nruntime: 'python3.9' must be one of " in result.stderr
    assert not list((tmp_path / "output").iterdir())


def test_unknown_region_is_a_warning(tmp_path: Path) -> None:
    """A region newer than this template is not in the way."""
    result = generate(tmp_path / "output", "aws_region=eu-west-9", "build_layer=no")
    assert result.returncode == 0
    assert "aws_region: 'eu-west-9' is not a region this template knows" in result.stderr


@pytest.mark.parametrize(
    "name", ["hostile", "longest", "shortest", "default", "longest-serverless", "hostile-serverless"]
)
def test_text_is_read_back(name: str, bake: Bake) -> None:
    """Each file's own parser reads the text that was answered."""
    answers = {"project_name": "Orders API", "description": CONTEXT["description"]} | VARIANTS[name]
    title, description = answers["project_name"], answers["description"]
    project = files(bake(**VARIANTS[name]))
    assert read_toml(project["pyproject.toml"])["project"]["description"] == description
    if "template.yaml" in project:
        assert read_yaml(project["template.yaml"])["Description"] == description
    if "package.json" in project:
        assert json.loads(project["package.json"])["description"] == description
    assert read_markdown(project["README.md"])[:2] == [title, description]
    application: dict[str, object] = {"FastAPI": dict, "settings": SimpleNamespace(DOCS=True)}
    call = re.search(r"^app = FastAPI\(.*?^\)$", project["app/main.py"], re.MULTILINE | re.DOTALL)
    exec(call[0], application)  # noqa: S102 - the call alone, with a dict for FastAPI
    assert application["app"]["title"] == title
    assert application["app"]["description"] == description


def test_braces_typed_at_the_prompt(tmp_path: Path) -> None:
    """What is typed is not rendered, so Jinja's own marks are text like any other."""
    typed = 'uses {{ braces }} and {% tags %} and "quotes"'
    lines = ["", "", typed, *[""] * (len(CONTEXT) - 3)]
    result = subprocess.run(
        [BIN / "cookiecutter", ROOT, "-o", tmp_path],
        input="\n".join(lines),
        env=os.environ | {"HOME": str(tmp_path), "UV_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    assert read_toml((tmp_path / "orders-api" / "pyproject.toml").read_text())["project"]["description"] == typed


def test_unknown_question_fails_the_test(bake: Bake) -> None:
    """A test with a misspelt question would test the defaults."""
    with pytest.raises(AssertionError, match="no question {'region'}"):
        bake(region="us-east-1")
