"""The Serverless Framework without AWS: osls, as a project's own lock pins it."""

import functools
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.aws import Aws
from tests.machine import BIN, CACHE, CI, RUNTIMES, clean_environment, interpreter, links

LOCKED = ("package.json", "package-lock.json")


@functools.cache
def npm() -> Path:
    """Return npm; a machine without it skips the test, which a job does not."""
    found = shutil.which("npm")
    if found is None:
        message = "npm is needed for osls"
        pytest.fail(message) if CI else pytest.skip(message)
    return Path(found)


@functools.cache
def node_modules(project: Path) -> Path:
    """Return what `npm ci` makes of a project's lock; it is the same for all, so it is kept."""
    lock = json.loads((project / "package-lock.json").read_text(encoding="utf-8"))
    for named in (lock, lock["packages"][""]):
        named["name"] = "any"
    target = CACHE / "osls" / hashlib.sha256(json.dumps(lock).encode()).hexdigest()[:16]
    if not (target / "done").exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in LOCKED:
            shutil.copy(project / name, target / name)
        subprocess.run([npm(), "ci", "--no-audit", "--no-fund", "--silent"], cwd=target, check=True)
        (target / "done").touch()
    return target / "node_modules"


def copy(project: Path, target: Path) -> Path:
    """Return a copy of a project in which osls is installed."""
    shutil.copytree(project, target, symlinks=True)
    (target / "node_modules").symlink_to(node_modules(project))
    return target


def osls(project: Path, aws: Aws, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run osls in a project, with what build.py needs on PATH."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    node = Path(shutil.which("node") or npm().parent / "node")
    commands = home / "bin"
    if not commands.exists():
        pythons = {runtime.replace(".", "_"): interpreter(runtime) for runtime in RUNTIMES if interpreter(runtime)}
        links(commands, node=node, npm=npm(), uv=BIN / "uv", python3=BIN / "python", **pythons)
    variables = clean_environment(home, commands, UV_PYTHON_DOWNLOADS="never", **aws.environment, **environment)
    # The SDK's word about Node.js 20, whose time ends in 2027; the tests count on there being no other warning.
    variables["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true"
    return subprocess.run(
        [project / "node_modules" / ".bin" / "osls", *arguments],
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
