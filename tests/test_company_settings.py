"""Where packages come from: uv's own configuration holds, and one line says where pip's does not."""

import base64
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.machine import clean_environment, interpreter
from tests.test_layer import build
from tests.wheels import ask_for, make_index, make_wheel

WHEEL = "ours-1.0-py3-none-any.whl"
DEFAULT_INDEX = '[[{table}index]]\nurl = "{url}"\ndefault = true\n'


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """Return a project that needs one package, which only the index beside it has."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    text = make_wheel(tmp_path / "index" / "ours", "ours")
    make_index(tmp_path / "index")
    (project / "app" / "requirements.txt").write_text(text, encoding="utf-8")
    ask_for(project, "ours")
    return project


class Server:
    """A package index on a free port; `asked` lists the paths that it was asked for, `password` is what it asks for."""

    def __init__(self, folder: Path) -> None:
        asked = self.asked = []
        server = self
        self.password = ""

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                expected = "Basic " + base64.b64encode(f"me:{server.password}".encode()).decode()
                if server.password and self.headers["authorization"] != expected:
                    self.send_error(401)
                else:
                    super().do_GET()

            def log_request(self, *_: object) -> None:
                asked.append(self.path)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Server]:
    """Return a running index of the folder `index`."""
    (tmp_path / "index").mkdir(exist_ok=True)
    server = Server(tmp_path / "index")
    yield server
    server.server.shutdown()
    server.server.server_close()


def run(project: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run build.py with an empty cache, a HOME of its own, and no settings but these."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    pip = {name: "" for name in os.environ if name.startswith("PIP_")} | {"PIP_CONFIG_FILE": os.devnull}
    clean = {"HOME": str(home), "UV_CACHE_DIR": str(home / "cache"), "UV_HTTP_RETRIES": "0"}
    return build(project, command, **pip | clean | environment)


def test_index_from_variables(project: Path, index: Server) -> None:
    """Variables of uv lead to the index."""
    result = run(project, "layer", UV_DEFAULT_INDEX=index.url)
    assert result.returncode == 0, result.stderr
    assert (project / "package" / "python" / "ours").is_dir()
    assert any(path.endswith(WHEEL) for path in index.asked)
    assert "pip" not in result.stderr


@pytest.mark.parametrize(
    ("path", "text"),
    [("home/.config/uv/uv.toml", DEFAULT_INDEX), ("project/pyproject.toml", DEFAULT_INDEX)],
    ids=["uv.toml", "pyproject.toml"],
)
def test_index_from_files(path: str, text: str, project: Path, index: Server) -> None:
    """So do uv's configuration files."""
    file = project.parent / path
    file.parent.mkdir(parents=True, exist_ok=True)
    table = "tool.uv." if file.name == "pyproject.toml" else ""
    with file.open("a", encoding="utf-8") as configuration:
        configuration.write(text.format(url=index.url, table=table))
    result = run(project, "layer")
    assert result.returncode == 0, result.stderr
    assert any(path.endswith(WHEEL) for path in index.asked)


def test_credentials_from_netrc(project: Path, index: Server) -> None:
    """An index with a password is read with what netrc has for it."""
    index.password = "secret"  # noqa: S105 - of nothing
    netrc = project.parent / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    assert run(project, "layer", UV_DEFAULT_INDEX=index.url).returncode == 1
    result = run(project, "layer", UV_DEFAULT_INDEX=index.url, NETRC=str(netrc))
    assert result.returncode == 0, result.stderr


def test_proxy(project: Path, index: Server) -> None:
    """A proxy is asked for what is not on this machine."""
    result = run(project, "layer", UV_DEFAULT_INDEX="http://index.invalid/", HTTP_PROXY=index.url, NO_PROXY="")
    assert result.returncode == 1
    assert any("index.invalid" in path for path in index.asked)


def test_explicit_index(project: Path, index: Server) -> None:
    """What `lock` finds in an index that serves only the packages that name it, `layer` and `venv` find there too."""
    sources = f'[[tool.uv.index]]\nname = "company"\nurl = "{index.url}"\nexplicit = true\n'
    sources += '[tool.uv.sources]\nours = { index = "company" }\ntools = { index = "company" }\n'
    make_wheel(project.parent / "index" / "tools", "tools")
    make_index(project.parent / "index")
    path = project / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    for group, tools in (("dev", '["tools"]'), ("check", "[]")):
        text = re.sub(rf"^{group} = \[.*?^\]", f"{group} = {tools}", text, flags=re.MULTILINE | re.DOTALL)
    path.write_text(text + sources, encoding="utf-8")
    for command in ("lock", "layer", "venv"):
        # The default index has neither.
        result = run(project, command, UV_DEFAULT_INDEX=f"{index.url}nothing/")
        assert result.returncode == 0, result.stderr
    assert (project / "package" / "python" / "ours").is_dir()
    assert list((project / ".venv").rglob("site-packages/tools"))


PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "HTTPS_PROXY",
}


def lines_about_pip(result: subprocess.CompletedProcess[str], name: str = "") -> list[str]:
    """Return the lines about pip's settings, or about one of them: this machine may have others."""
    lines = re.findall(
        r"^build\.py: pip is configured with .*; uv does not read pip's settings\.$", result.stderr, re.M
    )
    return [line for line in lines if name in line]


@pytest.mark.parametrize(("name", "place"), [*product(PIP, ["variable"]), ("index-url", "file"), ("cert", "file")])
def test_settings_of_pip_are_named(name: str, place: str, project: Path, index: Server) -> None:
    """Where uv fails, one line names what pip is configured with and uv is not, without its value."""
    value = f"http://me:secret@{index.url.removeprefix('http://')}"
    if place == "variable":
        environment = {f"PIP_{name.upper().replace('-', '_')}": value}
    else:
        environment = {"PIP_CONFIG_FILE": str(project.parent / "pip.conf")}
        (project.parent / "pip.conf").write_text(f"[global]\n{name} = {value}\n", encoding="utf-8")
    other = {"SSL_CERT_FILE": "", "HTTPS_PROXY": ""} | environment | {"UV_DEFAULT_INDEX": f"{index.url}nothing/"}
    if name == "index-url":
        del other["UV_DEFAULT_INDEX"]
        other |= {"UV_INDEX": f"{index.url}nothing/", "UV_OFFLINE": "1"}
    result = run(project, "layer", **other)
    assert result.returncode == 1
    assert len(lines_about_pip(result)) == 1
    assert len(lines_about_pip(result, f" {name} (for uv: {PIP[name]})")) == 1
    assert "secret" not in result.stdout + result.stderr

    # uv has been told the same, and fails all the same.
    same = {PIP[name]: os.devnull if name == "cert" else index.url + "nothing/"}
    assert lines_about_pip(run(project, "layer", **other | same | {"UV_OFFLINE": "1"}), f" {name} (") == []
    # uv succeeds.
    found = {"UV_DEFAULT_INDEX": index.url, "NO_PROXY": "127.0.0.1"}
    result = run(project, "layer", **environment | found)
    assert result.returncode == 0, result.stderr
    assert lines_about_pip(result) == []


def test_no_line_without_pip(project: Path, index: Server) -> None:
    """Where nothing is configured there is nothing to name."""
    result = run(project, "layer", UV_DEFAULT_INDEX=f"{index.url}nothing/")
    assert result.returncode == 1
    assert lines_about_pip(result) == []


@pytest.mark.parametrize("place", ["variable", "file"])
def test_private_uv_despite_settings_of_pip(place: str, project: Path, tmp_path: Path) -> None:
    """A uv that is too old is not used; one comes from where pip is configured to look, into .uv/ and nowhere else."""
    make_wheel(tmp_path / "wheels", "uv", files={"uv/__main__.py": b"print('uv 99.0.0')\n"})
    astray = str(tmp_path / "astray")
    settings = {"no-index": "1", "find-links": str(tmp_path / "wheels"), "require-virtualenv": "1", "user": "1"}
    settings |= {"prefix": astray, "target": astray, "root": astray}
    if place == "variable":
        environment = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}
    else:
        environment = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (tmp_path / "pip.conf").write_text(f"[global]\n{lines}", encoding="utf-8")
    command = [interpreter("python3.13"), "-c", "import sys; sys.path[0] = 'scripts'; import run_uv; run_uv.find_uv()"]
    own = tmp_path / "bin" / "uv"
    own.parent.mkdir()
    environment = clean_environment(tmp_path, own.parent, **environment)
    for version, output in (
        ("0.9.0", ""),
        ("0.8.24", "uv 0.9 or newer was not found; installing it into .uv/ ...\n"),
    ):
        own.write_text(f"#!/bin/sh\necho uv {version}\n", encoding="utf-8")
        own.chmod(0o755)
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")
        assert result.returncode == 0, result.stderr
        assert result.stdout == output
    assert list((project / ".uv").rglob("site-packages/uv/__main__.py"))
    assert not (tmp_path / "astray").exists()
