"""The commands of the README, as a new user types them: fresh clone, clean HOME, any path."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.machine import BIN, clean_environment
from tests.parsers import anchors


def test_make_new(clone: Path, tmp_path: Path) -> None:
    """It builds its .venv, shows progress, and writes a project with its layer."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    output = tmp_path / "my output"
    environment = clean_environment(tmp_path / "home", python.parent)
    arguments = f"--no-input -o '{output}' project_name='Shop of Ours'"
    command = ["make", "new", f"ARGS={arguments}"]
    result = subprocess.run(command, cwd=clone, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("Making .venv ...\n")
    last = '  cd "../my output/shop-of-ours"\n  make test\n  make deploy\n'
    assert result.stdout.endswith(last)
    assert (output / "shop-of-ours" / "app" / "main.py").is_file()
    assert (output / "shop-of-ours" / "package" / "python" / "fastapi").is_dir()
    assert (clone / ".venv" / "bin" / "cookiecutter").is_file()
    assert not (clone / ".venv" / "bin" / "sam").exists(), "make new needs none of the test tools"


def test_ci_runs_the_readmes_command() -> None:
    """What CI runs is what a contributor types."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.rstrip().endswith("\nexec make test")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "\nmake test\n" in readme and "`make test-deploy`" in contributing
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert "- run: .ci/run\n" in workflow and "- run: make test-deploy\n" in workflow
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_help_lists_every_target(tmp_path: Path) -> None:
    """`make` alone says what there is."""
    result = subprocess.run(["make"], cwd=ROOT, env=clean_environment(tmp_path), capture_output=True, encoding="utf-8")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "make help",
        "make new",
        "make test",
        "make test-all",
        "make test-deploy",
        "make bench",
        "make pictures",
        "make lock",
    ]


def test_python_that_is_too_old(clone: Path, tmp_path: Path) -> None:
    """The first thing said is which Python is needed."""
    old = tmp_path / "python3"
    old.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec "{sys.executable}" -c "import sys; sys.version_info = (3, 9); $2"\nexit 3\n'
    )
    old.chmod(0o755)
    result = subprocess.run(["make", "new", f"PYTHON={old}"], cwd=clone, capture_output=True, encoding="utf-8")
    assert result.returncode != 0
    assert result.stderr.startswith("Python 3.10 or newer is needed, this is ")
    assert not (clone / ".venv").exists()


def test_command_of_the_readme(clone: Path, tmp_path: Path) -> None:
    """The first one that people see, with the path of their clone in it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    program, *command = re.search(r"^```\n(.+)\n```", readme, re.MULTILINE)[1].split()
    assert (program, command[-1]) == ("uvx", "path/to/cookiecutter-fastapi-lambda")
    environment = clean_environment(tmp_path / "home", BIN)
    result = subprocess.run(
        [BIN / program, *command[:-1], clone, "--no-input", "build_layer=no"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "orders-api" / "app" / "main.py").is_file()


def test_pages_lead_somewhere() -> None:
    """Each link in the template's own pages leads to a file or a heading, and none names a version: none exists yet."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r'(?:\]\(|src=")(?!https?://)([^)#"]*)(?:#([^)]*))?[)"]', text):
            path = page.parent / target if target else page
            assert path.is_file(), (page.name, target)
            assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), (page.name, target, anchor)
        assert not re.search(r"\bv\d+\.\d+|--checkout [\w.]*\d", text), page.name
