"""Runs uv as this machine has it: found or fetched, with the settings that pip has here, its failures explained.

build.py uses it.
"""

import configparser
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
UV_VENV = PROJECT / ".uv"
# The first with all the options that build.py uses.
LOWEST_UV = (0, 8)

NO_NETWORK = r"error sending request|dns error|Connection refused|Network is unreachable|timed out|tcp connect error"
OTHER_VERSION = "ask for another version or package in pyproject.toml, then `python scripts/build.py lock`"
# What uv says, and what to do about it: {0} is the package, {1} what is built for.
REASONS = {
    r"[Hh]ash mismatch for `([^`=]+)": "{0} is not the file that was locked: find out why, or lock what is there now "
    "with `python scripts/build.py lock --upgrade`",
    r"must have a hash.*?: ([\w.-]+)": "{0} is pinned without a hash; `python scripts/build.py lock` writes them",
    r"Because ([\w.-]+?)(?:==\S+)? has no usable wheels": "{0} is published as source only, and Lambda needs a wheel; "
    + OTHER_VERSION,
    r"Because ([\w.-]+?)(?:==\S+)? has no wheels.*platform": "{0} has no wheel for {1}, or only for a newer glibc; "
    + OTHER_VERSION,
    r"Because ([\w.-]+?)(?:==\S+)? has no wheels": "{0} has no wheel for {1}; " + OTHER_VERSION,
    r"Because ([\w.-]+?)(?:==\S+)? was not found": "{0} was not found; is the name right, and the index it comes from?",
    r"Because there is no version of ([\w.-]+)": "that version of {0} is not there; `python scripts/build.py lock` "
    "picks one",
    r"(No space left on device)": "the disk is full; free some space and try again",
    f"({NO_NETWORK})": "there is no network, and uv's cache lacks something; try again with a network",
}


class BuildError(Exception):
    """Something that the reader of its message can put right."""


def uv_from_cache(*arguments: str | Path) -> bool:
    """Run uv in silence, with nothing but its cache, and say whether that was enough."""
    command = [*find_uv(), *arguments, "--offline"]
    return subprocess.run(command, cwd=PROJECT, env=environment(), capture_output=True).returncode == 0


def uv(*arguments: str | Path, target_name: str = "this Python") -> None:
    """Run uv in the project's folder.

    Raises:
        BuildError: it failed; the message names the package and the way out where uv has said what is wrong.
    """
    alone = pip_settings().get("no-index", "").lower() in ("1", "on", "t", "true", "y", "yes")
    code, said = watch([*find_uv(), *arguments, *(["--no-index"] if alone else [])], environment())
    if code:
        for pattern, sentence in REASONS.items():
            if match := re.search(pattern, said):
                raise BuildError(sentence.format(match[1], target_name))
        raise BuildError("uv failed; what it said is above")


def watch(command: list[str | Path], env: dict[str, str]) -> tuple[int, str]:
    """Run a command, pass on what it says of its progress as it says it, and return its exit code and all it said."""
    said = []
    with subprocess.Popen(
        command, cwd=PROJECT, env=env, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as process:
        for line in process.stderr or ():
            said.append(line)
            if not line.startswith((" + ", "Using ")):
                print(ascii(line.rstrip())[1:-1], file=sys.stderr, flush=True)
    return process.returncode, "".join(said)


@cache
def find_uv() -> list[str | Path]:
    """Return the command for uv: from PATH, as a module of this Python, or out of .uv/, where it is put if need be.

    Raises:
        BuildError: there is none, and it cannot be installed.
    """
    private: list[str | Path] = [venv_python(UV_VENV), "-m", "uv"]
    candidates: list[list[str | Path]] = [["uv"], [sys.executable, "-m", "uv"], private]
    for command in candidates:
        version = re.match(r"uv (\d+)\.(\d+)", capture(*command, "--version") or "")
        if version and (int(version[1]), int(version[2])) >= LOWEST_UV:
            return command
    say("uv was not found; putting it into .uv/ ...")
    # Settings of where pip installs to would lead it away from the virtual environment.
    env = {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    env["PIP_USER"] = "0"
    try:
        run(sys.executable, "-m", "venv", "--clear", UV_VENV)
        run(venv_python(UV_VENV), "-m", "pip", "install", "--quiet", f"uv>={'.'.join(map(str, LOWEST_UV))}", env=env)
    except BuildError:
        raise BuildError("uv could not be installed; install it (`pip install uv`) and try again") from None
    return private


def find_python(minor: str, venv: Path) -> Path | None:
    """Return an interpreter of a minor version such as "3.13": the one that runs this, the venv's, pyenv's or uv's."""
    if "{}.{}".format(*sys.version_info) == minor:
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for python in (venv_python(venv), *pyenv.glob(f"{minor}.*/bin/python")):
        if version_of(python) == minor:
            return python
    found = capture(*find_uv(), "python", "find", "--no-python-downloads", "--no-project", minor)
    return Path(found) if found else None


def version_of(python: Path) -> str | None:
    """Return the minor version of an interpreter, such as "3.13", or None if it does not run."""
    return capture(python, "-I", "-c", "import sys; print('{}.{}'.format(*sys.version_info))")


def venv_python(venv: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def environment() -> dict[str, str]:
    """Return the environment for uv."""
    variables = os.environ | uv_settings()
    variables.pop("UV_NO_VERIFY_HASHES", None)
    return variables


def uv_settings() -> dict[str, str]:
    """Return pip's settings of where packages come from as variables of uv, which does not read pip's.

    Where uv has settings of its own, they stand alone.
    """
    pip = pip_settings()
    settings = {
        "SSL_CERT_FILE": pip.get("cert"),
        "HTTPS_PROXY": pip.get("proxy"),
        "HTTP_PROXY": pip.get("proxy"),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
    }
    of_uv = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
    folders = [config_home(), *map(Path, os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)), Path("/etc")]
    if not any(map(os.environ.get, of_uv)) and not any((folder / "uv" / "uv.toml").is_file() for folder in folders):
        settings |= {
            "UV_DEFAULT_INDEX": pip.get("index-url"),
            "UV_INDEX": " ".join(pip.get("extra-index-url", "").split()),
            "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
            # pip takes the best version from all of its indexes, uv the best from the first that has the package.
            "UV_INDEX_STRATEGY": "unsafe-best-match" if "extra-index-url" in pip else None,
        }
    return {name: value for name, value in settings.items() if value and name not in os.environ}


def pip_settings() -> dict[str, str]:
    """Return pip's options from its configuration files and variables: https://pip.pypa.io/en/stable/topics/configuration/."""
    home = Path.home()
    special = os.environ.get("PIP_CONFIG_FILE")
    everyone = [*map(Path, os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep))]
    everyone += [Path("/Library/Application Support"), Path(os.environ.get("PROGRAMDATA", "/etc/xdg"))]
    mine = [] if special else [home, config_home(), home / "Library" / "Application Support"]
    folders = [Path("/etc"), *(folder / "pip" for folder in everyone)]
    folders += [*([] if special else [home / ".pip"]), *(folder / "pip" for folder in mine), Path(sys.prefix)]
    config = configparser.RawConfigParser()
    if special != os.devnull:
        name = "pip.ini" if os.name == "nt" else "pip.conf"
        config.read([*(folder / name for folder in folders), *([special] if special else [])], encoding="utf-8")
    options: dict[str, str] = {}
    for section in ("global", "install"):
        if config.has_section(section):
            options |= {name.replace("_", "-"): value for name, value in config.items(section)}
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return options


def config_home() -> Path:
    """Return the folder for a user's settings."""
    return Path(os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command in the project's folder, and raise BuildError if it fails."""
    try:
        subprocess.run(command, cwd=PROJECT, env=env, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"{Path(command[0]).name} failed; what it said is above") from error


def capture(*command: str | Path) -> str | None:
    """Return what a command prints, or None if it fails."""
    try:
        result = subprocess.run(command, cwd=PROJECT, capture_output=True, encoding="utf-8", errors="replace")
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def say(line: str) -> None:
    """Print a line at once, also where the output is a pipe."""
    print(line, flush=True)
