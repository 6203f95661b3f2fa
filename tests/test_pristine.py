"""Every file of every variant reads as if a careful person had typed it."""

import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake, files
from tests.machine import BIN
from tests.parsers import PARSERS

OURS = re.compile(r"cookiecutter\b|\{%|endraw|__python|" + re.escape(str(ROOT)))


def test_parses(variant: Path) -> None:
    """Each file is valid in its own language."""
    for path, text in files(variant).items():
        if parse := PARSERS.get(Path(path).suffix):
            assert parse(text), path


def test_typed_with_care(variant: Path) -> None:
    """No stray space, blank line or line end."""
    for path, text in files(variant).items():
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert not text.startswith("\n"), path
        assert "\r" not in text and "\t" not in text.replace("\n\t", "\n"), path
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path
        if not path.endswith(".py"):
            assert "\n\n\n" not in text, path


def test_no_trace_of_the_template(variant: Path, request: pytest.FixtureRequest) -> None:
    """Nothing tells that the files were rendered, but for what was answered."""
    answers = VARIANTS[request.node.callspec.params["variant"]].values()
    for path, text in files(variant).items():
        for answer in answers:
            text = text.replace(str(answer), "").replace(str(answer).replace('"', '\\"'), "")
        if "{% f %}" not in str(answers):
            assert not OURS.search(text), f"{path}: {OURS.search(text)}"


def test_formatted_and_linted(bake: Bake) -> None:
    """Ruff, with each project's own settings, has nothing to change."""
    projects = [bake(**answers) for answers in VARIANTS.values()]
    for command in (["check"], ["format", "--check"]):
        result = subprocess.run([BIN / "ruff", *command, "--no-cache", *projects], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def test_only_the_chosen_runtime_and_processor(variant: Path, request: pytest.FixtureRequest) -> None:
    """A project names one Python and one processor; the lowest that the lock serves is the only other."""
    answers = VARIANTS[request.node.callspec.params["variant"]]
    runtime, architecture = answers.get("runtime", "python3.13"), answers.get("architecture", "arm64")
    for path, text in files(variant).items():
        if path.endswith((".txt", "package-lock.json")):
            continue
        assert set(re.findall(r"python3\.\d+", text)) <= {runtime, "python3.10"}, path
        if path != "scripts/build.py":  # it maps both names to those that wheels have
            assert set(re.findall(r"\b(?:arm64|x86_64)\b", text)) <= {architecture}, path


def test_no_trace_of_a_deployer_that_was_not_chosen(bake: Bake) -> None:
    """No file, word, dependency or make target of another."""
    words = {
        "sam": r"\bsam\b|\bSAM\b|samconfig|aws-sam",
        "serverless": r"(?i)osls|(?<!::)serverless|npm|npx|node_modules|\bsls\b|archives\.js",
        "zip": r"deploy\.py|artifacts\.yaml|stages/|Console\b",
    }
    # SAM's own name, what translates its templates as CloudFormation does, and an event of any origin.
    neutral = re.compile(r"serverless-(application-model|plugin-warmup)|aws-sam-translator|transform/Serverless")
    for deployer, api in product(words, CONTEXT["api"]):
        for path, text in files(bake(deployer=deployer, api=api)).items():
            for other, pattern in words.items():
                if other != deployer:
                    assert not re.search(pattern, neutral.sub("", text)), (path, other)


def test_no_trace_of_a_worker_that_was_not_chosen(bake: Bake) -> None:
    """No file, word, dependency or make target of it, and of another source."""
    worker = r"(?i)powertools|make replay|idempotency|WorkQueue|\bsqs:|worker\b|jobs\.py|clients\.py|UnavailableError"
    words = {
        "s3": r"aws\.s3|UploadRule|UploadPrefix|EventBridgeEnabled",
        "sns": r"Notice\b|TopicSubscription|sns:Publish",
        "schedule": r"Tick\b|Schedul",
    }
    for source, deployer in product(CONTEXT["events"], CONTEXT["deployer"]):
        for path, text in files(bake(events=source, deployer=deployer)).items():
            if path.endswith("package-lock.json"):
                continue
            if source == "none" and not path.startswith(("tests/", "scripts/", "requirements")):
                assert not re.search(worker, text), path
            for other, pattern in words.items():
                if other != source and ("worker" in path or "messages" in path or path.endswith((".yaml", ".yml"))):
                    assert not re.search(pattern, text), (path, source, other)


def test_no_trace_of_data_that_was_not_chosen(bake: Bake) -> None:
    """No file, word, dependency, permission or variable of a table or a secret that a project does not have."""
    words = {
        "storage": r"(?i)dynamodb|TABLE_NAME|import store|\bstore\.py|class Repository|KeptTable",
        "secret": r"(?i)secrets ?manager|SECRET_ARN|powertools|webhook|KeptSecret",
        "either": r"\bmoto\b|\byaml\.safe|\blocal\.py|AWS=local|\bclients\.py|import clients|UnavailableError|data\.md",
    }
    for deployer, storage, secret in product(CONTEXT["deployer"], CONTEXT["storage"], (False, True)):
        chosen = {"storage": storage == "dynamodb", "secret": secret, "either": storage == "dynamodb" or secret}
        found = set()
        for path, text in files(bake(deployer=deployer, storage=storage, secret=secret)).items():
            for each, pattern in words.items():
                if re.search(pattern, text):
                    assert chosen[each], (path, each, re.search(pattern, text))
                    found.add(each)
        assert found == {each for each in words if chosen[each]}


def test_git_would_take_every_file_of_the_template() -> None:
    """Neither our ignore file nor the project's own hides a file that belongs to the template."""
    folder = "{{cookiecutter.project_slug}}"
    paths = [str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()]
    result = subprocess.run(["git", "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == ""
    assert not [path for path in paths if "__pycache__" in path or path.endswith(".pyc")]
