"""package/python, the layer: what it was built from, if it is out of date, and what of it is deployed."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from archive import deployable
from run_uv import PROJECT, BuildError
from scratch import LAYER

# Lambda allows this for function and layers together, unzipped:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MIB = 1024 * 1024
UNZIPPED_LIMIT = 250 * MIB

APP = PROJECT / "app"
LOCK = APP / "requirements.txt"
RECORD = ".layer.json"


def report_size(layer: Path) -> None:
    """Print the size of a layer and its largest packages; raise BuildError if it is over Lambda's limit."""
    sizes: Counter[str] = Counter()
    for path in filter(Path.is_file, layer.rglob("*")):
        sizes[path.relative_to(layer).parts[0].partition("-")[0].removesuffix(".py")] += path.stat().st_size
    packages, largest = len(list(layer.glob("*.dist-info"))), sizes.most_common(5)
    room = f"{UNZIPPED_LIMIT // MIB} MB allowed"
    print(f"package/python: {packages} packages, {sizes.total() / MIB:.1f} MB of the {room}.")
    print(f"Largest: {', '.join(f'{name} {size / MIB:.1f}' for name, size in largest)}.")
    if sizes.total() + size_of_code() > UNZIPPED_LIMIT:
        raise BuildError(
            f"Lambda allows {UNZIPPED_LIMIT // MIB} MB with the function: remove a dependency, or use a container image"
        )


def size(files: Iterator[tuple[str, Path]]) -> int:
    """Return the bytes that files have together."""
    return sum(path.stat().st_size for _, path in files)


def size_of_code() -> int:
    """Return an upper bound for what app/ has on Lambda: its files, and bytecode at most twice as large as a source."""
    files = [path for _, path in deployable(APP)]
    return sum(path.stat().st_size * (3 if path.suffix == ".py" else 1) for path in files)


def record(layer: Path, target: dict[str, str], bytecode: str) -> dict[str, object]:
    """Return what a layer was built for and from, and a hash of its files; the build stores it in the layer.

    `target` has runtime and architecture; `bytecode` is how the names of the layer's bytecode end, "" if it has none.
    """
    files, lock = hashlib.sha256(), hashlib.sha256(LOCK.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    for name, path in deployable(layer, bytecode):
        if name != RECORD:
            files.update(f"{name} {path.stat().st_size} ".encode() + path.read_bytes())
    # Dependencies that are not locked yet make the next build, and with it the deployment, fail.
    project = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    asked = re.search(r"^dependencies\s*=\s*\[.*?\]\s*$", project, re.MULTILINE | re.DOTALL)
    dependencies = hashlib.sha256(asked[0].encode() if asked else b"").hexdigest()
    built = {**target, "dependencies": dependencies, "lock": lock}
    return {**built, "files": files.hexdigest(), "bytecode": bool(bytecode)}


def built_from() -> dict[str, object]:
    """Return the record in package/python, or an empty one if there is no layer or no record."""
    try:
        built: dict[str, object] = json.loads((LAYER / RECORD).read_text(encoding="utf-8"))
        return built
    except (OSError, ValueError):
        return {}


def stale(target: dict[str, str], bytecode: str, could_compile: bool = False) -> str | None:
    """Return why package/python has to be built again, or None if it is up to date."""
    if not (built := built_from()):
        return "package/python is not built"
    compiled = bool(built.get("bytecode"))
    wanted = record(LAYER, target, bytecode if compiled else "") | {"bytecode": compiled or could_compile}
    changed = [name for name, value in wanted.items() if built.get(name) != value]
    if compiled and size(layer_files(bytecode)) + size_of_code() > UNZIPPED_LIMIT:  # app/ has grown: less bytecode fits
        changed.append("size")
    return f"package/python is out of date ({', '.join(changed)})" if changed else None


def layer_files(bytecode: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each file of package/python that is deployed; bytecode only if the build made it."""
    files = deployable(LAYER, bytecode if built_from().get("bytecode") else "")
    return ((name, path) for name, path in files if name != RECORD)
