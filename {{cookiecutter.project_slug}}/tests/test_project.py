"""The parts of the project that must agree with one another."""

import re
import sys
import tomllib

import build
import layer
from conftest import PROJECT


def test_one_runtime_everywhere() -> None:
    """What the layer is built for is what is deployed, and what the tests run with."""
    {% if cookiecutter.__template %}
    template = (PROJECT / "template.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"Runtimes?:\W*(python[\d.]+)", template)) == {build.RUNTIME}
    assert set(re.findall(r"Architectures?:\W*(\w+)", template)) == {build.ARCHITECTURE}
    {% else %}
    service = (PROJECT / "serverless.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"[rR]untimes?:\W*(python[\d.]+)", service)) == {build.RUNTIME}
    assert set(re.findall(r"[aA]rchitectures?:\W*(\w+)", service)) == {build.ARCHITECTURE}
    {% endif %}
    assert (PROJECT / ".python-version").read_text(encoding="utf-8").strip() == build.PYTHON
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={build.PYTHON}"


def test_layer_fits_the_lock() -> None:
    """A layer that is built is that of the lock."""
    reason = layer.stale(build.TARGET, build.BYTECODE)
    assert reason in (None, "package/python is not built"), f"{reason}; `make layer` builds it"


def test_no_dependency_is_hidden_by_a_module_of_ours() -> None:
    """A module in app/ that is called like one of Python or of the layer would be imported in its place."""
    ours = {path.stem for path in (PROJECT / "app").glob("*.py")}
    pinned = re.findall(r"^([\w.-]+)", layer.LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert not ours & ({name.replace("-", "_") for name in pinned} | sys.stdlib_module_names)


{% if cookiecutter.__table %}
def test_tables_are_alike() -> None:
    """The table of prod has the key and the indexes of the other one."""
    text = (PROJECT / "{{ "serverless.yml" if cookiecutter.__serverless else "template.yaml" }}").read_text(encoding="utf-8")
    tables = re.findall(r"^ +(?:Kept)?Table:\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    tables = [re.sub("DeletionProtectionEnabled: true|.*Properties:", "", each, flags=re.DOTALL) for each in tables]
    assert len(tables) == 2
    assert tables[0].split() == tables[1].split()


{% endif %}
def test_permissions_are_where_they_count() -> None:
{% if cookiecutter.__serverless %}
    """The statements that osls would take are replaced by those of IamRoleLambdaExecution, under `resources`."""
    service = (PROJECT / "serverless.yml").read_text(encoding="utf-8")
    ignored = re.findall(r"^ +(iam|iamRoleStatements):", service, re.MULTILINE)
    assert not ignored, "write the statement into IamRoleLambdaExecution, where serverless.yml says so"
{% else %}
    """{{ "SAM" if cookiecutter.__sam else "AWS" }} ignores the `Policies` of a function that has a `Role`."""
    template = (PROJECT / "template.yaml").read_text(encoding="utf-8")
    for resource in re.split(r"^  (?=\w)", template, flags=re.MULTILINE):
        both = {"Role", "Policies"} <= set(re.findall(r"^      (\w+):", resource, re.MULTILINE))
        assert not both, f"write the statement into ApiRole, not into {resource.partition(':')[0]}"
{% endif %}
