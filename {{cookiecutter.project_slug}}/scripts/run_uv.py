"""Find uv and Python interpreters on this machine, for build.py.

uv reads its own configuration (UV_* variables, uv.toml, [tool.uv], netrc). Its output is shown unchanged.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
UV_VENV = PROJECT / ".uv"
# The first version with all the options that build.py uses.
LOWEST_UV = (0, 9)
# pip's index, certificate and proxy settings, and the variables that configure the same for uv.
UV_VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    "cert": ("SSL_CERT_FILE", "UV_SYSTEM_CERTS"),
    "proxy": ("HTTPS_PROXY", "ALL_PROXY"),
}


class BuildError(Exception):
    """An error that the user can fix; its message says how."""


def uv(*arguments: str | Path, task: str, target: Path | None = None) -> None:
    """Run uv in the project's folder; for a new target folder, try with uv's cache only (--offline) first.

    Raise BuildError if uv fails, after printing which settings of pip have no equivalent in uv's configuration.
    """
    command = [*find_uv(), *arguments]
    if target:
        if subprocess.run([*command, "--offline"], cwd=PROJECT, capture_output=True).returncode == 0:
            return
        shutil.rmtree(target, ignore_errors=True)
    sys.stdout.flush()
    if subprocess.run(command, cwd=PROJECT).returncode:
        settings = output(sys.executable, "-m", "pip", "config", "list") or ""  # nothing where there is no pip
        names = re.findall(r"^(?:global|install|:env:)\.([\w-]+)=(?!'')", settings, re.MULTILINE)
        unread = [name for name in UV_VARIABLES if name in names and not any(map(os.getenv, UV_VARIABLES[name]))]
        if unread:
            advice = ", ".join(f"{name} (for uv: {UV_VARIABLES[name][0]})" for name in unread)
            print(f"build.py: pip is configured with {advice}; uv does not read pip's settings.", file=sys.stderr)
        raise BuildError(f"uv could not {task}; see above, and docs/troubleshooting.md")


@cache
def find_uv() -> tuple[str | Path, ...]:
    """Return the command for uv: from PATH, as a module of this Python, or in .uv/, where it is installed if missing.

    Raise BuildError if it cannot be installed.
    """
    python = venv_python(UV_VENV)
    for command in (("uv",), (sys.executable, "-m", "uv"), (python, "-m", "uv")):
        version = re.findall(r"\d+", output(*command, "--version") or "")[:2]
        if tuple(map(int, version)) >= LOWEST_UV:
            return command
    lowest = ".".join(map(str, LOWEST_UV))
    print(f"uv {lowest} or newer was not found; installing it into .uv/ ...", flush=True)
    # Keep pip's index and certificate settings; override its install location: user, target, root, prefix.
    place = ["--no-user", "--target=", f"--root={UV_VENV.anchor}", f"--prefix={UV_VENV}"]
    make_venv: list[str | Path] = [sys.executable, "-m", "venv", "--clear", UV_VENV]
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", *place, f"uv>={lowest}"]
    if subprocess.run(make_venv).returncode or subprocess.run(install).returncode:
        raise BuildError("uv could not be installed; install it (https://docs.astral.sh/uv/) and try again")
    return python, "-m", "uv"


def find_python(minor: str, venv: Path) -> Path | None:
    """Return an interpreter of a minor version such as "3.13": the one that runs this, the venv's, pyenv's or uv's."""
    if "{}.{}".format(*sys.version_info) == minor:
        return Path(sys.executable)
    candidates = [venv_python(venv)]
    with suppress(OSError, RuntimeError):  # a folder of somebody else's, no home
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
        candidates += pyenv.glob(f"{minor}.*/bin/python")
    for python in candidates:
        if version_of(python) == minor:
            return python
    found = output(*find_uv(), "python", "find", "--no-python-downloads", "--no-project", minor)
    return Path(found) if found else None


def version_of(python: Path) -> str | None:
    """Return the minor version of an interpreter, such as "3.13", or None if it does not run."""
    return output(python, "-I", "-c", "import sys; print('{}.{}'.format(*sys.version_info))")


def venv_python(venv: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def output(*command: str | Path) -> str | None:
    """Return what a command prints to standard output, or None if it fails."""
    try:
        result = subprocess.run(command, cwd=PROJECT, capture_output=True, encoding="utf-8", errors="replace")
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
