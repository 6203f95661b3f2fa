"""The git repository that the hook makes if asked."""

import subprocess
from pathlib import Path

import pytest

from hooks import post_gen_project
from tests.conftest import Bake
from tests.test_rules import GOOD


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git reads no settings but these: it knows an author, and calls the first branch otherwise than this project."""
    (tmp_path / "settings").write_text("[user]\nname = A\nemail = a@example.com\n[init]\ndefaultBranch = trunk\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints in a folder."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_first_commit(bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that was rendered is in one commit on the branch that the workflows run on."""
    project = bake(git_init=True)
    assert git(project, "log", "--format=%s %D") == "Create the service from its template HEAD -> main"
    assert git(project, "status", "--porcelain") == ""
    tracked = set(git(project, "ls-files").splitlines())
    written = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert tracked == {path for path in written if not path.startswith(".git/")}


def test_only_when_asked() -> None:
    """Neither by default nor for an update tool, whose answers name the commit they came from."""
    assert not post_gen_project.should_commit(GOOD)
    assert post_gen_project.should_commit(GOOD | {"git_init": True})
    assert not post_gen_project.should_commit(GOOD | {"git_init": True, "_commit": "abc"})


def test_repository_around_it(tmp_path: Path) -> None:
    """A project in a repository, such as one of many services, belongs to that one."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "orders-api").mkdir()
    reason = post_gen_project.commit(tmp_path / "orders-api")
    assert reason == f"The project is in the git repository {tmp_path.resolve()}; commit it there."
    assert not (tmp_path / "orders-api" / ".git").exists()


def test_author_who_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook says what git says, and what to run."""
    (tmp_path / "settings").write_text("[user]\nuseConfigOnly = true\n")
    (tmp_path / "orders-api").mkdir()
    (tmp_path / "orders-api" / "README.md").touch()
    reason = post_gen_project.commit(tmp_path / "orders-api")
    assert reason.startswith("git commit: ")
    assert reason.endswith(post_gen_project.COMMIT)
    (line,) = [each for each in post_gen_project.summary(GOOD, tmp_path, True, reason) if "commit was" in each]
    assert line == f"No commit was made. {reason}"


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git gets its project."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert post_gen_project.commit(tmp_path).endswith(post_gen_project.COMMIT)
