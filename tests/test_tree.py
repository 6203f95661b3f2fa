"""The exact tree of a rendered project, with hooks and without."""

import re
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from tests.conftest import CONTEXT, QUESTIONS, ROOT, VARIANTS, Bake, files

TREE = """
    .editorconfig .gitattributes .gitignore .pre-commit-config.yaml .python-version .vscode/settings.json
    Makefile README.md openapi.json pyproject.toml requirements-check.txt requirements-dev.txt
    app/errors.py app/http_events.py app/http_responses.py app/items.py app/lambda_handler.py app/main.py app/metrics.py
    app/middleware.py app/request_cycle.py app/requirements.txt app/settings.py
    docs/deploy-policy.yaml docs/deploy.md docs/develop.md docs/operate.md docs/troubleshooting.md
    events/create-item.json
    package/README.md
    scripts/archive.py scripts/aws.py scripts/build.py scripts/bytecode.py scripts/check.py scripts/findings.py
    scripts/health.py scripts/invoke.py scripts/layer.py scripts/logs.py scripts/openapi.py scripts/run_uv.py
    scripts/scratch.py
    tests/conftest.py tests/test_handler.py tests/test_health.py tests/test_http_events.py tests/test_http_responses.py
    tests/test_items.py tests/test_lambda_handler.py tests/test_limits.py tests/test_logs.py tests/test_main.py
    tests/test_metrics.py tests/test_middleware.py tests/test_project.py tests/test_request_cycle.py
""".split()
OF_TEMPLATE = ["scripts/releases.py", "scripts/stack.py", "scripts/stage.py", "template.yaml", "tests/test_stage.py"]
OF_DEPLOYER = {
    "sam": ["samconfig.toml", *OF_TEMPLATE],
    "serverless": ["package-lock.json", "package.json", "scripts/archives.js", "serverless.yml"],
    "zip": [
        *("scripts/artifacts.yaml", "scripts/deploy.py", "stages/dev.json", "stages/prod.json", "tests/test_deploy.py"),
        *OF_TEMPLATE,
    ],
}
OF_GITHUB = """
    .github/dependabot.yml .github/workflows/ci.yml .github/workflows/deploy.yml .github/workflows/stage.yml
    docs/github-actions.md
""".split()
# Those of a worker, and the sample event of each source.
OF_WORKER = """
    app/batch.py app/jobs.py app/messages.py app/worker.py docs/worker.md events/job.json scripts/replay.py
    tests/test_jobs.py tests/test_replay.py tests/test_worker.py
""".split()
OF_SOURCE = {"none": [], "sqs": [], "s3": ["upload"], "sns": ["notice"], "schedule": ["tick"]}
# With storage, with a secret, with either, and with either or a worker.
OF_DATA = {
    "none": ["events/get-item.json"],
    "dynamodb": ["app/store.py", "events/list-items.json", "tests/test_store.py"],
    True: ["app/secret.py", "app/webhooks.py", "tests/test_webhooks.py"],
    False: [],
    "both": ["docs/data.md"],
    "state": ["app/clients.py"],
}


def expected(answers: dict[str, object]) -> list[str]:
    """Return the paths of the files of a project with these answers."""
    storage, secret = answers.get("storage", "none"), answers.get("secret", False)
    paths = TREE + OF_DEPLOYER[answers.get("deployer", "sam")] + OF_DATA[storage] + OF_DATA[secret]
    source = answers.get("events", "none")
    paths += ["scripts/local.py"] if source != "none" or storage == "dynamodb" or secret else []
    paths += OF_GITHUB if answers.get("ci", "github") == "github" else []
    paths += ["app/progress.py"] if source != "none" and storage == "dynamodb" else []
    paths += [*(OF_WORKER if source != "none" else []), *(f"events/{name}.json" for name in OF_SOURCE[source])]
    paths += OF_DATA["both"] if storage == "dynamodb" or secret else []
    return sorted(paths + (OF_DATA["state"] if storage == "dynamodb" or secret or source != "none" else []))


def test_tree(variant: Path, request: pytest.FixtureRequest) -> None:
    """Every file is meant, and none is missing."""
    answers = VARIANTS[request.node.callspec.params["variant"]]
    assert sorted(files(variant)) == expected(answers)
    assert len(files(variant)) <= 95
    assert all(path.is_file() or any(path.iterdir()) for path in variant.rglob("*")), "an empty folder"


@pytest.mark.parametrize("deployer", OF_DEPLOYER)
def test_project_is_whole_without_hooks(deployer: str, bake: Bake, tmp_path: Path) -> None:
    """Nobody who switches hooks off gets less, or more."""
    bare = cookiecutter(
        str(ROOT),
        no_input=True,
        extra_context={"deployer": deployer},
        accept_hooks=False,
        output_dir=str(tmp_path),
        default_config=True,
    )
    assert files(Path(bare)) == files(bake(deployer=deployer))


def test_same_answers_same_bytes(bake: Bake, tmp_path: Path) -> None:
    """Rendering depends on the answers alone."""
    answers = {"build_layer": False}
    again = cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=str(tmp_path), default_config=True)
    assert files(Path(again)) == files(bake())


@pytest.mark.parametrize("name", ["default", "serverless", "zip", "data", "worker"])
def test_readme_of_the_project_names_what_is_there(name: str, bake: Bake) -> None:
    """The tree that it draws exists."""
    project = bake(**VARIANTS[name])
    drawing = re.search(r"```\n(app/ .*?)```", (project / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    folder = ""
    for line in drawing.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        assert (project / (name if name == folder else folder + name)).exists(), line


def test_readme_of_the_template_draws_the_tree() -> None:
    """What the README shows is what is written, every file and folder at the top included."""
    drawing = re.search(r"```\norders-api/\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    drawn = []
    for line in drawing.splitlines():
        name = line.strip("│├└─ ").split()[0]
        drawn.append(f"app/{name}" if line.startswith("│") else name)
    top = {path if "/" not in path else path.split("/")[0] + "/" for path in expected({})}
    assert {name for name in drawn if name.count("/") == name.endswith("/")} == top
    assert {name for name in drawn if name.startswith("app/")} - {"app/"} == {p for p in TREE if p.startswith("app/")}


def test_readme_lists_the_questions() -> None:
    """The table has every question, in the order in which they are asked, with its default and its choices."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = {
        name: (default, values)
        for name, default, values in re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", readme, re.M)
    }
    assert list(table) == QUESTIONS
    for name, (default, values) in table.items():
        if name != "project_slug":
            asked = CONTEXT[name]
            assert default == (
                asked[0] if isinstance(asked, list) else str(asked).lower() if isinstance(asked, bool) else str(asked)
            )
            assert not isinstance(asked, list) or values.split(", ") == asked
    assert len(readme.splitlines()) < 150
