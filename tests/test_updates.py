"""A project lives on: cruft brings a later version of the template into it, and keeps what its owner has changed."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.machine import BIN, clean_environment

# The template's file of the example without storage.
ITEMS = "{% if not cookiecutter.__table %}items.py{% endif %}"


class Git:
    """Git and cruft with an identity, and no settings but their own."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.environment = clean_environment(home, BIN, GIT_CONFIG_GLOBAL="/dev/null", PYTHONDONTWRITEBYTECODE="1")
        for role in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{role}_NAME": "x", f"GIT_{role}_EMAIL": "x@example.com"}

    def __call__(self, folder: Path, *command: str | Path) -> str:
        """Run a command and return what it says on both streams."""
        result = subprocess.run(
            command, cwd=folder, env=self.environment, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    def commit(self, folder: Path, message: str) -> None:
        """Commit all that is in a folder, which becomes a repository if it is none."""
        if not (folder / ".git").exists():
            self(folder, "git", "init", "--quiet")
        self(folder, "git", "add", "--all")
        self(folder, "git", "commit", "--quiet", "--message", message)


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Return git and cruft."""
    return Git(tmp_path / "home")


def change(path: Path, old: str, new: str) -> None:
    """Replace a text in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_update(clone: Path, git: Git, tmp_path: Path) -> None:
    """Between two commits of the template: a clean three-way patch, hooks in silence, no layer in it."""
    git.commit(clone, "first version")
    create = ("cruft", "create", clone, "--no-input", "--extra-context", '{"runtime": "python3.12"}')
    said = git(tmp_path, *create, "--output-dir", tmp_path)
    project = tmp_path / "orders-api"
    assert "Created orders-api: python3.12, arm64, sam, http_api, us-east-1." in said
    assert said.count("package/ is not built yet") == 1
    git.commit(project, "created")
    # What the owner does: another timeout, a router of their own, and a built layer, which git ignores.
    change(project / "template.yaml", "MaxValue: 29", "MaxValue: 20")
    (project / "app" / "orders.py").write_text('"""Orders."""\n', encoding="utf-8")
    (project / "package" / "python").mkdir()
    (project / "package" / "python" / "built.py").touch()
    git.commit(project, "mine")
    # What the template does: another limit, another sentence, a file more, a file less.
    template = clone / "{{cookiecutter.project_slug}}"
    change(clone / "templates" / "parameters.yaml", '"concurrencyLimit", "1000"', '"concurrencyLimit", "2000"')
    change(template / "app" / ITEMS, "One item.", "One item of many.")
    (template / "events" / "more.json").write_text("{}\n", encoding="utf-8")
    git.commit(clone, "second version")

    said = git(project, "cruft", "update", "--skip-apply-ask")
    assert "Good work! Project's cruft has been updated" in said
    assert "Created" not in said and "not built" not in said and "Compiling" not in said
    changed = {line[3:] for line in git(project, "git", "status", "--porcelain").splitlines()}
    assert changed == {".cruft.json", "app/items.py", "events/more.json", "template.yaml"}
    text = (project / "template.yaml").read_text(encoding="utf-8")
    assert "MaxValue: 20" in text and "Default: 2000" in text
    assert (project / "package" / "python" / "built.py").exists()
    assert not list(project.rglob("*.rej"))
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert state["context"]["cookiecutter"]["runtime"] == "python3.12"
    git.commit(project, "updated")
    assert "SUCCESS" in git(project, "cruft", "check")
    # What is left are the owner's own changes.
    diff = subprocess.run(["cruft", "diff"], cwd=project, env=git.environment, capture_output=True, encoding="utf-8")
    changes = [line for line in diff.stdout.splitlines() if re.match(r"[-+] ", line)]
    assert [re.search("MaxValue: .*", line)[0] for line in changes] == ["MaxValue: 20,", "MaxValue: 29,"]
    assert "Created" not in diff.stdout + diff.stderr


def test_update_moves_versions(clone: Path, git: Git, tmp_path: Path) -> None:
    """Pins in generated files move beside packages of one's own; what its owner did not touch is the new version's."""
    git.commit(clone, "first version")
    git(tmp_path, "cruft", "create", clone, "--no-input", "--output-dir", tmp_path)
    project = tmp_path / "orders-api"
    git.commit(project, "created")
    locks = ("app/requirements.txt", "requirements-dev.txt")
    own = "pyjwt==2.10.1 \\\n    --hash=sha256:" + 64 * "0" + "\n"
    change(project / "pyproject.toml", "dependencies = [\n", 'dependencies = [\n    "pyjwt>=2.10,<3",\n')
    for lock in locks:
        change(project / lock, "starlette==", f"{own}starlette==")
    change(project / "app" / "main.py", "handler = LambdaHandler(app)", "# Mine.\nhandler = LambdaHandler(app)")
    change(project / "README.md", "Three commands of a day", "Our three commands")
    git.commit(project, "mine")
    touched = {*locks, "pyproject.toml", "app/main.py", "README.md", ".cruft.json"}
    template = clone / "{{cookiecutter.project_slug}}"
    old = re.search(r"^mangum==(\S+)", (template / locks[0]).read_text(encoding="utf-8"), re.MULTILINE)[1]
    for lock in locks:
        change(template / lock, f"mangum=={old}", "mangum==99.1.0")
    change(template / "pyproject.toml", '"mangum>=', '"mangum>=99.1,>=')
    change(template / "app" / "main.py", '"""Return a fixed answer, for monitors."""', '"""Return an answer."""')
    settings = template / "{% if cookiecutter.__sam %}samconfig.toml{% endif %}"
    change(settings, "version = ", "# The version of this file.\nversion = ")
    git.commit(clone, "second version")

    git(project, "cruft", "update", "--skip-apply-ask")
    git(tmp_path, "cruft", "create", clone, "--no-input", "--output-dir", tmp_path / "fresh")
    updated, fresh = (
        {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in folder.rglob("*.*")
            if path.is_file() and ".git" not in path.parts
        }
        for folder in (project, tmp_path / "fresh" / "orders-api")
    )
    assert {name for name in updated.keys() | fresh.keys() if updated.get(name) != fresh.get(name)} <= touched
    assert not [name for name, text in updated.items() if re.search("^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE)]
    for lock in locks:
        assert own in updated[lock]
        assert updated[lock].replace(own, "") == fresh[lock]
        assert f"mangum=={old}" not in updated[lock]
    assert '"pyjwt>=2.10,<3"' in updated["pyproject.toml"] and '"mangum>=99.1,>=' in updated["pyproject.toml"]
    assert "# Mine." in updated["app/main.py"] and '"""Return an answer."""' in updated["app/main.py"]
    assert "Our three commands" in updated["README.md"]


def test_update_across_other_filters(clone: Path, git: Git, tmp_path: Path) -> None:
    """Each version is rendered with its own modules, although cruft renders both in one process and from one folder."""
    git.commit(clone, "first version")
    git(tmp_path, "cruft", "create", clone, "--no-input", "--output-dir", tmp_path)
    project = tmp_path / "orders-api"
    git.commit(project, "created")
    package = clone / "cookiecutter_fastapi_lambda"
    change(package / "environment.py", '"quoted": filters.quoted,', '"quoted": filters.quoted, "shout": str.upper,')
    # The file keeps its length, and within a second its time: all that Python compares before it takes bytecode.
    change(package / "rules.py", '"amazonaws.com"', '"amazonaws.org"')
    readme = clone / "{{cookiecutter.project_slug}}" / "README.md"
    change(readme, "{{ cookiecutter.project_name | markdown }}", "{{ cookiecutter.project_name | shout }}")
    git.commit(clone, "second version")
    git(project, "cruft", "update", "--skip-apply-ask")
    lines = [line for line in git(project, "git", "diff", "HEAD", "-U0").splitlines() if re.match(r"[-+][^-+]", line)]
    assert [line for line in lines if line[1] == "#"] == ["-# Orders API", "+# ORDERS API"]
    hosts = {line[0] + line.split(".", 1)[1].rstrip(",") for line in lines if "execute-api" in line}
    assert hosts == {'-execute-api.us-east-1.amazonaws.com"', '+execute-api.us-east-1.amazonaws.org"'}


def test_update_across_a_new_question(clone: Path, git: Git, tmp_path: Path) -> None:
    """A project that was never asked gets the default of the new question, and its own answers stay."""
    git.commit(clone, "the newest version")
    template = clone / "{{cookiecutter.project_slug}}"
    context = json.loads((clone / "cookiecutter.json").read_text(encoding="utf-8"))
    del context["api"], context["__api_checked"]
    (clone / "cookiecutter.json").write_text(json.dumps(context), encoding="utf-8")
    for path in [*template.rglob("*"), *(clone / "templates").iterdir()]:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("cookiecutter.api", "'http_api'"), encoding="utf-8")
    change(clone / "hooks" / "post_gen_project.py", '"deployer", "api", "aws_region"', '"deployer", "aws_region"')
    rules = clone / "cookiecutter_fastapi_lambda" / "rules.py"
    change(rules, '"deployer", "api"),', '"deployer"),')
    change(rules, '    "api": ("http_api", "rest_api", "function_url"),\n', "")
    change(rules, 'answers["api"] == "function_url"\n', "False\n")
    git.commit(clone, "before the question")
    answers = '{"runtime": "python3.11", "aws_region": "eu-central-1"}'
    git(tmp_path, "cruft", "create", clone, "--no-input", "--extra-context", answers, "--output-dir", tmp_path)
    project = tmp_path / "orders-api"
    git.commit(project, "created")
    git(clone, "git", "revert", "--no-edit", "HEAD")
    git(project, "cruft", "update", "--skip-apply-ask")
    saved = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))["context"]["cookiecutter"]
    assert (saved["api"], saved["runtime"], saved["aws_region"]) == ("http_api", "python3.11", "eu-central-1")
    changed = {line[3:] for line in git(project, "git", "status", "--porcelain").splitlines()}
    assert changed == {".cruft.json"}
    assert 'region = "eu-central-1"' in (project / "samconfig.toml").read_text(encoding="utf-8")


def test_commands_of_the_page(clone: Path, git: Git, tmp_path: Path) -> None:
    """Each works as docs/upgrade.md has it, but for the address, which is a path here."""
    page = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
    create, link, update, check, diff = (
        re.search(rf"\buvx (cruft {word}[^\n`]*)", page)[1]
        for word in ("create", "link", "update --variables", "check", "diff")
    )
    assert create == "cruft create https://github.com/ORG/cookiecutter-fastapi-lambda"
    git.commit(clone, "first version")
    arguments = ["--no-input", "--extra-context", '{"secret": true}', "--output-dir", tmp_path]
    git(tmp_path, *create.split()[:2], clone, *arguments)
    project = tmp_path / "orders-api"
    git.commit(project, "created")
    assert "SUCCESS" in git(project, *shlex.split(check))
    change(clone / "cookiecutter.json", "A secret in AWS", "One secret in AWS")
    git.commit(clone, "second version")
    git(project, *shlex.split(update), "--skip-apply-ask")
    saved = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))["context"]["cookiecutter"]
    assert (saved["ci"], saved["secret"]) == ("none", True)
    git.commit(project, "updated")
    assert git(project, *shlex.split(diff)) == ""
    # A project that cruft does not know.
    (project / ".cruft.json").unlink()
    git.commit(project, "unknown")
    git(project, *shlex.split(link), clone, "--no-input", "--extra-context", '{"secret": true, "ci": "none"}')
    assert "SUCCESS" in git(project, *shlex.split(check))
