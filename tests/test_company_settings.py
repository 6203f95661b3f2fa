"""Where packages come from: what pip is told on a company's machine holds for build.py as well."""

import importlib.util
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import Bake
from tests.machine import clean_environment
from tests.test_layer import bare, build, generate
from tests.wheels import make_wheel

__all__ = ["bare"]
WHEEL = "ours-1.0-py3-none-any.whl"


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """Return a project that needs one package, which only the index beside it has."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    text = make_wheel(tmp_path / "index" / "ours", "ours")
    (tmp_path / "index" / "ours" / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>', encoding="utf-8")
    (project / "app" / "requirements.txt").write_text(text, encoding="utf-8")
    return project


class Server:
    """A package index on a free port; `asked` lists the paths that it was asked for."""

    def __init__(self, folder: Path) -> None:
        asked = self.asked = []

        class Handler(SimpleHTTPRequestHandler):
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


def layer(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the layer with an empty cache and a HOME of its own."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    clean = {name: "" for name in os.environ if name.startswith(("PIP_", "UV_"))}
    return build(project, "layer", **clean | {"HOME": str(home), "UV_CACHE_DIR": str(home / "cache")} | environment)


@pytest.mark.parametrize(
    "settings",
    [
        {"PIP_INDEX_URL": "{url}"},
        {"PIP_EXTRA_INDEX_URL": "{url}"},
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "{url}ours/"},
        {"UV_DEFAULT_INDEX": "{url}", "PIP_INDEX_URL": "http://127.0.0.1:9/"},
        {"UV_INDEX_URL": "{url}", "PIP_INDEX_URL": "http://127.0.0.1:9/"},
        {"PIP_CONFIG_FILE": "{home}/special.conf"},
        {"PIP_INDEX_URL": "{url}", "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "{home}/astray"},
    ],
    ids=lambda settings: "+".join(settings),
)
def test_index_from_variables(settings: dict[str, str], project: Path, index: Server) -> None:
    """Variables of pip and of uv lead to the index; where both speak, uv's are uv's."""
    home = project.parent / "home"
    home.mkdir()
    (home / "special.conf").write_text(f"[global]\nindex-url = {index.url}\n", encoding="utf-8")
    settings = {name: value.format(url=index.url, home=home) for name, value in settings.items()}
    result = layer(project, **settings)
    assert result.returncode == 0, result.stderr
    assert (project / "package" / "python" / "ours").is_dir()
    assert any(path.endswith(WHEEL) for path in index.asked)
    assert not (home / "astray").exists()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".config/pip/pip.conf", "[global]\nindex-url = {url}\n"),
        (".config/pip/pip.conf", "[global]\nno-index = false\nindex-url = {url}\n"),
        (".pip/pip.conf", "[install]\nextra_index_url =\n    {url}\n"),
        (".config/pip/pip.conf", "[global]\nno-index = true\nfind-links = {url}ours/\n"),
        (".config/uv/uv.toml", '[[index]]\nurl = "{url}"\ndefault = true\n'),
    ],
)
def test_index_from_files(path: str, text: str, project: Path, index: Server) -> None:
    """So do the configuration files of both."""
    file = project.parent / "home" / path
    file.parent.mkdir(parents=True)
    file.write_text(text.format(url=index.url), encoding="utf-8")
    result = layer(project)
    assert result.returncode == 0, result.stderr
    assert any(path.endswith(WHEEL) for path in index.asked)


def test_proxy(project: Path, index: Server) -> None:
    """A proxy of pip's is asked for what is not on this machine."""
    result = layer(project, PIP_INDEX_URL="http://index.invalid/", PIP_PROXY=index.url, UV_HTTP_RETRIES="0")
    assert result.returncode == 1
    assert any("index.invalid" in path for path in index.asked)


@pytest.fixture
def run_uv(bake: Bake) -> ModuleType:
    """Return a project's module run_uv."""
    spec = importlib.util.spec_from_file_location("run_uv", bake() / "scripts" / "run_uv.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_precedence(run_uv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable wins over the section for installing, that over the global one, a user's file over the machine's."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for folder, text in {
        "machine": "[global]\nindex-url = https://machine\ntimeout = 1\ncert = /machine.pem\n",
        "user": "[global]\nindex-url = https://user\nextra-index-url = https://a https://b\n[install]\ntimeout = 3\n",
    }.items():
        (tmp_path / folder / "pip").mkdir(parents=True)
        (tmp_path / folder / "pip" / "pip.conf").write_text(text, encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "machine"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PIP_TRUSTED_HOST", "one two")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    settings = run_uv.pip_settings()
    assert (settings["index-url"], settings["timeout"], settings["trusted-host"]) == ("https://user", "3", "one two")
    assert run_uv.uv_settings() == {
        "SSL_CERT_FILE": "/machine.pem",
        "UV_INSECURE_HOST": "one two",
        "UV_DEFAULT_INDEX": "https://user",
        "UV_INDEX": "https://a https://b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        **({"UV_FIND_LINKS": settings["find-links"].strip()} if "find-links" in settings else {}),
    }
    monkeypatch.setenv("UV_INDEX", "https://own")
    assert set(run_uv.uv_settings()) == {"SSL_CERT_FILE", "UV_INSECURE_HOST"}
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert run_uv.pip_settings() == {"trusted-host": "one two", "config-file": os.devnull}


def test_private_uv_despite_settings_of_pip(bare: Path, tmp_path: Path) -> None:
    """Where uv has to be fetched, pip's settings for where to install do not lead it astray."""
    environment = clean_environment(tmp_path, PIP_USER="1", PIP_REQUIRE_VIRTUALENV="1", PIP_TARGET=str(tmp_path / "x"))
    result, project = generate(bare, tmp_path / "output", **environment)
    assert result.returncode == 0
    assert (project / "package" / "python" / "fastapi").is_dir(), result.stdout + result.stderr
    assert not (tmp_path / "x").exists()
