"""What is deployed, with whatever tool: which files, and archives of them that are equal for equal files."""

import hashlib
import shutil
import time
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

# What Python, other tools and the system leave in a folder.
LEFTOVERS = ("__pycache__", ".DS_Store", "Thumbs.db", ".mypy_cache", ".pytest_cache", ".ruff_cache")
# What is in app/ and not for Lambda: secrets, version control, what editors leave. A line names each that stays out.
PRIVATE = (".env", ".env.*", ".git", ".hg", ".svn", ".idea", ".vscode", "*~", "*.sw[op]", ".#*", "#*#")
FIRST_DATE = 1704067200  # 2024-01-01
TWO_YEARS = 2 * 365 * 24 * 3600


def copy_code(source: Path, target: Path, lock: Path) -> None:
    """Copy the files of app/ that are deployed, and print a line for each file or folder of the user's that is not."""

    def ignored(folder: str, names: list[str]) -> list[str]:
        private = sorted(name for name in names if matches(name, PRIVATE))
        for name in private:
            path = Path(folder, name).relative_to(source.parent).as_posix()
            print(f"{path} is not deployed.")
        locks = [lock.name] if Path(folder) == lock.parent else []
        return [*private, *locks, *(name for name in names if matches(name, LEFTOVERS))]

    shutil.copytree(source, target, ignore=ignored)


def deployable(folder: Path, bytecode: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each file of a built folder that is deployed, sorted by name.

    That is all but leftovers. Of what is in a __pycache__, only names that end in `bytecode` are deployed.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        *folders, last = name.parts
        compiled = folders[-1:] == ["__pycache__"] and bytecode and last.endswith(bytecode)
        if path.is_file() and not any(matches(part, LEFTOVERS) for part in (folders[:-1] if compiled else name.parts)):
            yield name.as_posix(), path


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Return True if the name of a file or folder matches one of the patterns."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def mode(path: Path) -> int:
    """Return the permissions that a file has on Lambda, whatever the umask was here."""
    return 0o755 if path.suffix == ".so" or path.stat().st_mode & 0o100 else 0o644


def write_archive(archive: Path, files: Iterator[tuple[str, Path]], prefix: str = "") -> int:
    """Zip files and return the size of the archive. Equal files give equal bytes.

    The date of an entry follows from the content: `StaticFiles` makes Last-Modified and ETag from the date and the
    length, and a file may change and keep its length.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, path in files:
            content = path.read_bytes()
            number = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
            year, month, day, hour, minute, second, *_ = time.gmtime(FIRST_DATE + number % TWO_YEARS)
            entry = zipfile.ZipInfo(prefix + name, (year, month, day, hour, minute, second))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose modes these are
            entry.external_attr = (0o100000 | mode(path)) << 16
            target.writestr(entry, content)
    return archive.stat().st_size
{% if cookiecutter.__sam %}


def copy_files(files: Iterator[tuple[str, Path]], target: Path) -> None:
    """Copy files into a folder, with the permissions that they have on Lambda."""
    for name, path in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
        (target / name).chmod(mode(path))
{% endif %}
