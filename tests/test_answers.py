"""Answers through Cookiecutter itself: refused ones write nothing, odd ones arrive unchanged."""

import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import CONTEXT, QUESTIONS, ROOT, VARIANTS, Bake, files
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
    *(("runtime", "python3.9"), ("architecture", "arm"), ("deployer", "SAM"), ("api", "HTTP_API"), ("api", "1")),
]


# With -f a folder that is there is written into; each question once.
FORCED = dict(REFUSED)


@pytest.mark.parametrize(
    ("prompt", "value", "overwrite"),
    [*((prompt, value, []) for prompt, value in REFUSED), *((*each, ["-f"]) for each in FORCED.items())],
    ids=str,
)
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


def replay(tmp_path: Path, answers: dict[str, object], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Cookiecutter with a replay file that holds these answers."""
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"cookiecutter": answers}), encoding="utf-8")
    command = [BIN / "cookiecutter", ROOT, "--replay-file", file, "-o", tmp_path / "again", *arguments]
    environment = os.environ | {"HOME": str(tmp_path / "home")}
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, cwd=tmp_path
    )


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return what Cookiecutter stores when every answer is the default."""
    return stored(tmp_path_factory.mktemp("defaults"))


def stored(tmp_path: Path, *arguments: str) -> dict[str, object]:
    """Generate a project and return what Cookiecutter has stored for --replay."""
    assert generate(tmp_path / "output", "build_layer=no", *arguments).returncode == 0
    (file,) = (tmp_path / "home" / ".cookiecutter_replay").glob("*.json")
    return json.loads(file.read_text(encoding="utf-8"))["cookiecutter"]


@pytest.mark.parametrize("hooks", ["yes", "no"])
def test_replayed_answers_are_checked_too(hooks: str, defaults: dict[str, object], tmp_path: Path) -> None:
    """A replay file is not asked again; its answers are judged all the same, before there is a folder."""
    edited = defaults | {"aws_region": "us-est-1", "runtime": "python3.9"}
    result = replay(tmp_path, edited, "--accept-hooks", hooks)
    assert result.returncode == 1
    assert result.stderr.startswith("aws_region: 'us-est-1' must be the code of a region;")
    assert "\nruntime: 'python3.9' must be one of " in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == "Nothing was written, because of aws_region, runtime.\n"
    assert not (tmp_path / "again").exists()


EDITS = [
    *({"deployer": deployer} for deployer in ("serverless", "zip")),
    {"api": "function_url", "aws_region": "eu-west-1"},
    {"runtime": "python3.11", "architecture": "x86_64"},
    {"project_name": "Shop", "description": "Sells pots"},
]
KEPT = ["all", "the answers alone", "all", "the answers alone", "all"]


@pytest.mark.parametrize(("edit", "kept"), [*zip(EDITS, KEPT, strict=True)], ids=str)
def test_edited_replay_file(
    kept: str, edit: dict[str, str], defaults: dict[str, object], tmp_path: Path, bake: Bake
) -> None:
    """It renders the project of its answers, whatever else it holds."""
    answers = defaults | edit
    if kept == "the answers alone":
        answers = {name: answers[name] for name in QUESTIONS}
    result = replay(tmp_path, answers)
    assert result.returncode == 0, result.stdout + result.stderr
    assert files(tmp_path / "again" / "orders-api") == files(bake(**edit, project_slug="orders-api"))


def test_derived_words_cannot_be_given(tmp_path: Path, bake: Bake) -> None:
    """Neither on the command line nor in a replay file."""
    words = {"__sam": "yes", "__zip": "yes", "__python": "3.9", "__url": "yes", "__domain": "example.com"}
    answers = stored(tmp_path, "deployer=serverless", *(f"{name}={value}" for name, value in words.items()))
    right = files(bake(deployer="serverless"))
    assert files(tmp_path / "output" / "orders-api") == right
    assert replay(tmp_path, answers | words).returncode == 0
    assert files(tmp_path / "again" / "orders-api") == right


def test_refused_answers_can_be_replayed(tmp_path: Path) -> None:
    """What was refused is stored, so one answer can be put right in the file."""
    assert generate(tmp_path / "output", "project_slug=Shop", "runtime=python3.12", "build_layer=no").returncode == 1
    (file,) = (tmp_path / "home" / ".cookiecutter_replay").glob("*.json")
    answers = json.loads(file.read_text(encoding="utf-8"))["cookiecutter"]
    assert "project_slug: 'Shop' must be " in replay(tmp_path, answers).stderr
    result = replay(tmp_path, answers | {"project_slug": "shop"})
    assert "Created shop: python3.12, " in result.stdout


def test_unknown_region_is_a_warning(tmp_path: Path) -> None:
    """A region newer than this template is not in the way."""
    result = generate(tmp_path / "output", "aws_region=eu-west-9", "build_layer=no")
    assert result.returncode == 0
    assert "aws_region: 'eu-west-9' is not a region this template knows" in result.stdout


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
    application: dict[str, object] = {"FastAPI": dict, "settings": SimpleNamespace(DOCS=True, MAX_BODY_SIZE=1)}
    call = re.search(r"^app = FastAPI\(.*?^\)$", project["app/main.py"], re.MULTILINE | re.DOTALL)
    exec(call[0], application)  # noqa: S102 - the call alone, with a dict for FastAPI
    assert application["app"]["title"] == title
    assert application["app"]["description"] == description


def test_braces_typed_at_the_prompt(tmp_path: Path) -> None:
    """What is typed is not rendered, so Jinja's own marks are text like any other."""
    typed = 'uses {{ braces }} and {% tags %} and "quotes"'
    lines = ["", "", typed, *[""] * len(QUESTIONS)]
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
