"""What is printed when build.py cannot build: uv's own words, and where docs/troubleshooting.md says what to do."""

import ast
import datetime
import ipaddress
import os
import random
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import ROOT, Bake
from tests.emulator import ROOTLY
from tests.machine import BIN, CI
from tests.test_layer import build
from tests.wheels import ask_for, make_sdist, make_wheel

NO_HASH = f" \\\n    --hash=sha256:{'0' * 64}\n"
NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "UV_HTTP_RETRIES": "0"}


@pytest.fixture(scope="module")
def built(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose layer is small and built, and whose packages come from the folder `wheels` beside it."""
    return small_project(bake(), tmp_path_factory.mktemp("built"))


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """Return a copy of that project."""
    shutil.copytree(built.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "project"


def small_project(baked: Path, tmp_path: Path) -> Path:
    """Return a copy of a project that needs one small package."""
    project = tmp_path / "project"
    shutil.copytree(baked, project)
    (tmp_path / "uv.toml").write_text('no-index = true\nfind-links = ["wheels"]\n', encoding="utf-8")
    lock(project, make_wheel(tmp_path / "wheels", "fine"))
    result = layer(project)
    assert result.returncode == 0, result.stderr
    return project


def lock(project: Path, text: str) -> None:
    """Put these lines into the lock, and what they pin into pyproject.toml."""
    (project / "app" / "requirements.txt").write_text(text, encoding="utf-8")
    ask_for(project, *re.findall(r"^([\w-]+)==", text, re.MULTILINE))


def settings(project: Path) -> dict[str, str]:
    """Return variables that make the folder of wheels the only place where packages come from."""
    pip = {name: "" for name in os.environ if name.startswith("PIP_")} | {"PIP_CONFIG_FILE": os.devnull}
    # uv breaks lines at the width that pytest-xdist gives its workers.
    return pip | {"UV_CONFIG_FILE": str(project.parent / "uv.toml"), "COLUMNS": "500"}


def layer(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the layer from the folder of wheels."""
    return build(project, "layer", **settings(project) | environment)


def content(project: Path) -> dict[str, bytes]:
    """Return every file of a project but for what a build works with."""
    files = (path for path in project.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def refused(project: Path, words: str, task: str = "install app/requirements.txt", **environment: str) -> None:
    """Assert that uv's words and one line of build.py are the end of the build, which leaves everything as it was."""
    before = content(project)
    result = build(project, "venv" if ".venv" in task else "layer", **settings(project) | environment)
    assert result.returncode == 1, result.stdout
    *said, last = result.stderr.splitlines()
    assert last == f"build.py: uv could not {task}; see above, and docs/troubleshooting.md.", result.stderr
    assert words in " ".join(" ".join(said).split()), result.stderr  # uv may break its lines
    assert not any(line.startswith("build.py: ") for line in said), result.stderr
    assert "Traceback" not in result.stderr
    assert content(project) == before
    assert [path.name for path in (project / ".build").iterdir()] == ["lock"]


def wrong_wheel(tag: str) -> Callable[[Path, str], None]:
    """Return a case with a wheel that the runtime does not load."""

    def case(project: Path, words: str) -> None:
        lock(project, make_wheel(project.parent / "wheels", "native", tag))
        refused(project, words)

    return case


def source_only(project: Path, words: str) -> None:
    """Lambda has no compiler, and this machine's would make the wrong thing."""
    lock(project, make_sdist(project.parent / "wheels", "source_only"))
    refused(project, words)


def incomplete_lock(project: Path, words: str) -> None:
    """The lock lacks what a locked package needs on Lambda; what it would need elsewhere is not missing."""
    wheels = project.parent / "wheels"
    lock(project, make_wheel(wheels, "elsewhere", needs="fine; sys_platform == 'win32'"))
    assert layer(project).returncode == 0
    lock(project, make_wheel(wheels, "needy", needs="fine; sys_platform == 'linux'"))
    refused(project, f"{words}: `fine`")


def changed_pyproject(project: Path, words: str) -> None:
    """The lock lacks what pyproject.toml asks for."""
    make_wheel(project.parent / "wheels", "other")
    with (project / "app" / "requirements.txt").open("a") as text:
        text.write("# changed\n")
    ask_for(project, "fine", "other")
    refused(project, f"{words}: `other`")


def typed_lock(project: Path, words: str) -> None:
    """A lock that somebody typed has no hashes."""
    lock(project, "fine==1.0\n")
    refused(project, f"{words}, but none were provided for: fine==1.0")


def other_file(project: Path, words: str) -> None:
    """A file that is not the one that was locked does not get in, whatever the environment says."""
    text = make_wheel(project.parent / "wheels", "other")
    lock(project, re.sub(r"sha256:\w{8}", "sha256:00000000", text))
    refused(project, f"{words} `other==1.0`", UV_NO_VERIFY_HASHES="1", UV_REQUIRE_HASHES="0")


def lost_version(project: Path, words: str) -> None:
    """The index does not have the version any more."""
    lock(project, f"fine==2.0{NO_HASH}")
    refused(project, f"{words} fine==2.0")


def unknown_package(project: Path, words: str) -> None:
    """No index knows the name."""
    lock(project, f"surely-unknown==1.0{NO_HASH}")
    for port in served(404):
        refused(project, f"surely-unknown {words}", **from_index(project, f"http://127.0.0.1:{port}/"))


def no_network(project: Path, words: str) -> None:
    """There is no network, and nothing in the cache."""
    lock(project, f"idna==3.20{NO_HASH}")
    refused(project, words, **from_index(project, "https://pypi.org/simple/") | NOWHERE)


def no_python(project: Path, words: str) -> None:
    """The runtime's Python is not installed, and may not be downloaded."""
    nothing = {"UV_PYTHON_INSTALL_DIR": str(project.parent / "none"), "UV_PYTHON_PREFERENCE": "only-managed"}
    nothing |= {"UV_PYTHON_DOWNLOADS": "never", "PYENV_ROOT": str(project.parent / "none")}
    refused(project, f"{words} 3.13", "make .venv with Python 3.13", **nothing)


def served(status: int, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve an index that answers everything with one status, and yield its port."""

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.handle_error = lambda *_: None  # a client that hangs up is what is tested
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def from_index(project: Path, url: str) -> dict[str, str]:
    """Return variables that make an index the only place where packages come from, with nothing in the cache."""
    config = project.parent / "index.toml"
    config.write_text(f'[[index]]\nurl = "{url}"\ndefault = true\n', encoding="utf-8")
    cache = {"UV_CACHE_DIR": str(project.parent / "cache"), "UV_HTTP_RETRIES": "0"}
    return cache | {"UV_CONFIG_FILE": str(config)}


def no_credentials(project: Path, words: str) -> None:
    """The index wants to know who asks."""
    lock(project, f"idna==3.20{NO_HASH}")
    for port in served(401):
        refused(project, words, **from_index(project, f"http://127.0.0.1:{port}/"))


def company_certificate(project: Path, words: str) -> None:
    """The index has a certificate that nobody else knows; the variable that the table names is what uv needs."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "us")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    file = project.parent / "company.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (project.parent / "key.pem").write_bytes(key.private_bytes(*form))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file, project.parent / "key.pem")
    lock(project, f"idna==3.20{NO_HASH}")
    for port in served(401, tls):
        index = from_index(project, f"https://127.0.0.1:{port}/")
        refused(project, words, **index)
        refused(project, "401 Unauthorized", SSL_CERT_FILE=str(file), **index)


def full_disk(project: Path, words: str) -> None:
    """The layer does not fit."""
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
    assert words in result.stderr
    assert result.stderr.splitlines()[-1].startswith("build.py: uv could not install app/requirements.txt; ")
    assert content(project) == before


PLATFORM = "no wheels with a matching platform tag"
CASES = [
    (PLATFORM, wrong_wheel("cp313-cp313-manylinux2014_x86_64")),
    (PLATFORM, wrong_wheel("cp313-cp313-manylinux_2_38_aarch64")),
    (PLATFORM, wrong_wheel("cp313-cp313-macosx_11_0_arm64")),
    ("no wheels with a matching Python", wrong_wheel("cp39-cp39-manylinux2014_aarch64")),
    ("no wheels with a matching Python", wrong_wheel("cp314-abi3-manylinux2014_aarch64")),
    ("has no usable wheels", source_only),
    ("no trusted hash was provided for", incomplete_lock),
    ("no trusted hash was provided for", changed_pyproject),
    ("all requirements must have a hash", typed_lock),
    ("Hash mismatch for", other_file),
    ("there is no version of", lost_version),
    ("was not found in the package registry", unknown_package),
    ("401 Unauthorized", no_credentials),
    ("invalid peer certificate", company_certificate),
    ("error sending request for url", no_network),
    ("No interpreter found for Python", no_python),
    ("No space left on device", full_disk),
]


@pytest.mark.parametrize(("words", "case"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_words_of_uv(words: str, case: Callable[[Path, str], None], project: Path) -> None:
    """Each is provoked, shown as it is, and followed by one line that leads to the table in docs/troubleshooting.md."""
    case(project, words)


def test_table_has_the_words_that_are_tested() -> None:
    """Each row of the table is provoked above, and what is provoked above has a row."""
    page = ROOT / "{{cookiecutter.project_slug}}" / "docs" / "troubleshooting.md"
    rows = re.findall(r"^\| `([^`]+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(dict.fromkeys(words for words, _ in CASES))


@pytest.mark.parametrize("tag", ["cp313-cp313-manylinux_2_34_aarch64", "cp313-abi3-manylinux2014_aarch64"])
def test_right_wheel(tag: str, project: Path) -> None:
    """A wheel that Lambda's glibc loads gets in."""
    lock(project, make_wheel(project.parent / "wheels", "native", tag))
    assert layer(project).returncode == 0
    assert (project / "package" / "python" / "native").is_dir()


def test_wheels_for_amazon_linux_2(bake: Bake, tmp_path: Path) -> None:
    """Python 3.11 on Lambda has glibc 2.26: what needs no newer one gets in, also beside a wheel that does."""
    project = small_project(bake(runtime="python3.11"), tmp_path)
    wheels = tmp_path / "wheels"
    both = [
        make_wheel(
            wheels, "Both_Kinds", f"cp311-cp311-manylinux_2_{glibc}_aarch64", {"Both_Kinds/glibc": glibc.encode()}
        )
        for glibc in ("17", "28")
    ]
    older = make_wheel(wheels, "pandas_like", "cp311-cp311-manylinux_2_24_aarch64.manylinux_2_28_aarch64")
    pins = "".join(lines.partition("\n")[2].strip() + " " for lines in both)
    lock(project, f"both-kinds==1.0 {pins}\n{older}")
    result = layer(project)
    assert result.returncode == 0, result.stderr
    assert (project / "package" / "python" / "pandas_like").is_dir()
    assert (project / "package" / "python" / "Both_Kinds" / "glibc").read_text() == "17"

    lock(project, make_wheel(wheels, "pillow_like", "cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64"))
    refused(project, "pillow-like==1.0 has no wheels with a matching platform tag")
    page = (project / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert "or move to Python 3.12 (glibc 2.34)" in page


def test_lock_for_the_runtime(project: Path) -> None:
    """What needs a newer Python than 3.11 can be locked, and stays locked until --upgrade."""
    files = {
        "modern-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: modern\nVersion: 1.0\nRequires-Python: >=3.13\n"
    }
    text = make_wheel(project.parent / "wheels", "modern", files=files)
    ask_for(project, "modern")
    path = project / "pyproject.toml"
    path.write_text(re.sub(r"^(dev|check) = \[.*?^\]", r"\1 = []", path.read_text(), flags=re.MULTILINE | re.DOTALL))
    result = build(project, "lock", **settings(project))
    assert result.returncode == 0, result.stderr
    assert (project / "app" / "requirements.txt").read_text(encoding="utf-8").endswith(text)
    assert layer(project).returncode == 0
    newer = make_wheel(project.parent / "wheels", "modern", version="2.0")
    for options, pins in (((), text), (("--upgrade",), newer)):
        assert build(project, "lock", *options, **settings(project)).returncode == 0
        assert (project / "app" / "requirements.txt").read_text(encoding="utf-8").endswith(pins)


LIBRARY = """[project]
name = "shared"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# A build backend that needs no package, since none is downloaded here.
BACKEND = """import shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("shared-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""


@pytest.mark.parametrize(
    "source",
    ['{ path = "../shared" }', '{ path = "../shared", editable = true }', "workspace", '{ git = "file://GIT" }'],
    ids=["folder", "editable", "workspace", "repository"],
)
def test_library_beside_the_service(source: str, project: Path) -> None:
    """What cannot be locked with a hash is refused in a sentence that says what can, and nothing is half written."""
    library = project.parent / "shared"
    make_wheel(library, "shared")
    (library / "pyproject.toml").write_text(LIBRARY, encoding="utf-8")
    (library / "backend.py").write_text(BACKEND, encoding="utf-8")
    ask_for(project, "shared")
    path = project / "pyproject.toml"
    plain = re.sub(r"^(dev|check) = \[.*?^\]", r"\1 = []", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    more = f"\n[tool.uv.sources]\nshared = {source}\n"
    if source == "workspace":
        shutil.copytree(library, project / "shared")
        more = '\n[tool.uv.workspace]\nmembers = ["shared"]\n[tool.uv.sources]\nshared = { workspace = true }\n'
    elif "GIT" in source:
        author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        for arguments in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "first"]):
            subprocess.run(["git", *arguments], cwd=library, check=True)
        more = more.replace("GIT", str(library))
    path.write_text(plain + more, encoding="utf-8")
    before = content(project)
    result = build(project, "lock", **settings(project))
    assert result.returncode == 1
    assert re.search(r"^build\.py: \S*shared has no hash: a folder, a workspace member or a repo", result.stderr, re.M)
    assert content(project) == before

    # What the sentence says: a wheel, and the folder that it is in.
    (project / "wheels").mkdir()
    shutil.copy(library / "shared-1.0-py3-none-any.whl", project / "wheels")
    path.write_text(plain.replace("[tool.uv]", '[tool.uv]\nno-index = true\nfind-links = ["wheels"]'), encoding="utf-8")
    for command in ("lock", "layer"):
        result = build(project, command)
        assert result.returncode == 0, result.stderr
    assert (project / "package" / "python" / "shared").is_dir()


def test_library_for_development(project: Path) -> None:
    """The lock for .venv has hashes too, so such a library is refused there as well."""
    library = project.parent / "shared"
    library.mkdir()
    (library / "pyproject.toml").write_text(LIBRARY, encoding="utf-8")
    path = project / "pyproject.toml"
    text = re.sub(r"^dev = \[.*?^\]", 'dev = ["shared"]', path.read_text(), flags=re.MULTILINE | re.DOTALL)
    path.write_text(text + '\n[tool.uv.sources]\nshared = { path = "../shared" }\n', encoding="utf-8")
    before = content(project)
    result = build(project, "lock", **settings(project))
    assert result.returncode == 1, result.stdout
    assert "shared has no hash" in result.stderr
    assert content(project) == before


def test_failed_lock_changes_nothing(project: Path) -> None:
    """Where the second lock cannot be written, the first is not either: the wheels have no boto3."""
    make_wheel(project.parent / "wheels", "other")
    ask_for(project, "fine", "other")
    before = content(project)
    result = build(project, "lock", **settings(project))
    assert result.returncode == 1
    assert "boto3" in result.stderr
    assert content(project) == before


def test_file_that_does_not_compile(project: Path) -> None:
    """A package may carry a file that is no Python of today; it is named, and the rest is built with bytecode."""
    files = {"native/template.py": b"print 'two'\n", "native/fine.py": b"value = 1\n"}
    lock(project, make_wheel(project.parent / "wheels", "native", files=files))
    result = layer(project)
    assert result.returncode == 0, result.stderr
    assert "template.py" in result.stdout
    assert "These files are no modules of this Python; they are kept without bytecode." in result.stdout
    package = project / "package" / "python" / "native"
    assert (package / "template.py").exists()
    assert [path.name for path in package.glob("__pycache__/fine.*")] == ["fine.cpython-313.pyc"]


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


def test_layer_over_the_limit(project: Path) -> None:
    """More than Lambda unpacks is refused here, not after the upload; the largest packages are named."""
    script = project / "scripts" / "layer.py"
    text = script.read_text(encoding="utf-8")
    assert "UNZIPPED_LIMIT = 250 * MIB" in text
    script.write_text(text.replace("UNZIPPED_LIMIT = 250 * MIB", "UNZIPPED_LIMIT = 2 * MIB"), encoding="utf-8")
    lock(project, make_wheel(project.parent / "wheels", "big", files={"big/data.bin": bytes(3_145_728)}))
    before = content(project)
    result = layer(project)
    assert result.returncode == 1
    assert "3.0 MB of the 2 MB allowed" in result.stdout
    assert "Largest: big 3.0" in result.stdout
    reason = "build.py: Lambda allows 2 MB with the function: remove a dependency, or use a container image."
    assert result.stderr.splitlines()[-1] == reason
    assert content(project) == before


def test_archive_over_the_limit_of_an_upload(project: Path) -> None:
    """It is written, with a line about what that means; the other one is not over the limit."""
    script = project / "scripts" / "build.py"
    text = script.read_text(encoding="utf-8")
    assert "UPLOAD_LIMIT = 50 * MIB" in text
    script.write_text(text.replace("UPLOAD_LIMIT = 50 * MIB", "UPLOAD_LIMIT = 2 * MIB"), encoding="utf-8")
    big = random.Random(1).randbytes(3_145_728)  # noqa: S311 - so that it cannot be compressed
    lock(project, make_wheel(project.parent / "wheels", "big", files={"big/data.bin": big}))
    result = build(project, "zip", **settings(project))
    assert result.returncode == 0, result.stderr
    assert re.search(r"^dist/function\.zip: 0\.\d\d MB$", result.stdout, re.MULTILINE)
    assert "\ndist/layer.zip: 3.00 MB; over 2 MB it has to be uploaded through S3\n" in result.stdout


def test_not_a_project(project: Path) -> None:
    """Without a lock file, the message names the command that writes it."""
    (project / "app" / "requirements.txt").unlink()
    result = layer(project)
    assert result.returncode == 1
    missing = project / "app" / "requirements.txt"
    assert result.stderr == f"build.py: {missing} does not exist; `python scripts/build.py lock` writes it.\n"


def test_old_python(project: Path) -> None:
    """An interpreter that is too old is told so in one sentence: build.py is read by Python 3.9 as well."""
    for name in ("archive.py", "build.py", "bytecode.py", "layer.py", "run_uv.py", "scratch.py"):
        ast.parse((project / "scripts" / name).read_text(encoding="utf-8"), feature_version=(3, 9))
    code = "import runpy, sys; sys.version_info = (3, 9); runpy.run_path('scripts/build.py', run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, encoding="utf-8")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "build.py: Python 3.10 or newer is needed, this is 3.9.\n"


def test_file_in_the_way(project: Path) -> None:
    """Any other refusal of the system is one sentence too."""
    shutil.rmtree(project / ".build")
    (project / ".build").write_text("")
    lock(project, make_wheel(project.parent / "wheels", "other"))
    result = layer(project)
    assert result.returncode == 1
    assert re.fullmatch(r"build.py: \[Errno 17\] File exists: .*\n", result.stderr)
