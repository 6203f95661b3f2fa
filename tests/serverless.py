"""The Serverless Framework without AWS: osls, as a project's own lock pins it."""

import functools
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.machine import CACHE, clean_environment, npm_ci, with_node
from tests.ministack import Ministack

LOCKED = ("package.json", "package-lock.json")


@functools.cache
def node_modules(project: Path) -> Path:
    """Return what `npm ci` makes of a project's lock; it is the same for all, so it is kept."""
    lock = json.loads((project / "package-lock.json").read_text(encoding="utf-8"))
    for named in (lock, lock["packages"][""]):
        named["name"] = "any"
    target = CACHE / "osls" / hashlib.sha256(json.dumps(lock).encode()).hexdigest()[:16]
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "done").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for name in LOCKED:
                shutil.copy(project / name, target / name)
            npm_ci(target)
            (target / "done").touch()
    return target / "node_modules"


def copy(project: Path, target: Path) -> Path:
    """Return a copy of a project in which osls is installed."""
    shutil.copytree(project, target, symlinks=True)
    (target / "node_modules").symlink_to(node_modules(project))
    return target


def osls(project: Path, ministack: Ministack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run osls in a project, with what build.py needs on PATH."""
    return run(project, ministack, project / "node_modules" / ".bin" / "osls", *arguments)


def run(project: Path, ministack: Ministack, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a project, with npx, and what build.py needs, on PATH."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    commands = home / "bin"
    if not commands.exists():
        with_node(commands)
    variables = clean_environment(home, commands, UV_PYTHON_DOWNLOADS="never", **ministack.environment)
    variables["NODE_COMPILE_CACHE"] = str(CACHE / "node")
    variables["SLS_AWS_MONITORING_FREQUENCY"] = "100"  # milliseconds between looks at a stack
    return subprocess.run(
        command,
        cwd=project,
        env=variables,
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )


def template(project: Path) -> dict[str, Any]:
    """Return the CloudFormation template that osls has made."""
    text = (project / ".serverless" / "cloudformation-template-update-stack.json").read_text(encoding="utf-8")
    return json.loads(text)


def state(project: Path) -> dict[str, Any]:
    """Return what osls keeps of the service beside the template: what it does by calls after a deployment."""
    return json.loads((project / ".serverless" / "serverless-state.json").read_text(encoding="utf-8"))
