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
CONTRACTS = ROOT / "templates" / "openapi"
LOCKS = ("app/requirements.txt", "requirements-dev.txt", "requirements-check.txt")
SLUG = "slug-to-replace"
# The answers on which the packages depend, and what is true of the projects that have a package because of them. One
# with everything is first, so that the others keep the versions which it takes.
USES: dict[str, dict[str, object]] = {
    "secret": {"secret": True},
    "table": {"storage": "dynamodb"},
    "worker": {"events": "sqs"},
    "none": {},
    "serverless": {"deployer": "serverless"},
}
CONDITIONS = {
    frozenset({"secret", "table", "worker", "none", "serverless"}): "",
    frozenset({"secret", "table", "worker", "none"}): "cookiecutter.__template",
    frozenset({"secret", "table", "worker"}): "cookiecutter.__state",
    frozenset({"secret", "worker"}): "cookiecutter.__worker or cookiecutter.secret",
}

Answers = tuple[str, str]


def render(folder: str, **answers: object) -> Path:
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


def venv_python(project: Path) -> Path:
    """Return the Python of a project's .venv."""
    return project / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def merged(locks: dict[Answers, str]) -> str:
    """Return the locks by runtime and use of AWS as one, where a package that not all have is between tags."""
    having: dict[str, list[Answers]] = {}
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


def condition(having: list[Answers]) -> str:
    """Return what is true of the projects with these runtimes and uses of AWS, and of no other; nothing if of all."""
    runtimes, uses = sorted({runtime for runtime, _ in having}), {use for _, use in having}
    assert len(having) == len(runtimes) * len(uses), f"no simple condition for {having}"
    tests = [] if len(runtimes) == len(RUNTIMES) else [f"cookiecutter.runtime in {json.dumps(runtimes)}"]
    used = CONDITIONS[frozenset(uses)]
    return " and ".join([*tests, *([f"({used})" if tests and " or " in used else used] if used else [])])


def lock_projects(folder: str, *options: str) -> None:
    """Write the locks of rendered projects into the template, and pins.txt, those of a default one, into the folder.

    Without `--upgrade`, what is pinned in the template stays.
    """
    locks: dict[str, dict[Answers, str]] = {name: {} for name in LOCKS}
    for runtime, use in product(RUNTIMES, USES):
        project = render(folder, runtime=runtime, **USES[use])
        for name, texts in locks.items():
            if texts:
                (project / name).write_text(next(reversed(texts.values())), encoding="utf-8")
        # The first takes the newest versions, and the others keep them.
        lock(project, *([] if locks["app/requirements.txt"] else options))
        for name, texts in locks.items():
            texts[runtime, use] = (project / name).read_text(encoding="utf-8")
    for name, texts in locks.items():
        (TEMPLATE / name).write_text(merged(texts), encoding="utf-8")
    pins = locks["app/requirements.txt"]["python3.13", "none"]
    (Path(folder) / "pins.txt").write_text(pins, encoding="utf-8")


def write_contracts(folder: str) -> None:
    """Write the OpenAPI documents that projects start with, by what is in their API, into templates/openapi/."""
    written: set[Path] = set()
    texts = {"project_name": "NAME TO REPLACE", "description": "DESCRIPTION TO REPLACE"}
    for storage, events, secret in product(("none", "dynamodb"), ("none", "sqs"), (False, True)):
        project = render(folder, storage=storage, events=events, secret=secret, **texts)
        subprocess.run([sys.executable, "scripts/build.py", "venv"], cwd=project, check=True)
        subprocess.run([venv_python(project), "scripts/openapi.py"], cwd=project, check=True)
        text = (project / "openapi.json").read_text(encoding="utf-8")
        for question, answer in texts.items():
            text = text.replace(f'"{answer}"', f"{{{{ cookiecutter.{question} | quoted }}}}")
        parts = ["table"] * (storage != "none") + ["worker"] * (events != "none") + ["secret"] * secret
        path = CONTRACTS / f"{'-'.join(parts) or 'none'}.json"
        path.write_text(text, encoding="utf-8")
        written.add(path)
    assert {*CONTRACTS.iterdir()} == written


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
        lock_projects(folder, "--upgrade")
        compile_group("upstream", "--constraint", f"{folder}/pins.txt")
        # What the package.json of a project with serverless.yml asks for; no address, so that each uses its own.
        project = render(folder, deployer="serverless")
        npm = [Path(sys.executable).parent / "npm", "install", "--package-lock-only"]
        (project / "package-lock.json").unlink(missing_ok=True)
        subprocess.run([*npm, "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"], cwd=project, check=True)
        text = (project / "package-lock.json").read_text(encoding="utf-8")
        assert "resolved" not in json.loads(text)["packages"]["node_modules/osls"]
        text = text.replace(SLUG, "{{ cookiecutter.project_slug }}")
        (TEMPLATE / "{% if cookiecutter.__serverless %}package-lock.json{% endif %}").write_text(text, encoding="utf-8")
        write_contracts(folder)
    # A workflow installs the AWS SAM CLI that the tests ran.
    workflow = TEMPLATE / ".github" / "workflows" / "{% if cookiecutter.__github %}stage.yml{% endif %}"
    tools = (ROOT / "requirements" / "test.txt").read_text(encoding="utf-8")
    (tested,) = re.findall(r"^(aws-sam-cli==\S+)", tools, re.MULTILINE)
    text = re.sub(r"aws-sam-cli==\S+", tested, workflow.read_text(encoding="utf-8"))
    workflow.write_text(text, encoding="utf-8")
