"""Writes every lock anew: the tools' in requirements/, and those that a rendered project starts with.

The project's Python locks are made by its own `build.py lock`, so they are what `make lock` gives in a fresh project.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
SLUG = "slug-to-replace"


def render(folder: str, **answers: str) -> Path:
    """Return a project with these answers."""
    context = {"project_slug": SLUG, "build_layer": False} | answers
    return Path(
        cookiecutter(str(ROOT), no_input=True, extra_context=context, output_dir=folder, overwrite_if_exists=True)
    )


def lock(project: Path, *options: str) -> None:
    """Let a project pin its Python packages."""
    # Whatever indexes this machine has beside the public one are nobody else's business.
    environment = os.environ | {"PIP_CONFIG_FILE": os.devnull}
    subprocess.run([sys.executable, "scripts/build.py", "lock", *options], cwd=project, env=environment, check=True)


def pins(text: str) -> list[str]:
    """Return the parts of a lock, its head first, then one for each package."""
    return re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)


def merged(without: str, more: str, condition: str) -> str:
    """Return a lock with the packages that only the second one has between the tags of a condition."""
    head, *packages = pins(more)
    common = set(pins(without))
    assert common - set(pins(more)) <= {pins(without)[0]}, "a package that both need has two versions"
    lines = [head]
    for package in packages:
        lines.append(package if package in common else f"{{% if {condition} %}}\n{package}{{% endif %}}\n")
    return "".join(lines).replace(f"{{% endif %}}\n{{% if {condition} %}}\n", "")


def compile_group(group: str, *options: str) -> None:
    """Pin the newest versions of a group of pyproject.toml in requirements/."""
    # Lambda's oldest Python here is 3.11; the tools run on whatever the machine has.
    lowest = {"runtime": "3.11", "ministack": "3.13", "upstream": "3.13"}.get(group, "3.10")
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"),
            *("--generate-hashes", "--no-annotate", "--python-version", lowest, "--group", group),
            *("--custom-compile-command", "make lock", "--output-file", f"requirements/{group}.txt", *options),
        ],
        cwd=ROOT,
        check=True,
    )


if __name__ == "__main__":
    for group in ("new", "test", "bench", "runtime", "ministack"):
        compile_group(group)
    with tempfile.TemporaryDirectory() as folder:
        project = render(folder)
        lock(project, "--upgrade")
        application = (project / "app" / "requirements.txt").read_text(encoding="utf-8")
        development = (project / "requirements-dev.txt").read_text(encoding="utf-8")
        # One more for boto3; what is pinned above stays as it is.
        project = render(folder, deployer="zip")
        (project / "app" / "requirements.txt").write_text(application, encoding="utf-8")
        (project / "requirements-dev.txt").write_text(development, encoding="utf-8")
        lock(project)
        with_boto3 = (project / "requirements-dev.txt").read_text(encoding="utf-8")
        (TEMPLATE / "app" / "requirements.txt").write_text(application, encoding="utf-8")
        both = merged(development, with_boto3, "cookiecutter.__zip")
        (TEMPLATE / "requirements-dev.txt").write_text(both, encoding="utf-8")
        compile_group("upstream", "--constraint", str(TEMPLATE / "app" / "requirements.txt"))
        # What the package.json of a project with serverless.yml asks for; no address, so that each uses its own.
        project = render(folder, deployer="serverless")
        npm = [Path(sys.executable).parent / "npm", "install", "--package-lock-only"]
        (project / "package-lock.json").unlink(missing_ok=True)
        subprocess.run([*npm, "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"], cwd=project, check=True)
        text = (project / "package-lock.json").read_text(encoding="utf-8")
        assert "resolved" not in json.loads(text)["packages"]["node_modules/osls"]
        text = text.replace(SLUG, "{{ cookiecutter.project_slug }}")
        (TEMPLATE / "{% if cookiecutter.__serverless %}package-lock.json{% endif %}").write_text(text, encoding="utf-8")
