"""Tests that notice: mutmut changes the code, one place at a time, and runs the tests that reach that place.

It changes what tests of the same process reach: app/ and scripts/ of a rendered project, the hook, and the rules and
filters of the template. It cannot follow a test into a process that the test starts, so each script has tests that call
its functions, beside those that run it: test_scripts.py, test_findings.py, and those of the project itself.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT, Bake
from tests.machine import CACHE, UV, interpreter

LOCK = ROOT / "requirements" / "mutation.txt"
# The most that may survive in a function, and why: most of what is left changes nothing that can be seen.
IN_PROJECT = {
    "http_events.read_encoded_path": (2, "a domain that is missing is no Function URL's; a shortcut for plain paths"),
    "http_events.read_scope": (4, "defaults of headers that are not there, and a scheme that is set again"),
    "http_events.split_base_path": (7, "defaults of fields that are not there; a text that is split in two either way"),
    "http_events.split_port": (2, "letters X around what is no address"),
    "http_responses.error_response": (1, "the case of a header's name"),
    "http_responses.write_response": (6, "an encoding's name, when a length is counted, what separates headers"),
    "lambda_handler.LambdaHandler.__call__": (4, "the method of a request that could not be read"),
    "lambda_handler.LambdaHandler.start": (
        4,
        "Mangum's name of a mode that is overridden here; what only keeps a lifespan alive",
    ),
    "metrics.emit": (3, "the time is now either way, and None is as false as False"),
    "middleware.RequestId.__call__": (2, "the default of a state that is there"),
    "middleware.UnhandledErrors.__call__": (2, "None is as false as False; a response does not receive"),
    "request_cycle.RequestCycle.__call__": (3, "the name of Windows, and a thousandth of the time"),
    "request_cycle.RequestCycle.__init__": (1, "None is as false as False"),
    "request_cycle.RequestCycle.end": (4, "what separates the parts of a stack in the log"),
    "request_cycle.RequestCycle.run": (2, "the task after there is one"),
    "request_cycle.waiting_stack": (4, "which coroutine of a lifespan is left out of the log"),
}
ENCODING = "an encoding's other name, or the one that is the default here"
IN_SCRIPTS = {
    "archive.deployable": (1, "an end that no file has"),
    "archive.mode": (1, "a bit of a mode that is set with the other"),
    "archive.write_archive": (6, "how much is compressed, which each entry says again; defaults that are given"),
    "aws.run": (2, "letters X that no sentence ends with; the case of letters where it does not matter"),
    "aws.say": (1, ENCODING),
    "build.build_layer": (1, "a default that is given"),
    "build.install": (6, f"{ENCODING}; what separates one pin"),
    "build.pins_of": (2, ENCODING),
    "build.update_layer": (5, f"{ENCODING}; the name of a folder that is renamed"),
    "build.versions": (1, "what separates a name from its version"),
    "build.write_locks": (1, "the version of a package that is not there"),
    "build.write_zip": (2, "the name of an archive that is not complete"),
    "check.audit": (10, f"{ENCODING}; whether a line is shown at once; which lines of a lock are pins"),
    "check.main": (13, "texts of --help; what a stand-in for a process is given"),
    "check.stages": (2, ENCODING),
    "deploy.deploy": (9, f"{ENCODING}, and that for line ends"),
    "deploy.parameters": (4, f"{ENCODING}; a template without parameters"),
    "findings.findings": (1, "the template of a rule that reads only what is deployed"),
    "findings.resolve": (2, "the default of conditions, which nothing names then"),
    "findings.statements": (6, "defaults of what is there; what separates the types; an action with one colon"),
    "findings.timeouts": (1, "a second more than Lambda allows"),
    "findings.translate": (5, "an error of no resource; AWS's managed policies, which the template does not name"),
    "health.ask": (9, "what stand-ins for the stack and the clock are given"),
    "health.main": (6, "texts of --help"),
    "health.problem_of": (2, "the longest time of a request"),
    "invoke.LayerOnly.__init__": (3, f"{ENCODING}; a module that has a part of all packages"),
    "invoke.main": (2, ENCODING),
    "layer.built_from": (2, ENCODING),
    "layer.layer_files": (1, "an end that no file has"),
    "layer.record": (2, ENCODING),
    "layer.stale": (1, "an end that no file has"),
    "logs.follow": (1, "a millisecond in 1970"),
    "logs.line": (1, "a text is no record either"),
    "openapi.contract": (1, "letters X in the name of a category of warnings"),
    "openapi.main": (8, f"{ENCODING}; texts of --help"),
    "releases.Releases.record": (2, "the key of no record; the time zone is UTC here"),
    "run_uv.uv": (1, "letters X that are no setting"),
    "scratch.locked": (9, "Windows"),
    "stack.Stack.check": (1, "letters X that are no state"),
    "stage.delete": (1, "records that are deleted twice"),
}
IN_HOOK = {"post_gen_project.say": (1, ENCODING)}
IN_TEMPLATE = {
    "filters.quoted": (1, "None is as false as False"),
    "rules.unknown_names": (2, "only the nearest name is read"),
}


def survivors(folder: Path, source: str, settings: str) -> tuple[int, Counter[str]]:
    """Return the number of mutants of a folder of sources, and how many survive by function."""
    tools = LOCK.read_bytes()
    venv = CACHE / "mutation" / "venv"
    if not (venv / "lock").exists() or (venv / "lock").read_bytes() != tools:
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", interpreter("python3.13"), venv], check=True)
        sync = [UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python", "--require-hashes"]
        subprocess.run([*sync, "-r", LOCK], check=True)
        (venv / "lock").write_bytes(tools)
    own = folder.parent / "venv"
    shutil.copytree(venv, own, symlinks=True)
    for lock in (folder / "requirements-check.txt", folder / "requirements-dev.txt"):
        if lock.exists():
            wanted = re.findall(r"^(?!pytest==)[\w.-]+==\S+", lock.read_text(encoding="utf-8"), re.MULTILINE)
            subprocess.run([UV, "pip", "install", "--quiet", "--python", own / "bin" / "python", *wanted], check=True)
    (folder / "setup.cfg").write_text(f"[mutmut]\nsource_paths={source}\n{settings}", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    mutmut = [own / "bin" / "python", "-m", "mutmut"]
    children = ["--max-children", str(os.cpu_count() or 1)]
    run = subprocess.run(
        [*mutmut, "run", *children], cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    results = [*mutmut, "results", "--all", "true"]
    listed = subprocess.run(results, cwd=folder, env=environment, capture_output=True, encoding="utf-8").stdout
    found = re.findall(r"^ *(\S+)__mutmut_\d+: (.*)$", listed, re.MULTILINE)
    assert {result for _, result in found} <= {"killed", "survived", "timeout", "suspicious", "no tests"}, listed[:3000]
    left: Counter[str] = Counter()
    for name, result in found:
        if result in ("survived", "no tests"):
            left[re.sub(r"x_|x\u01c1", "", name, count=1).replace("\u01c1", ".").removeprefix(f"{source}.")] += 1
    return len(found), left


def judge(total: int, left: Counter[str], allowed: Mapping[str, tuple[int, str]]) -> None:
    """Fail if fewer than nine in ten mutants are noticed, or if one survives that is not listed."""
    print(f"{1 - left.total() / total:.1%} of {total} mutants are noticed; the others: {dict(left)}")
    assert {name: number for name, number in left.items() if number > allowed.get(name, (0, ""))[0]} == {}
    assert left.total() <= total / 10


def copy_with_src(source: Path, project: Path, folder: str) -> None:
    """Copy a project, with a folder of modules as src: mutmut finds modules without a package nowhere else."""
    shutil.copytree(source, project)
    (project / folder).rename(project / "src")
    for path in project.glob("*/*.py"):
        path.write_text(path.read_text(encoding="utf-8").replace(f'/ "{folder}"', '/ "src"'), encoding="utf-8")
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(f'"{folder}"', '"src"'), encoding="utf-8")


@pytest.mark.long
def test_project(bake: Bake, tmp_path: Path) -> None:
    """The tests of a rendered project notice what is changed in app/."""
    project = tmp_path / "project"
    copy_with_src(bake(), project, "app")
    copied = ("src", "scripts", "events", "package", "template.yaml", "samconfig.toml", "Makefile", "README.md")
    settings = "\n    ".join(["also_copy=", *copied, ".python-version", "requirements-dev.txt"])
    # Those run the application in another process, or read the lock.
    settings += (
        "\npytest_add_cli_args=\n    -x\n    -k\n    not start_as_lambda and not test_invoke and not layer_fits\n"
    )
    judge(*survivors(project, "src", settings), IN_PROJECT)


# What the tests of the template that call scripts need of this folder.
FIXTURE = """

@pytest.fixture(scope="session")
def bake() -> Callable[..., Path]:
    return lambda **_: PROJECT
"""


@pytest.mark.long
def test_scripts(bake: Bake, tmp_path: Path) -> None:
    """The tests that call functions of scripts/ notice what is changed in them; zip has most of them."""
    project = tmp_path / "project"
    shutil.copytree(bake(deployer="zip"), tmp_path / "baked")
    for name in ("test_findings.py", "test_scripts.py"):
        text = (ROOT / "tests" / name).read_text(encoding="utf-8")
        text = text.replace("from tests.conftest import Bake\n", "Bake = object\n")
        (tmp_path / "baked" / "tests" / name).write_text(text, encoding="utf-8")
    with (tmp_path / "baked" / "tests" / "conftest.py").open("a", encoding="utf-8") as text:
        text.write(FIXTURE)
    copy_with_src(tmp_path / "baked", project, "scripts")
    copied = ("app", "events", "package", "template.yaml", "stages", "Makefile", "README.md", "requirements-dev.txt")
    settings = "\n    ".join(["also_copy=", *copied])
    settings += "\npytest_add_cli_args=\n    -x\npytest_add_cli_args_test_selection="
    for name in ("logs", "stage", "deploy", "health", "findings", "scripts"):
        settings += f"\n    tests/test_{name}.py"
    judge(*survivors(project, "src", f"{settings}\n"), IN_SCRIPTS)


@pytest.mark.long
def test_hook(clone: Path) -> None:
    """The tests of the hook notice what is changed in it."""
    copied = ("{{cookiecutter.project_slug}}", "cookiecutter.json", "README.md", "tests", "requirements", "templates")
    settings = "\n    ".join(["also_copy=", *copied, "benchmarks", "cookiecutter_fastapi_lambda"])
    # Those start it in another process, read its text, or render projects.
    settings += "\npytest_add_cli_args=\n    -x\n    -k\n    not rendered_hook and not comes_first and not jinja_brings"
    settings += " and not standard_library and not next_command\n"
    settings += "pytest_add_cli_args_test_selection=\n    tests/test_post_hook.py\n"
    subprocess.run(["git", "init", "--quiet", "."], cwd=clone, check=True)
    judge(*survivors(clone, "hooks", settings), IN_HOOK)


@pytest.mark.long
def test_rules_and_filters(clone: Path) -> None:
    """The tests of the rules and filters notice what is changed in them."""
    copied = ("{{cookiecutter.project_slug}}", "hooks", "cookiecutter.json", "README.md", "tests", "requirements")
    settings = "\n    ".join(["also_copy=", *copied, "benchmarks", "cookiecutter_fastapi_lambda"])
    settings += "\nonly_mutate=\n    */rules.py\n    */filters.py\npytest_add_cli_args=\n    -x\n    -k\n"
    # Those use tools that are not in this environment.
    settings += "    not of_the_tools and not support_ends and not is_formatted\n"
    settings += "pytest_add_cli_args_test_selection=\n    tests/test_rules.py\n    tests/test_filters.py\n"
    subprocess.run(["git", "init", "--quiet", "."], cwd=clone, check=True)
    judge(*survivors(clone, "cookiecutter_fastapi_lambda", settings), IN_TEMPLATE)
