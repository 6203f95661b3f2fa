"""Compile what is deployed, so that a cold start does not have to."""

import os
import shutil
import subprocess
from pathlib import Path

# What every request needs.
FRAMEWORK = ("fastapi", "starlette", "pydantic", "mangum")


def compile_bytecode(
    python: Path, folder: Path, suffix: str, on_lambda: str, invalidation: str, **environment: str
) -> bool:
    """Compile every module with the runtime's own Python, so that a cold start does not have to.

    Bytecode with a hash is valid whatever the date of the source: "unchecked-hash" loads fastest, and "checked-hash"
    follows changes of the source on Lambda. Tracebacks name the files as Lambda has them.

    Return False if Python ended before it had compiled everything; then the folder has no bytecode.
    """
    # Variables of Python would change what is compiled and where to; sets are written in the order of their hashes.
    environment |= {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
    for workers in ("0", "1"):  # without shared memory, or where a worker dies, one process does it
        command: list[str | Path] = [python, "-s", "-m", "compileall", "-q", "-j", workers]
        command += ["--invalidation-mode", invalidation, "-s", folder, "-p", on_lambda, folder]
        result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
        sources = [path for path in folder.rglob("*.py") if path.is_file()]
        missing = [path for path in sources if not (path.parent / "__pycache__" / (path.stem + suffix)).is_file()]
        # Some packages carry templates or files of Python 2, which nobody imports.
        if all(repr(str(path)) in result.stdout for path in missing):
            if missing:
                print(result.stdout.rstrip())
                print("These files are no modules of this Python; they are kept without bytecode.")
            return True
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    reason = result.stderr.rstrip().rpartition("\n")[2] or f"exit code {result.returncode}"
    print(f"{python} could not compile {folder.name}/ ({reason}), so it has no bytecode; the next build tries again.")
    return False


def limit_bytecode(layer: Path, suffix: str, room: int) -> None:
    """Keep as much bytecode as fits into `room` bytes, and print a line if that is not all.

    What every request needs is worth most, then the modules that are least deep: they are imported first. Tests last.
    """

    def worth(path: Path) -> tuple[bool, bool, int, int, str]:
        parts = path.relative_to(layer).parts
        tests = any(part in ("test", "tests") for part in parts)
        return parts[0] not in FRAMEWORK, tests, len(parts), path.stat().st_size, path.as_posix()

    compiled, dropped = sorted(layer.rglob(f"__pycache__/*{suffix}"), key=worth), 0
    for path in compiled:
        if (length := path.stat().st_size) <= room:
            room -= length
        else:
            path.unlink()
            dropped += 1
    if dropped:
        print(f"{dropped} of {len(compiled)} modules have no bytecode, so that the layer fits into Lambda's limit.")
