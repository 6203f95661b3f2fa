"""Writes every lock anew: the tools' in requirements/, and those that a rendered project starts with.

The project's Python locks are made by its own `build.py lock`, so they are what `make lock` gives in a fresh project.
"""

import json
import re
import subprocess
import sys
import tempfile
from itertools import groupby, product
from pathlib import Path

from cookiecutter.main import cookiecutter

from cookiecutter_fastapi_lambda.rules import CHOICES

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
RUNTIMES = CHOICES["runtime"]
# What is true of these deployers and of no other.
DEPLOYERS = {
    ("sam", "serverless", "zip"): [],
    ("sam", "zip"): ["cookiecutter.__template"],
    ("zip",): ["cookiecutter.__zip"],
}
LOCKS = ("app/requirements.txt", "requirements-dev.txt", "requirements-check.txt")
SLUG = "slug-to-replace"


def render(folder: str, **answers: str) -> Path:
    """Return a project with these answers."""
    context = {"project_slug": SLUG, "build_layer": False} | answers
    return Path(
        cookiecutter(str(ROOT), no_input=True, extra_context=context, output_dir=folder, overwrite_if_exists=True)
    )


def lock(project: Path, *options: str) -> None:
    """Let a project pin its Python packages."""
    subprocess.run([sys.executable, "scripts/build.py", "lock", *options], cwd=project, check=True)


def pins(text: str) -> list[str]:
    """Return the parts of a lock, its head first, then one for each package."""
    return re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)


def merged(locks: dict[tuple[str, str], str]) -> str:
    """Return the locks by runtime and deployer as one, where a package that not all have is between tags."""
    having: dict[str, list[tuple[str, str]]] = {}
    for answers, text in locks.items():
        head, *packages = pins(text)
        for package in packages:
            having.setdefault(package, []).append(answers)
    lines = [head]
    for test, packages in groupby(
        sorted(having, key=lambda package: package.split("=")[0]), lambda p: condition(having[p])
    ):
        text = "".join(packages)
        lines.append(f"{{% if {test} %}}\n{text}{{% endif %}}\n" if test else text)
    return "".join(lines)


def condition(having: list[tuple[str, str]]) -> str:
    """Return what is true of the projects with these runtimes and deployers, and of no other; nothing if of all."""
    runtimes, deployers = sorted({runtime for runtime, _ in having}), sorted({deployer for _, deployer in having})
    assert len(having) == len(runtimes) * len(deployers), f"no simple condition for {having}"
    tests = [] if len(runtimes) == len(RUNTIMES) else [f"cookiecutter.runtime in {json.dumps(runtimes)}"]
    return " and ".join([*tests, *DEPLOYERS[tuple(deployers)]])


def compile_group(group: str, *options: str) -> None:
    """Pin the newest versions of a group of pyproject.toml in requirements/."""
    # Lambda's oldest Python here is 3.11; the tools run on whatever the machine has.
    lowest = {"runtime": "3.11"} | dict.fromkeys(("ministack", "checkov", "mutation", "traces", "upstream"), "3.13")
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"),
            *("--generate-hashes", "--no-annotate", "--python-version", lowest.get(group, "3.10"), "--group", group),
            *("--custom-compile-command", "make lock", "--output-file", f"requirements/{group}.txt", *options),
        ],
        cwd=ROOT,
        check=True,
    )


if __name__ == "__main__":
    for group in ("new", "test", "bench", "runtime", "traces", "ministack", "checkov", "mutation"):
        compile_group(group)
    with tempfile.TemporaryDirectory() as folder:
        # The first takes the newest versions, and the others keep them.
        locks: dict[str, dict[tuple[str, str], str]] = {name: {} for name in LOCKS}
        for runtime, deployer in product(RUNTIMES, ("sam", "serverless", "zip")):
            project = render(folder, runtime=runtime, deployer=deployer)
            for name, texts in locks.items():
                if texts:
                    (project / name).write_text(next(reversed(texts.values())), encoding="utf-8")
            lock(project, *([] if locks["app/requirements.txt"] else ["--upgrade"]))
            for name, texts in locks.items():
                texts[runtime, deployer] = (project / name).read_text(encoding="utf-8")
        for name, texts in locks.items():
            (TEMPLATE / name).write_text(merged(texts), encoding="utf-8")
        pins = Path(folder) / "pins.txt"
        pins.write_text(locks["app/requirements.txt"]["python3.13", "sam"], encoding="utf-8")
        compile_group("upstream", "--constraint", str(pins))
        # What the package.json of a project with serverless.yml asks for; no address, so that each uses its own.
        project = render(folder, deployer="serverless")
        npm = [Path(sys.executable).parent / "npm", "install", "--package-lock-only"]
        (project / "package-lock.json").unlink(missing_ok=True)
        subprocess.run([*npm, "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"], cwd=project, check=True)
        text = (project / "package-lock.json").read_text(encoding="utf-8")
        assert "resolved" not in json.loads(text)["packages"]["node_modules/osls"]
        text = text.replace(SLUG, "{{ cookiecutter.project_slug }}")
        (TEMPLATE / "{% if cookiecutter.__serverless %}package-lock.json{% endif %}").write_text(text, encoding="utf-8")
