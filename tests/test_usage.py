"""The template as people run it: consoles, systems, and the options of Cookiecutter."""

import json
import os
import re
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import pytest

from cookiecutter_fastapi_lambda import rules
from tests.conftest import CONTEXT, NAMED, ROOT, VARIANTS, Bake, files
from tests.machine import BIN, clean_environment, links
from tests.parsers import read_toml

COOKIECUTTER = [BIN / "cookiecutter", ROOT, "--no-input"]
NO_LAYER = "build_layer=no"


def run(tmp_path: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Cookiecutter into the folder `output`, with a HOME of its own."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [*COOKIECUTTER, "-o", tmp_path / "output", *map(str, arguments)],
        env=os.environ | {"HOME": str(home)} | environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=tmp_path,
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict", "utf-8", "cp437"])
def test_consoles(encoding: str, tmp_path: Path) -> None:
    """A console that knows few letters shows what it can; nothing fails for it."""
    folder = tmp_path / "Bücher \u65e5"
    folder.mkdir()
    answers = ["project_name=Büro \U0001f600", "project_slug=buero", "aws_region=eu-west-9", NO_LAYER]
    result = run(folder, *answers, PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()
    assert "Created buero: python3.13, arm64, sam, http_api, eu-west-9." in result.stdout
    refused = run(folder, "project_name=Büro\u2028", "project_slug=ünï", PYTHONIOENCODING=encoding)
    assert refused.returncode == 1
    assert refused.stderr.startswith("project_name: 'B\\xfcro\\u2028' must ")


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "| true", "</dev/null"])
def test_closed_streams(redirect: str, tmp_path: Path) -> None:
    """Nobody has to read what the hooks say."""
    command = f'"$1" "$2" --no-input -o "$3" {NO_LAYER} {redirect}'
    subprocess.run(["sh", "-c", command, "sh", BIN / "cookiecutter", ROOT, tmp_path], capture_output=True)
    deadline = time.monotonic() + 10
    while not (tmp_path / "orders-api" / "README.md").exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # in a pipe the shell does not wait for the first command
    assert (tmp_path / "orders-api" / "app" / "main.py").exists()


def test_hook_alone_survives_a_closed_pipe(tmp_path: Path) -> None:
    """The post hook ends with 0 although its first line already meets a closed pipe."""
    hook = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    answers = {name: value[0] if isinstance(value, list) else value for name, value in CONTEXT.items()}
    answers |= {"build_layer": False, "project_slug": "x1"}
    (tmp_path / "hook.py").write_text(
        hook.replace("{{ cookiecutter | tojson }}", json.dumps(answers)).replace(
            "{{ cookiecutter | warnings | tojson }}", "[]"
        ),
        encoding="utf-8",
    )
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([sys.executable, "hook.py"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("case", ["PATH with Python only", "no HOME", "read-only HOME", "no git identity"])
def test_bare_machines(case: str, tmp_path: Path, bake: Bake) -> None:
    """What a machine lacks is not needed."""
    environment = clean_environment(tmp_path / "home")
    environment["PATH"] = str(links(tmp_path / "bin", python3=Path(sys.executable)))
    (tmp_path / "home").mkdir()
    if case == "no HOME":
        del environment["HOME"]
    elif case == "read-only HOME":
        environment["HOME"] = "/proc/self"  # nobody can write there, root included
        (tmp_path / "config.yml").write_text(f"replay_dir: {tmp_path}\ncookiecutters_dir: {tmp_path}\n")
        environment["COOKIECUTTER_CONFIG"] = str(tmp_path / "config.yml")
    elif case == "no git identity":
        environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    command = [*COOKIECUTTER, "-o", tmp_path / "output", NO_LAYER]
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "output" / "orders-api") == files(bake())


def test_hooks_use_no_shell() -> None:
    """And nothing that only one system has."""
    for hook in (ROOT / "hooks").glob("*.py"):
        text = hook.read_text(encoding="utf-8")
        for word in ("shell=", "os.system", "bin/", "_output_dir", "_repo_dir", "input(", "pre_prompt"):
            assert word not in text, (hook.name, word)


def test_paths_are_good_for_windows(bake: Bake) -> None:
    """No name that Windows refuses, no path that is long, and no two that differ in their letters' case only."""
    names = [path.relative_to(ROOT).as_posix() for path in (ROOT / "{{cookiecutter.project_slug}}").rglob("*")]
    rendered = [path.relative_to(bake()).as_posix() for path in bake().rglob("*")]
    for name in [*names, *rendered]:
        assert not re.search(r'["<>:|?*\\]|[. ](/|$)', name), name
        assert len(name) < 100
        assert not {part.split(".")[0].lower() for part in name.split("/")} & rules.DEVICES
    assert len({name.lower() for name in rendered}) == len(rendered)


def test_replay(tmp_path: Path) -> None:
    """The answers of the last time make the same project."""
    assert run(tmp_path, "project_name=Shop", "runtime=python3.12", NO_LAYER).returncode == 0
    first = files(tmp_path / "output" / "shop")
    command = [BIN / "cookiecutter", ROOT, "--replay", "-o", tmp_path / "again"]
    environment = os.environ | {"HOME": str(tmp_path / "home")}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert files(tmp_path / "again" / "shop") == first


def test_overwrite_and_skip(tmp_path: Path) -> None:
    """-f writes the template's files anew and leaves others alone; with -s one's own changes stay as well."""
    run(tmp_path, NO_LAYER)
    project = tmp_path / "output" / "orders-api"
    (project / "app" / "orders.py").write_text("mine\n", encoding="utf-8")
    main = (project / "app" / "main.py").read_text(encoding="utf-8")
    (project / "app" / "main.py").write_text("changed\n", encoding="utf-8")
    assert run(tmp_path, NO_LAYER).returncode == 1, "without -f a project is not touched"
    assert run(tmp_path, NO_LAYER, "-f", "-s").returncode == 0
    assert (project / "app" / "main.py").read_text(encoding="utf-8") == "changed\n"
    assert run(tmp_path, NO_LAYER, "-f").returncode == 0
    assert (project / "app" / "main.py").read_text(encoding="utf-8") == main
    assert (project / "app" / "orders.py").read_text(encoding="utf-8") == "mine\n"


def test_files_of_another_deployer_are_left_alone(tmp_path: Path) -> None:
    """A file that these answers do not bring is its owner's, whatever it is called."""
    assert run(tmp_path, "deployer=zip", NO_LAYER).returncode == 0
    project = tmp_path / "output" / "orders-api"
    assert not (project / "samconfig.toml").exists()
    for name in ("samconfig.toml", "serverless.yml", "package.json"):
        (project / name).write_text("mine", encoding="utf-8")
    assert run(tmp_path, "-f", "deployer=zip", NO_LAYER).returncode == 0
    assert {(project / name).read_text(encoding="utf-8") for name in ("samconfig.toml", "serverless.yml")} == {"mine"}


def test_own_defaults(tmp_path: Path) -> None:
    """~/.cookiecutterrc is obeyed, or refused by name; a bad entry does not take the others with it."""
    (tmp_path / "home").mkdir()
    defaults = "default_context:\n  aws_region: eu-central-1\n  runtime: python3.12\n  build_layer: false\n"
    (tmp_path / "home" / ".cookiecutterrc").write_text(defaults, encoding="utf-8")
    assert "Created orders-api: python3.12, arm64, sam, http_api, eu-central-1." in run(tmp_path).stdout
    bad = "default_context:\n  runtime: python2\n  aws_region: eu-central-1\n  build_layer: false\n"
    (tmp_path / "home" / ".cookiecutterrc").write_text(bad, encoding="utf-8")
    assert run(tmp_path).stderr.startswith("runtime: 'python2' must be one of ")
    assert (
        "Created orders-api: python3.14, arm64, sam, http_api, eu-central-1."
        in run(tmp_path, "-f", "runtime=python3.14").stdout
    )


def test_misspelt_question(tmp_path: Path) -> None:
    """Cookiecutter ignores an answer to no question; the template refuses it, with the question that is meant."""
    result = run(tmp_path, "depoyer=zip", "x=y", "api=function_url", "aws_region=ca-west-1", NO_LAYER)
    assert result.returncode == 1
    assert result.stderr.splitlines()[1:] == [
        "'depoyer' is not the name of a question; for example 'deployer'.",
        "'x' is not the name of a question; for example 'project_name'.",
    ]
    assert result.stdout == "Nothing was written, because of api and aws_region, depoyer, x.\n"
    assert not (tmp_path / "output" / "orders-api").exists()


def test_git_address_with_checkout(clone: Path, tmp_path: Path) -> None:
    """A tag is what --checkout names, as behind gh:."""
    environment = clean_environment(tmp_path / "home", GIT_CONFIG_GLOBAL="/dev/null")
    author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "-m", "1"], ["tag", "v1"]):
        subprocess.run(["git", *arguments], cwd=clone, env=environment, check=True)
    (clone / "cookiecutter.json").write_text("{}", encoding="utf-8")
    subprocess.run(["git", *author, "commit", "--quiet", "-am", "2"], cwd=clone, env=environment, check=True)
    address = f"git+file://{clone}"
    command = [BIN / "cookiecutter", address, "--checkout", "v1", "--no-input", "-o", tmp_path / "output", NO_LAYER]
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "output" / "orders-api" / "app" / "main.py").exists()
    assert "`--checkout TAG`" in (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")


def test_other_modules_called_hooks(tmp_path: Path) -> None:
    """Neither a package of that name where Cookiecutter is started, nor another template's filters, is in the way."""
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "__init__.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
    command = [sys.executable, "-m", "cookiecutter", ROOT, "--no-input", "-o", tmp_path / "output", NO_LAYER]
    environment = os.environ | {"HOME": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "output" / "orders-api" / "README.md").exists()


def test_two_templates_in_one_process(clone: Path, tmp_path: Path) -> None:
    """Each is rendered with its own modules: another template's, and another version's of this one."""
    other = tmp_path / "other"
    (other / "hooks").mkdir(parents=True)
    (other / "{{cookiecutter.name}}").mkdir()
    (other / "cookiecutter.json").write_text('{"name": "other", "_extensions": ["hooks.filters.shout"]}')
    (other / "hooks" / "filters.py").write_text(
        "from cookiecutter.utils import simple_filter\n\n\n@simple_filter\ndef shout(text):\n    return text.upper()\n"
    )
    (other / "{{cookiecutter.name}}" / "x").write_text("{{ cookiecutter.name | shout }}")
    filters = clone / "cookiecutter_fastapi_lambda" / "filters.py"
    filters.write_text(filters.read_text(encoding="utf-8") + "\n\nquoted = str.upper\n", encoding="utf-8")
    code = (
        "import sys; from cookiecutter.main import cookiecutter\n"
        "for number, template in enumerate(sys.argv[1:]):\n"
        "    answers = {'build_layer': 'no'} if 'other' not in template else {}\n"
        "    cookiecutter(template, no_input=True, output_dir=str(number), extra_context=answers)\n"
    )
    command = [sys.executable, "-c", code, other, ROOT, clone, ROOT]
    environment = os.environ | {"HOME": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "0" / "other" / "x").read_text() == "OTHER"
    described = [(tmp_path / number / "orders-api" / "pyproject.toml").read_text(encoding="utf-8") for number in "123"]
    assert ["description = A FASTAPI SERVICE ON AWS LAMBDA" in text for text in described] == [False, True, False]


def test_sam_init(tmp_path: Path) -> None:
    """A SAM CLI from pip renders the template too."""
    environment = clean_environment(tmp_path / "home", UV_OFFLINE="1")
    (tmp_path / "home").mkdir()
    context = json.dumps({"build_layer": "no", "runtime": "python3.12"})
    command = [BIN / "sam", "init", "--no-input", "--location", ROOT, "--output-dir", tmp_path / "output"]
    result = subprocess.run(
        [*command, "--extra-context", context], env=environment, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    project = tmp_path / "output" / "orders-api"
    assert 'RUNTIME = "python3.12"' in (project / "scripts" / "build.py").read_text(encoding="utf-8")


def test_text_on_the_command_line_is_rendered(tmp_path: Path) -> None:
    """Cookiecutter does that, so a template cannot help it; what cannot be rendered leaves nothing behind."""
    result = run(tmp_path, "description=uses {{ braces }}", NO_LAYER)
    assert result.returncode == 1
    assert "'braces' is undefined" in result.stdout + result.stderr
    assert not (tmp_path / "output").exists() or not list((tmp_path / "output").iterdir())
    run(tmp_path, "description=is {{ 7 * 7 }}", NO_LAYER)
    project = tmp_path / "output" / "orders-api"
    assert read_toml((project / "pyproject.toml").read_text())["project"]["description"] == "is 49"


def test_nothing_outside_the_output_is_touched(tmp_path: Path) -> None:
    """Neither by answers that are refused nor by those that are not."""
    (tmp_path / "home").mkdir()
    (tmp_path / "bystander").write_text("mine", encoding="utf-8")
    for answers in (["project_slug=../bystander"], ["project_slug=/etc"], ["project_slug=.."], [NO_LAYER]):
        run(tmp_path, *answers)
        run(tmp_path, "-f", *answers)
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"bystander", "home", "output"}
    assert (tmp_path / "bystander").read_text(encoding="utf-8") == "mine"
    assert {path.name for path in (tmp_path / "output").iterdir()} == {"orders-api"}


def test_every_pair_of_answers_occurs() -> None:
    """The variants hold each pair of answers."""
    names = ["runtime", "architecture", "deployer", "api", "storage", "events", "ci", "secret"]
    names += ["aws_region", "texts"]
    rows = [name for name in VARIANTS if name.startswith("python") and name not in NAMED]
    # A row's name is its answers joined by hyphens, and regions have hyphens too.
    split = [re.fullmatch("(python[0-9.]+)" + 7 * r"-(\w+)" + r"-(.+)-(\w+)", name).groups() for name in rows]
    values = [sorted({row[column] for row in split}) for column in range(len(names))]
    seen = {(a, row[a], b, row[b]) for row in split for a, b in combinations(range(len(names)), 2)}
    for a, b in combinations(range(len(names)), 2):
        assert {(a, first, b, second) for first in values[a] for second in values[b]} <= seen
    assert [len(column) for column in values] == [4, 2, 3, 3, 2, 5, 2, 2, 4, 3]


def test_refused_bake_fails_its_test(bake: Bake) -> None:
    """pytest-cookies returns an error instead of raising it; the fixture does not let one pass."""
    with pytest.raises(AssertionError, match=r"Nothing was written, because of project_slug\."):
        bake(project_slug="Not A Slug")


def test_only_our_tests_are_collected(request: pytest.FixtureRequest) -> None:
    """The rendered project's own tests are not run half rendered, in the template's folder."""
    assert {item.path.parent for item in request.session.items} == {ROOT / "tests"}
