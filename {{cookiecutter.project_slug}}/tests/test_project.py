"""The parts of the project that must agree with one another."""

import re
import sys
import tomllib

import build
from conftest import PROJECT


def test_one_runtime_everywhere() -> None:
    """What the layer is built for is what is deployed, and what the tests run with."""
    {% if cookiecutter.__template %}
    template = (PROJECT / "template.yaml").read_text(encoding="utf-8")
    assert re.findall(r"Runtimes?: \[?(python[\d.]+)", template) == [build.RUNTIME] * 2
    assert re.findall(r"Architectures: \[(\w+)\]", template) == [build.ARCHITECTURE] * 2
    {% else %}
    service = (PROJECT / "serverless.yml").read_text(encoding="utf-8")
    assert re.findall(r"[rR]untimes?: \[?(python[\d.]+)", service) == [build.RUNTIME] * 2
    assert re.findall(r"[aA]rchitectures?: \[?(\w+)", service) == [build.ARCHITECTURE] * 2
    {% endif %}
    assert (PROJECT / ".python-version").read_text(encoding="utf-8").strip() == build.PYTHON
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={build.PYTHON}"


def test_layer_fits_the_lock() -> None:
    """A layer that is built is that of the lock; `python scripts/build.py layer` brings it up to date."""
    assert build.stale(could_compile=False) in (None, "package/python is not built")


def test_locks_pin_every_dependency() -> None:
    """Each package that pyproject.toml asks for is pinned, and each pin has hashes."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    locks = {
        build.LOCK: project["project"]["dependencies"],
        build.DEV_LOCK: project["project"]["dependencies"] + project["dependency-groups"]["dev"],
    }
    for lock, asked in locks.items():
        text = lock.read_text(encoding="utf-8")
        pinned = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:", text, re.MULTILINE)
        assert {re.split(r"[<>=~]", name)[0] for name in asked} <= set(pinned)
        assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))


def test_no_dependency_is_hidden_by_a_module_of_ours() -> None:
    """A module in app/ that is called like one of Python or of the layer would be imported in its place."""
    ours = {path.stem for path in (PROJECT / "app").glob("*.py")}
    pinned = re.findall(r"^([a-z0-9-]+)==", build.LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert not ours & ({name.replace("-", "_") for name in pinned} | sys.stdlib_module_names)
