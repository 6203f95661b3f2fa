"""What is deployed: the same files with each deployer, and nothing that is stale."""

import io
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import CONTEXT, Bake
from tests.machine import interpreter
from tests.ministack import Ministack
from tests.sam import sam as run_sam
from tests.serverless import node_modules, osls
from tests.test_layer import build
from tests.wheels import ask_for, make_wheel

PYTHON = interpreter("python3.13")
Content = dict[str, tuple[bytes, int]]


def unusual_project(baked: Path, folder: Path) -> Path:
    """Return a copy of a project with files of each kind that one tool ships and another does not."""
    project = folder / "project"
    shutil.copytree(baked, project)
    texts = {
        "static/.well-known/security.txt": "Contact: mailto:a@example.com\n",
        ".hidden/data.json": "{}\n",
        "reports/requirements.txt": "read at run time\n",
        "closed.pyc": "compiled",
        "run.sh": "#!/bin/sh\n",
        # from here on: not for Lambda
        ".env": "SECRET=1\n",
        "reports/.env.production": "SECRET=1\n",
        ".git/config": "\n",
        "items.py~": "\n",
        ".DS_Store": "\n",
        "__pycache__/items.cpython-310.pyc": "stale",
        "reports/__pycache__/gone.cpython-313.pyc": "stale",
    }
    for name, text in texts.items():
        (project / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "app" / name).write_text(text, encoding="utf-8")
    (project / "app" / "run.sh").chmod(0o755)
    files = {
        "odd/.config/settings.json": b"{}",
        "odd/.env.example": b"A=1\n",
        "odd/closed.pyc": b"compiled",
        "odd/lazy.pyi": b"from . import a\n",
        "odd/folder.pyi/data": b"1",
        "odd/tool": b"#!/bin/sh\n",
        "bin/__init__.py": b"value = 1\n",
    }
    lock = make_wheel(folder / "wheels", "odd", files=files, executable="odd/tool")
    (project / "app" / "requirements.txt").write_text(lock, encoding="utf-8")
    ask_for(project, "odd")
    (folder / "uv.toml").write_text('no-index = true\nfind-links = ["wheels"]\n', encoding="utf-8")
    result = build(project, "layer", UV_CONFIG_FILE=str(folder / "uv.toml"))
    assert result.returncode == 0, result.stderr
    for name in (".DS_Store", "odd/__pycache__/gone.cpython-310.pyc", ".mypy_cache/x"):
        (project / "package" / "python" / name).parent.mkdir(exist_ok=True)
        (project / "package" / "python" / name).write_text("litter", encoding="utf-8")
    return project


def entries(archive: bytes | Path) -> Content:
    """Return the content and the permissions of each file in an archive."""
    with zipfile.ZipFile(archive if isinstance(archive, Path) else io.BytesIO(archive)) as target:
        files = (entry for entry in target.infolist() if not entry.is_dir())
        return {entry.filename: (target.read(entry), entry.external_attr >> 16 & 0o777) for entry in files}


@pytest.fixture
def bucket(ministack: Ministack) -> str:
    """Return the name of a new bucket."""
    name = f"artifacts-{uuid4()}"
    ministack.client("s3").create_bucket(Bucket=name)
    return name


def sam(project: Path, ministack: Ministack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the SAM CLI, with the folder of wheels as the only place where packages come from."""
    settings = {"UV_CONFIG_FILE": str(project.parent / "uv.toml"), "AWS_DEFAULT_REGION": "us-east-1"}
    return run_sam(project, *arguments, **settings | ministack.environment)


def objects(ministack: Ministack, bucket: str) -> list[bytes]:
    """Return what was uploaded into a bucket."""
    s3 = ministack.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]


def uploaded(deployer: str, project: Path, ministack: Ministack, bucket: str) -> tuple[Content, Content, str]:
    """Return what a deployer uploads as function and as layer, and what was printed."""
    if deployer == "zip":
        result = build(project, "zip")
        assert result.returncode == 0, result.stderr
        return entries(project / "dist" / "function.zip"), entries(project / "dist" / "layer.zip"), result.stdout
    if deployer == "serverless":
        (project / "node_modules").symlink_to(node_modules(project))
        result = osls(project, ministack, "package")
        assert result.returncode == 0, result.stderr
        folder = project / ".serverless"
        return entries(folder / "function.zip"), entries(folder / "layer.zip"), result.stdout + result.stderr
    result = sam(project, ministack, "build")
    assert result.returncode == 0, result.stderr
    package = sam(project, ministack, "package", "--s3-bucket", bucket, "--output-template-file", "out.yaml")
    assert package.returncode == 0, package.stderr
    contents = [entries(archive) for archive in objects(ministack, bucket)]
    (function,) = (content for content in contents if "main.py" in content)
    (layer,) = (content for content in contents if "main.py" not in content)
    return function, layer, result.stdout + result.stderr


@pytest.mark.deployment
def test_each_deployer_ships_the_same(bake: Bake, ministack: Ministack, bucket: str, tmp_path: Path) -> None:
    """Content, names and permissions; a line says what of the user's stays out, and nothing is said of the rest."""
    shipped: dict[str, Any] = {}
    for deployer in CONTEXT["deployer"]:
        project = unusual_project(bake(deployer=deployer), tmp_path / deployer)
        function, layer, printed = uploaded(deployer, project, ministack, bucket)
        shipped[deployer] = function, layer
        assert set(re.findall(r"^\W*(\S+) is not deployed\.$", printed, re.MULTILINE)) == {
            "app/.env",
            "app/.git",
            "app/items.py~",
            "app/reports/.env.production",
        }
    function, layer = shipped["zip"]
    ours = {"static/.well-known/security.txt", ".hidden/data.json", "reports/requirements.txt", "closed.pyc", "run.sh"}
    modules = {path.name for path in (project / "app").glob("*.py")}
    compiled = {f"__pycache__/{name.removesuffix('.py')}.cpython-313.pyc" for name in modules}
    assert set(function) == ours | modules | compiled
    assert function["run.sh"][1] == 0o755
    assert {permissions for name, (_, permissions) in function.items() if name != "run.sh"} == {0o644}
    info = {f"python/odd-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL")}
    odd = {".config/settings.json", ".env.example", "closed.pyc", "lazy.pyi", "folder.pyi/data", "tool", "__init__.py"}
    odd |= {"__pycache__/__init__.cpython-313.pyc"}
    package = {"python/bin/__init__.py", "python/bin/__pycache__/__init__.cpython-313.pyc"}
    assert set(layer) == {f"python/odd/{name}" for name in odd} | info | package
    assert layer["python/odd/tool"][1] == 0o755
    for deployer, content in shipped.items():
        assert content[0] == function, deployer
        assert content[1] == layer, deployer


def test_leftovers_do_not_make_a_layer_stale(bake: Bake, tmp_path: Path) -> None:
    """What the system or another tool has left in package/python is not of the layer."""
    project = unusual_project(bake(), tmp_path)
    result = build(project, "layer", "--check")
    assert (result.returncode, result.stdout) == (0, "package/ is up to date.\n"), result.stderr


@pytest.mark.deployment
def test_sam_uploads_nothing_stale(bake: Bake, ministack: Ministack, bucket: str, tmp_path: Path) -> None:
    """`sam build` builds what is missing or stale; where it cannot, or was not called, `sam deploy` refuses."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    lock = make_wheel(tmp_path / "wheels", "small")
    (project / "app" / "requirements.txt").write_text(lock, encoding="utf-8")
    ask_for(project, "small")
    (tmp_path / "uv.toml").write_text('no-index = true\nfind-links = ["wheels"]\n', encoding="utf-8")
    deploy = ("deploy", "--no-resolve-s3", "--s3-bucket", bucket)

    def refused() -> bool:
        result = sam(project, ministack, *deploy)
        assert ".aws-sam/build/function.zip" in result.stderr or "does not exist" in result.stderr, result.stderr
        return result.returncode != 0 and objects(ministack, bucket) == []

    assert refused()  # a fresh clone
    result = sam(project, ministack, "build")
    assert result.returncode == 0, result.stderr
    built = project / ".aws-sam" / "build"
    assert (built / "DependenciesLayer" / "python" / "small" / "__init__.py").exists()

    other = make_wheel(tmp_path / "wheels", "other")
    (project / "app" / "requirements.txt").write_text(other, encoding="utf-8")
    ask_for(project, "other")
    with (project / "app" / "items.py").open("a") as module:
        module.write("# changed\n")
    assert sam(project, ministack, "build").returncode == 0
    assert (built / "DependenciesLayer" / "python" / "other" / "__init__.py").exists()
    assert not (built / "DependenciesLayer" / "python" / "small").exists()
    assert entries(built / "function.zip")["items.py"][0].endswith(b"# changed\n")

    (project / "app" / "requirements.txt").write_text(other.replace("==1.0", "==2.0"), encoding="utf-8")
    result = sam(project, ministack, "build")
    assert result.returncode != 0
    assert "build.py: uv could not install app/requirements.txt" in result.stderr
    assert refused()

    (project / "app" / "requirements.txt").write_text(other, encoding="utf-8")
    for _ in range(2):  # the second time SAM takes the layer from its cache, and no function is written
        assert sam(project, ministack, "build", "--cached").returncode == 0
    assert refused()


def test_sam_without_make(bake: Bake, ministack: Ministack, bucket: str, tmp_path: Path) -> None:
    """Where there is no make, as on Windows, one command does for `sam build`."""
    project = unusual_project(bake(), tmp_path)
    result = build(project, "sam", UV_CONFIG_FILE=str(tmp_path / "uv.toml"))
    assert result.returncode == 0, result.stderr
    package = sam(project, ministack, "package", "--s3-bucket", bucket, "--output-template-file", "out.yaml")
    assert package.returncode == 0, package.stderr
    names = set().union(*(entries(archive) for archive in objects(ministack, bucket)))
    assert {"main.py", "static/.well-known/security.txt", "python/odd/__init__.py"} <= names


def extracted(project: Path, folder: Path) -> Path:
    """Write the archives of a project, and return the folder that function.zip is unpacked into."""
    result = build(project, "zip")
    assert result.returncode == 0, result.stderr
    shutil.unpack_archive(project / "dist" / "function.zip", folder)
    return folder


def test_changes_in_the_console_are_served(bake: Bake, tmp_path: Path) -> None:
    """The AWS Console's editor changes a source and leaves the bytecode beside it."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    (project / "app" / "greeting.py").write_text('WORD = "old"\n', encoding="utf-8")
    function = extracted(project, tmp_path / "function")
    assert (function / "__pycache__" / "greeting.cpython-313.pyc").exists()
    (function / "greeting.py").write_text('WORD = "new"\n', encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(function)!r}); import greeting; print(greeting.WORD)"
    result = subprocess.run([PYTHON, "-I", "-S", "-B", "-c", code], capture_output=True, text=True)
    assert result.stdout == "new\n"


def test_date_follows_the_content(bake: Bake, tmp_path: Path) -> None:
    """StaticFiles makes ETag and Last-Modified from a file's length and date; no date lies in the future."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    dates = []
    for text in ("a{color:red}", "a{color:tan}", "a{color:red}"):
        (project / "app" / "page.css").write_text(text, encoding="utf-8")
        assert build(project, "zip").returncode == 0
        with zipfile.ZipFile(project / "dist" / "function.zip") as archive:
            dates.append(archive.getinfo("page.css").date_time)
            assert all((2024, 1, 1) <= each.date_time < time.gmtime()[:6] for each in archive.infolist())
    assert dates[0] != dates[1]
    assert dates[0] == dates[2]


def test_output_on_another_file_system(bake: Bake, tmp_path: Path) -> None:
    """Archives may be written to another disk."""
    project = tmp_path / "project"
    shutil.copytree(bake(build_layer=True), project)
    wrapper = "import os, sys, errno; rename = os.rename\n"
    wrapper += "def other_disk(source, target, **more):\n"
    wrapper += "    if '.build' in str(source) and '.build' not in str(target):\n"
    wrapper += "        raise OSError(errno.EXDEV, 'Invalid cross-device link')\n    rename(source, target, **more)\n"
    wrapper += "os.rename = os.replace = other_disk\n"
    wrapper += "sys.path.insert(0, 'scripts'); import build; sys.exit(build.main(sys.argv[1:]))"
    command = [PYTHON, "-B", "-c", wrapper, "zip", "--output", str(tmp_path / "elsewhere")]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["function.zip", "layer.zip"]


@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_sam_is_a_command_of_sam_alone(deployer: str, bake: Bake) -> None:
    """No trace of it in the projects of other deployers."""
    texts = [(bake(deployer=deployer) / name).read_text("utf-8") for name in ("scripts/build.py", "scripts/archive.py")]
    assert any(re.search(r"\bsam\b|SAM", text) for text in texts) == (deployer == "sam")
