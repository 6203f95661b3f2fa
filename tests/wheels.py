"""Makes small distributions, to lock and to build from where a real package would not show the fault."""

import base64
import hashlib
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    tag: str = "py3-none-any",
    files: dict[str, bytes] | None = None,
    needs: str = "",
    executable: str = "",
    version: str = "1.0",
) -> str:
    """Write a wheel that may need another package, and return the lines that lock it."""
    requirement = f"Requires-Dist: {needs}\n" if needs else ""
    *tags, system = tag.rpartition("-")
    tags = "".join(f"Tag: {''.join(tags)}{name}\n" for name in system.split("."))
    info = f"{name}-{version}.dist-info"
    content = {
        f"{name}/__init__.py": b"value = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirement}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n{tags}".encode(),
        **(files or {}),
    }
    lines = [f"{path},sha256={digest(data)},{len(data)}" for path, data in content.items()]
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if path == executable else 0o100644) << 16
            archive.writestr(entry, data)
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")
    return locked(name, wheel, version)


def make_sdist(folder: Path, name: str) -> str:
    """Write a source distribution of version 1.0, and return the lines that lock it."""
    folder.mkdir(parents=True, exist_ok=True)
    sdist = folder / f"{name}-1.0.tar.gz"
    content = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "setup.py": "raise SystemExit(1)\n"}
    with tarfile.open(sdist, "w:gz") as archive:
        for path, text in content.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return locked(name, sdist)


def locked(name: str, path: Path, version: str = "1.0") -> str:
    """Return the lines of a lock for one file."""
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def digest(data: bytes) -> str:
    """Return a hash as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def make_index(folder: Path) -> None:
    """Make a folder with a folder of wheels for each package an index, as a web server serves it."""
    for package in folder.iterdir():
        links = "".join(f'<a href="{file.name}">{file.name}</a>' for file in package.glob("*.whl"))
        (package / "index.html").write_text(links, encoding="utf-8")


def ask_for(project: Path, *packages: str, more: str = "") -> None:
    """Let the pyproject.toml of a project ask for these packages instead, and add lines to it."""
    path = project / "pyproject.toml"
    text = re.sub(
        r"^dependencies = \[.*?\]$", f"dependencies = {json.dumps(packages)}", path.read_text(), flags=re.M | re.S
    )
    path.write_text(text + more, encoding="utf-8")
