"""What build.py says when it cannot build: the package, and the way out."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.emulator import ROOTLY
from tests.machine import BIN, CI
from tests.test_layer import build
from tests.wheels import make_sdist, make_wheel

TARGET = "python3.13 on arm64"
VERSION = "ask for another version or package in pyproject.toml, then `python scripts/build.py lock`"


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """Return a project whose layer is small and built, and whose packages come from the folder `wheels` beside it."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    lock(project, make_wheel(tmp_path / "wheels", "fine"))
    assert layer(project).returncode == 0
    return project


def lock(project: Path, text: str) -> None:
    """Make the lock say this."""
    (project / "app" / "requirements.txt").write_text(text, encoding="utf-8")


def settings(project: Path) -> dict[str, str]:
    """Return variables that make the folder of wheels the only place where packages come from."""
    return {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project.parent / "wheels")}


def layer(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the layer from the folder of wheels."""
    return build(project, "layer", **settings(project) | environment)


def content(project: Path) -> dict[str, bytes]:
    """Return every file of a project but for what a build works with."""
    files = (path for path in project.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def refused(project: Path, sentence: str, **environment: str) -> None:
    """Assert that the build ends with this sentence, and leaves everything as it was."""
    before = content(project)
    result = layer(project, **environment)
    assert result.returncode == 1, result.stdout
    assert result.stderr.splitlines()[-1] == f"build.py: {sentence}.", result.stderr
    assert "Traceback" not in result.stderr
    assert content(project) == before
    assert not list((project / ".build").iterdir())


def test_source_only(project: Path) -> None:
    """Lambda has no compiler, and this machine's would make the wrong thing."""
    lock(project, make_sdist(project.parent / "wheels", "source_only"))
    refused(project, f"source-only is published as source only, and Lambda needs a wheel; {VERSION}")


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("cp39-cp39-manylinux2014_aarch64", f"has no wheel for {TARGET}; {VERSION}"),
        ("cp313-cp313-manylinux2014_x86_64", f"has no wheel for {TARGET}, or only for a newer glibc; {VERSION}"),
        ("cp313-cp313-manylinux_2_38_aarch64", f"has no wheel for {TARGET}, or only for a newer glibc; {VERSION}"),
        ("cp313-cp313-macosx_11_0_arm64", f"has no wheel for {TARGET}, or only for a newer glibc; {VERSION}"),
    ],
)
def test_wrong_wheel(tag: str, reason: str, project: Path) -> None:
    """A wheel for another Python, processor, glibc or system does not get in."""
    lock(project, make_wheel(project.parent / "wheels", "native", tag))
    refused(project, f"native {reason}")


@pytest.mark.parametrize("tag", ["cp313-cp313-manylinux_2_34_aarch64", "cp313-abi3-manylinux2014_aarch64"])
def test_right_wheel(tag: str, project: Path) -> None:
    """And one that Lambda's glibc does load gets in."""
    lock(project, make_wheel(project.parent / "wheels", "native", tag))
    assert layer(project).returncode == 0
    assert (project / "package" / "python" / "native").is_dir()


def test_file_that_does_not_compile(project: Path) -> None:
    """A package may carry a file that is no Python of today; it is named, and the rest is built with bytecode."""
    files = {"native/template.py": b"print 'two'\n", "native/fine.py": b"value = 1\n"}
    lock(project, make_wheel(project.parent / "wheels", "native", files=files))
    result = layer(project)
    assert result.returncode == 0, result.stderr
    assert "template.py" in result.stdout
    assert "Python 3.13 cannot read the files named above; they stay as they are." in result.stdout
    package = project / "package" / "python" / "native"
    assert (package / "template.py").exists()
    assert [path.name for path in package.glob("__pycache__/fine.*")] == ["fine.cpython-313.pyc"]


def test_hash_mismatch(project: Path) -> None:
    """A file that is not the one that was locked does not get in, whatever the environment says."""
    text = make_wheel(project.parent / "wheels", "other")
    lock(project, re.sub(r"sha256:\w{8}", "sha256:00000000", text))
    sentence = (
        "other is not the file that was locked: find out why, or lock what is there now "
        "with `python scripts/build.py lock --upgrade`"
    )
    refused(project, sentence, UV_NO_VERIFY_HASHES="1")


def test_lock_without_hashes(project: Path) -> None:
    """A lock that somebody typed is not one."""
    lock(project, "fine==1.0\n")
    refused(project, "fine is pinned without a hash; `python scripts/build.py lock` writes them")


def test_unknown_package(project: Path) -> None:
    """A name that no index knows is named."""
    lock(project, f"surely-unknown==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    refused(project, "surely-unknown was not found; is the name right, and the index it comes from?")


def test_no_network(project: Path) -> None:
    """Without a network, and with nothing in the cache."""
    lock(project, f"idna==3.20 \\\n    --hash=sha256:{'0' * 64}\n")
    refused(
        project,
        "there is no network, and uv's cache lacks something; try again with a network",
        PIP_NO_INDEX="",
        HTTPS_PROXY="http://127.0.0.1:9",
        NO_PROXY="",
        UV_HTTP_RETRIES="0",
        UV_CACHE_DIR=str(project.parent / "cache"),
    )


def test_cache_instead_of_network(bake: Bake, tmp_path: Path) -> None:
    """What has been downloaded once is built again without a network."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    for attempt in ({}, {"HTTPS_PROXY": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0"}, {"UV_OFFLINE": "1"}):
        shutil.rmtree(project / "package" / "python")
        result = build(project, "layer", UV_CACHE_DIR=str(tmp_path / "cache"), **attempt)
        assert result.returncode == 0, result.stderr


def test_cache_is_asked_first(project: Path) -> None:
    """What the lock names to the hash needs no index, so none is asked while the cache has it."""
    stub = project.parent / "bin" / "uv"
    stub.parent.mkdir()
    real = shutil.which("uv", path=BIN)
    stub.write_text(
        f'#!/bin/sh\nfor word; do [ "$word" != --offline ] || exec "{real}" "$@"; done\n'
        f"[ $1 = --version ] && exec '{real}' --version\necho 'error sending request for url' >&2\nexit 2\n"
    )
    stub.chmod(0o755)
    shutil.rmtree(project / "package" / "python")
    result = layer(project, PATH=f"{stub.parent}{os.pathsep}{os.environ['PATH']}")
    assert result.returncode == 0, result.stderr
    assert "error sending request" not in result.stderr
    assert (project / "package" / "python" / "fine").is_dir()


def test_full_disk(project: Path) -> None:
    """The disk is named, not the file that happened to be written."""
    if not ROOTLY:
        message = "a small disk can only be made as root on Linux"
        pytest.fail(message) if CI else pytest.skip(message)
    big = {"big/data.bin": random.Random(1).randbytes(3_000_000)}  # noqa: S311 - so that it takes room
    lock(project, make_wheel(project.parent / "wheels", "big", files=big))
    (project / ".build").mkdir(exist_ok=True)
    before = content(project)
    small_disk = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs .build && exec "$@"', "sh"]
    result = subprocess.run(
        [*small_disk, sys.executable, "scripts/build.py", "layer"],
        cwd=project,
        env=os.environ | settings(project),
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "build.py: the disk is full; free some space and try again."
    assert content(project) == before


def test_layer_over_the_limit(project: Path) -> None:
    """More than Lambda unpacks is refused here, not after the upload; the largest packages are named."""
    script = project / "scripts" / "build.py"
    text = script.read_text(encoding="utf-8")
    assert "UNZIPPED_LIMIT = 250 * MIB" in text
    script.write_text(text.replace("UNZIPPED_LIMIT = 250 * MIB", "UNZIPPED_LIMIT = 2 * MIB"), encoding="utf-8")
    lock(project, make_wheel(project.parent / "wheels", "big", files={"big/data.bin": bytes(3_145_728)}))
    refused(
        project,
        "the layer has 3 MB and Lambda takes 2 with the function; drop a dependency (big 3.0), "
        "or deploy a container image",
    )


def test_not_a_project(project: Path) -> None:
    """The script on its own is of no use, and says so."""
    (project / "app" / "requirements.txt").unlink()
    result = layer(project)
    assert result.returncode == 1
    assert result.stderr == f"build.py: {project} is not a project to build: it has no app/requirements.txt.\n"


def test_file_in_the_way(project: Path) -> None:
    """Any other refusal of the system is one sentence too."""
    shutil.rmtree(project / ".build")
    (project / ".build").write_text("")
    lock(project, make_wheel(project.parent / "wheels", "other"))
    result = layer(project)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("build.py: [Errno 17] File exists: ")
    assert result.stderr.endswith(". Nothing was changed.\n")
