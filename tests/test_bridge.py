"""A real client against the real runtime: HTTP through the events of a front end, the emulator and the built layer."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge import Bridge
from tests.conftest import ROOT, Bake
from tests.emulator import Emulator
from tests.machine import ARCHITECTURE, BIN, CACHE, CI, interpreter, npm_ci

# A front end, and the stage in the address.
FRONT_ENDS = [("http_api", ""), ("http_api", "dev"), ("rest_api", "prod"), ("function_url", "")]


@pytest.fixture(scope="module", params=FRONT_ENDS, ids="-".join)
def bridge(request: pytest.FixtureRequest, bake: Bake) -> Iterator[Bridge]:
    """Return each front end before the function of a project."""
    front_end, stage = request.param
    project = bake(api=front_end, architecture=ARCHITECTURE, build_layer=True)
    origins = {"ALLOWED_ORIGINS": "https://shop.example.com"}
    with (
        Emulator(interpreter("python3.13"), project / "app", project / "package", **origins) as emulator,
        Bridge(emulator, front_end, stage) as bridge,
    ):
        yield bridge
        assert bridge.failures == []


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - 127.0.0.1
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_client(bridge: Bridge) -> None:
    """Routes, refusals, docs and CORS as a client sees them."""
    assert json.loads(get(f"{bridge.url}/items/42")[2]) == {"item_id": 42, "name": "Item 42"}
    assert get(f"{bridge.url}/")[0] == 200
    assert get(bridge.url)[0] == 200
    assert get(f"{bridge.url}/items/x")[0] == 422
    status, headers, body = get(f"{bridge.url}/nowhere", origin="https://shop.example.com")
    assert (status, json.loads(body)) == (404, {"detail": "Not Found"})
    assert headers["access-control-allow-origin"] == "https://shop.example.com"
    schema = re.search(r"url: '(.*?)'", get(f"{bridge.url}/docs")[2].decode())[1]
    assert bridge.url.endswith(schema.removesuffix("/openapi.json"))
    document = json.loads(get(bridge.url.split("/", 3)[0] + "//" + bridge.url.split("/")[2] + schema)[2])
    assert document.get("servers") == ([{"url": "/" + bridge.url.split("/")[3]}] if bridge.url.count("/") > 2 else None)


@pytest.mark.parametrize("bridge", [("http_api", ""), ("rest_api", "prod")], indirect=True, ids="-".join)
def test_schemathesis(bridge: Bridge) -> None:
    """What the application's own schema allows, and what it does not: no crash, no undocumented answer."""
    command = [BIN / "schemathesis", "run", f"{bridge.url}/openapi.json", "--url", bridge.url, "--no-color"]
    options = ["--max-examples", "20", "--seed", "1", "--generation-database", "none", "--workers", "1"]
    # Starlette's `Allow` has the methods of the first route of a path only.
    options += ["--exclude-checks", "allow_header_conformance", "--phases", "examples,coverage,fuzzing"]
    result = subprocess.run([*command, *options], capture_output=True, encoding="utf-8", cwd="/tmp")  # noqa: S108
    assert result.returncode == 0, result.stdout[-4000:]
    generated = re.search(r"(\d+) generated", result.stdout)
    assert generated and int(generated[1]) >= 50, result.stdout[-2000:]


@pytest.fixture(scope="module")
def swagger_ui() -> Path:
    """Return the files of Swagger UI, from the package that the page would load from a content delivery network."""
    target = CACHE / "swagger-ui"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests" / "swagger-ui" / name, target / name)
    npm_ci(target)
    return target / "node_modules" / "swagger-ui-dist"


@pytest.mark.parametrize("bridge", [("http_api", "dev"), ("function_url", "")], indirect=True, ids="-".join)
def test_docs_in_a_browser(bridge: Bridge, swagger_ui: Path) -> None:
    """The page loads its schema and shows the operations, below a stage as at the root."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        message = "Chromium is needed to look at /docs; on Debian: apt install chromium"
        pytest.fail(message) if CI else pytest.skip(message)
    from playwright.sync_api import Route, sync_playwright

    asked = []

    def serve(route: Route) -> None:
        """Answer for every host but this machine with the files of Swagger UI."""
        name = route.request.url.rpartition("/")[2]
        asked.append(name)
        if (swagger_ui / name).is_file():
            route.fulfill(path=swagger_ui / name)
        else:
            route.fulfill(status=204)

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    quiet += ["--disable-sync", "--no-first-run", "--disable-quic"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        page = browser.new_page()
        page.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), serve)
        page.goto(f"{bridge.url}/docs")
        page.wait_for_selector("#operations-items-read_item", timeout=20_000)
        assert page.inner_text(".info .title").startswith("Orders API")
        assert not page.query_selector(".errors-wrapper")
        browser.close()
    assert "swagger-ui-bundle.js" in asked
