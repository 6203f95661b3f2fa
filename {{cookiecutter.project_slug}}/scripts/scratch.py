"""Where build.py builds: a folder of its own, one build at a time, and the new layer takes the old one's place."""

import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from run_uv import PROJECT

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LAYER = PROJECT / "package" / "python"
SCRATCH = PROJECT / ".build"
OLD_LAYER = SCRATCH / "old-layer"  # for the moment in which the new one takes its place


@contextmanager
def scratch_folder() -> Generator[Path, None, None]:
    """Make a folder to build in, on the project's own file system, once no other build is at work.

    What killed builds have left is put right first.
    """
    SCRATCH.mkdir(exist_ok=True)
    with (SCRATCH / "lock").open("w") as lock:
        if not locked(lock.fileno()):
            print("Waiting for another build of this project ...", flush=True)
            while not locked(lock.fileno()):
                time.sleep(0.2)
        restore_layer()
        for left in SCRATCH.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


def locked(file: int) -> bool:
    """Lock a file for this process, until it ends or closes the file; return False if another process has it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks
    return True


def replace_layer(fresh: Path) -> None:
    """Put a new layer into the place of package/python; where that fails, the old one is in its place again."""
    LAYER.parent.mkdir(exist_ok=True)
    try:
        if LAYER.exists():
            move(LAYER, OLD_LAYER)
        move(fresh, LAYER)
    except BaseException:
        restore_layer()
        raise
    shutil.rmtree(OLD_LAYER, ignore_errors=True)


def restore_layer() -> None:
    """Put the old layer back if a build ended before the new one was in its place."""
    if OLD_LAYER.exists() and not LAYER.exists():
        move(OLD_LAYER, LAYER)


def move(source: Path, target: Path) -> None:
    """Rename a folder; on Windows a virus scanner may be in the way for a moment."""
    for pause in (0.1, 0.5, 1):
        try:
            source.rename(target)
            return
        except PermissionError:
            time.sleep(pause)
    source.rename(target)
