"""Builds that fail in the middle: a worker that dies, a rename that fails, two builds at once."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.machine import interpreter
from tests.test_build_errors import built, content, layer, lock, project, settings
from tests.test_layer import build
from tests.wheels import make_wheel

__all__ = ["built", "project"]  # fixtures

PYTHON = interpreter("python3.13")


def stand_in(project: Path, script: str) -> None:
    """Put a script into the place of the Python of .venv, which compiles; the real one is $real."""
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nreal="{PYTHON}"\n{script}\nexec "$real" "$@"\n', encoding="utf-8")
    python.chmod(0o755)


def state(project: Path) -> tuple[int, object]:
    """Return how many modules of the layer have bytecode, and what the record says of it."""
    folder = project / "package" / "python"
    record = json.loads((folder / ".layer.json").read_text(encoding="utf-8"))
    return len(list(folder.rglob("*.pyc"))), record["bytecode"]


NO_SHARED_MEMORY = (
    """case "$*" in *"-j 0"*) echo 'FileNotFoundError: [Errno 2] No such file or directory' >&2; exit 1;; esac"""
)
DEAD_WORKER = """case "$*" in *"-j 0"*) "$real" "$@"; find .build -name 'one*.pyc' -delete; exit 1;; esac"""
DEAD = """case "$*" in *compileall*) "$real" "$@"; find .build -name 'one*.pyc' -delete; exit 1;; esac"""


@pytest.mark.parametrize("script", [NO_SHARED_MEMORY, DEAD_WORKER], ids=["no shared memory", "a dead worker"])
def test_one_process_compiles_where_several_cannot(script: str, project: Path) -> None:
    """compileall ends with 1 for both, as for a file that is no Python."""
    stand_in(project, script)
    lock(project, make_wheel(project.parent / "wheels", "other", files={"other/one.py": b"", "other/two.py": b""}))
    result = layer(project)
    assert result.returncode == 0, result.stderr
    assert "no modules of this Python" not in result.stdout
    assert state(project) == (3, True)


def test_partial_bytecode_is_not_recorded_as_complete(project: Path) -> None:
    """The layer is of use without bytecode; the next build makes it."""
    stand_in(project, DEAD)
    lock(project, make_wheel(project.parent / "wheels", "other", files={"other/one.py": b"", "other/two.py": b""}))
    result = layer(project)
    assert result.returncode == 0, result.stderr
    assert "so it has no bytecode; the next build tries again." in result.stdout
    assert state(project) == (0, False)
    stand_in(project, "")
    assert layer(project).returncode == 0
    assert state(project) == (3, True)


# Runs build.py with a rename that fails when the new layer is to take its place.
FAILING = """
import os, pathlib, sys
sys.path.insert(0, "scripts")
import build, scratch
scratch.time.sleep = lambda _: None
rename = pathlib.Path.rename
def failing(source, target):
    if pathlib.Path(target) == scratch.LAYER and source.name == "python":
        {action}
    return rename(source, target)
pathlib.Path.rename = failing
sys.exit(build.main(["layer"]))
"""


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        ("raise PermissionError(13, 'Access is denied', str(source))", 1, "build.py: [Errno 13] Access is denied: "),
        ("raise KeyboardInterrupt", 130, "build.py: interrupted."),
        ("os._exit(9)", 9, ""),
    ],
    ids=["refused", "Ctrl-C", "killed"],
)
def test_swap_that_fails_keeps_the_old_layer(action: str, code: int, message: str, project: Path) -> None:
    """The old layer is in its place again, at once or, after a kill, when the next build begins."""
    before = content(project / "package")
    lock(project, make_wheel(project.parent / "wheels", "other"))
    command = [sys.executable, "-B", "-c", FAILING.format(action=action)]
    environment = os.environ | settings(project)
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr
    if code == 9:
        lock(project, "broken==1.0 --hash=sha256:" + "0" * 64 + "\n")
        assert layer(project).returncode == 1
    assert content(project / "package") == before
    lock(project, make_wheel(project.parent / "wheels", "other"))
    assert layer(project).returncode == 0
    assert (project / "package" / "python" / "other").is_dir()
    assert not (project / ".build" / "old-layer").exists()


def test_rename_that_fails_for_a_moment_is_tried_again(project: Path) -> None:
    """A virus scanner of Windows lets go of a file after a moment."""
    lock(project, make_wheel(project.parent / "wheels", "other"))
    action = (
        "build.tries = getattr(build, 'tries', 0) + 1\n        if build.tries < 3: raise PermissionError(13, 'busy')"
    )
    command = [sys.executable, "-B", "-c", FAILING.format(action=action)]
    environment = os.environ | settings(project)
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr


def test_builds_wait_for_one_another(project: Path) -> None:
    """A second build begins when the first has ended, however that was."""
    command = [sys.executable, "scripts/build.py", "layer"]
    (project / ".build").mkdir(exist_ok=True)
    with (project / ".build" / "lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, encoding="utf-8") as second:
            timer = threading.Timer(60, second.kill)
            timer.start()
            assert second.stdout is not None
            assert second.stdout.readline() == "Waiting for another build of this project ...\n"
            fcntl.flock(first, fcntl.LOCK_UN)
            assert second.stdout.readline() == "package/ is up to date.\n"
            timer.cancel()
        assert second.returncode == 0


@pytest.mark.parametrize("command", ["layer", "zip"])
def test_two_builds_at_once(command: str, project: Path) -> None:
    """Both succeed, and one of them does the work."""
    lock(project, make_wheel(project.parent / "wheels", "other"))
    environment = os.environ | settings(project)
    start = [sys.executable, "scripts/build.py", command]
    builds = [
        subprocess.Popen(start, cwd=project, env=environment, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(3)
    ]
    printed = "".join(each.communicate(timeout=120)[0] for each in builds)
    assert [each.returncode for each in builds] == [0, 0, 0]
    assert printed.count("Building package/") == 1
    assert build(project, "layer", "--check").returncode == 0


def test_make_keeps_the_order(project: Path) -> None:
    """With -j too, `install` and `layer` come after `lock`, whose files they need."""
    log = project.parent / "log"
    tool = project.parent / "python"
    lines = ["#!/bin/sh", 'case "$2" in lock) touch requirements-dev.txt;; venv) mkdir -p .venv;; esac']
    lines += [f'echo "begin $2" >> "{log}"; sleep 0.3; echo "end $2" >> "{log}"']
    tool.write_text("\n".join(lines) + "\n", encoding="utf-8")
    tool.chmod(0o755)
    command = ["make", "-j4", "lock", "install", "layer", f"PYTHON={tool}"]
    result = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    steps = [f"{moment} {step}" for step in ("lock", "venv", "layer") for moment in ("begin", "end")]
    assert log.read_text(encoding="utf-8").splitlines() == steps
