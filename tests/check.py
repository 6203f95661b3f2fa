"""A project's own `make check`, with its tools in an environment that all tests share."""

import functools
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

from tests.machine import BIN, CACHE, UV, clean_environment, interpreter, with_node
from tests.serverless import node_modules


@functools.cache
def environment(lock: Path) -> Path:
    """Return an environment with the tools of a lock, for Python 3.13; it is kept for later runs."""
    python = interpreter("python3.13")
    target = CACHE / "check" / hashlib.sha256(lock.read_bytes() + str(python).encode()).hexdigest()[:16]
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "done").exists():
            subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, target], check=True)
            install = [UV, "pip", "sync", "--quiet", "--compile-bytecode", "--python", target / "bin" / "python"]
            subprocess.run([*install, "--require-hashes", lock], check=True)
            (target / "done").touch()
    return target


def prepare(project: Path, target: Path) -> Path:
    """Return a copy of a project with the tools of `make check`, and with osls if it has serverless.yml."""
    shutil.copytree(project, target, symlinks=True)
    (target / ".venv-check").symlink_to(environment(project / "requirements-check.txt"))
    if (project / "package.json").exists():
        (target / "node_modules").symlink_to(node_modules(project))
    return target


def check(project: Path, *, with_sam: bool = False) -> tuple[int, list[str]]:
    """Run check.py in a project, without credentials and without a network, and return exit code and lines."""
    with tempfile.TemporaryDirectory() as home:
        commands = with_node(Path(home) / "bin")
        if with_sam:
            (commands / "sam").symlink_to(BIN / "sam")
        nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "UV_OFFLINE": "1"}
        variables = clean_environment(Path(home), commands, **nowhere, AWS_EC2_METADATA_DISABLED="true")
        variables["NODE_COMPILE_CACHE"] = str(CACHE / "node")
        result = subprocess.run(
            [commands / "python3", "-B", "scripts/check.py"],
            cwd=project,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
    return result.returncode, result.stdout.splitlines()
