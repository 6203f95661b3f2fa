"""The exact tree of a rendered project, with hooks and without."""

import re
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.conftest import ROOT, Bake, files
from tests.parsers import read_markdown

TREE = """
    .gitignore .python-version Makefile README.md build.py pyproject.toml requirements-dev.txt samconfig.toml
    template.yaml
    app/gateway.py app/items.py app/main.py app/requirements.txt
    events/get-item.json
    package/README.md
    tests/conftest.py tests/test_handler.py tests/test_items.py tests/test_main.py tests/test_project.py
""".split()


def test_tree(variant: Path) -> None:
    """Every file is meant, and none is missing."""
    assert sorted(files(variant)) == sorted(TREE)
    assert len(TREE) <= 35
    assert all(path.is_file() or any(path.iterdir()) for path in variant.rglob("*")), "an empty folder"


def test_project_is_whole_without_hooks(bake: Bake, tmp_path: Path) -> None:
    """Nobody who switches hooks off gets less, or more."""
    bare = cookiecutter(str(ROOT), no_input=True, accept_hooks=False, output_dir=str(tmp_path), default_config=True)
    assert files(Path(bare)) == files(bake())


def test_same_answers_same_bytes(bake: Bake, tmp_path: Path) -> None:
    """Rendering depends on the answers alone."""
    answers = {"build_layer": False}
    again = cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=str(tmp_path), default_config=True)
    assert files(Path(again)) == files(bake())


def test_readme_of_the_project_names_what_is_there(bake: Bake) -> None:
    """The tree that it draws exists."""
    project = bake()
    drawing = re.search(r"```\n(app/ .*?)```", (project / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    folder = ""
    for line in drawing.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        assert (project / (name if name == folder else folder + name)).exists(), line


def test_readme_of_the_template_draws_the_tree(bake: Bake) -> None:
    """What the README shows is what is written."""
    drawing = re.search(r"```\norders-api/\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    drawn = set()
    folder = ""
    for line in drawing.splitlines():
        name = line.split()[0]
        folder = name if name.endswith("/") else folder if line.startswith("    ") else ""
        drawn.add(folder + name if name != folder else name)
    written = set(TREE) | {f"{path.split('/')[0]}/" for path in TREE if "/" in path}
    assert drawn <= written
    assert {name for name in written if "/" not in name.strip("/")} <= drawn | {"package/README.md"}


def test_readme_lists_the_questions() -> None:
    """The table has every question, in the order in which they are asked."""
    from tests.conftest import QUESTIONS

    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert table == QUESTIONS
    assert read_markdown((ROOT / "README.md").read_text(encoding="utf-8"))[0] == "cookiecutter-fastapi-lambda"
