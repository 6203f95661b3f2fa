"""What AWS and browsers show people whose service fails, and the table in README.md that is keyed by it.

A row's text was printed here, by Lambda's own runtime or by the handler; where it cannot be, the row links to the page
that has it.
"""

import json
import re
import shutil
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, Bake
from tests.emulator import Emulator
from tests.events import FRONT_ENDS, http_api
from tests.machine import ARCHITECTURE, interpreter

PYTHON = interpreter("python3.13")
ORIGIN = "https://shop.example.com"
# PBKDF2 runs in C for minutes, and no signal interrupts it.
ROUTES = """
import asyncio, hashlib

@app.get("/raise")
async def raise_error() -> None: raise KeyError("x")

@app.get("/wait")
async def wait() -> None: await asyncio.sleep(60)

@app.get("/large")
async def large() -> str: return "x" * 7_000_000

@app.post("/upload", max_body_size=10)
async def upload(body: dict[str, str]) -> None: ...

@app.get("/block")
async def block() -> str: return hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9).hex()
"""
AWS = "https://docs.aws.amazon.com/"
GATEWAY = f"{AWS}apigateway/latest/developerguide/"
# Texts of front ends and browsers, which nothing here prints, and the pages that have them.
CITED = {
    '{"message":"Internal Server Error"}': f"{GATEWAY}http-api-troubleshooting-lambda.html",
    '{"message":"Not Found"}': f"{GATEWAY}http-api-develop-routes.html",
    '{"message": "Internal server error"}': f"{AWS}lambda/latest/dg/services-apigateway-errors.html",
    '{"message":"Missing Authentication Token"}': f"{GATEWAY}supported-gateway-response-types.html",
    "Too Many Requests": "https://repost.aws/knowledge-center/api-gateway-429-limit",
    "Internal Server Error": f"{AWS}lambda/latest/dg/urls-monitoring.html",
    '{"Message":"Forbidden…"}': f"{AWS}lambda/latest/dg/urls-auth.html",
    "blocked by CORS policy": "https://developer.mozilla.org/en-US/docs/Web/HTTP/CORS/Errors",
}
FRONT_END_ROWS = {
    "http_api": ['{"message":"Internal Server Error"}', '{"message":"Not Found"}', "Too Many Requests"],
    "rest_api": [
        '{"message": "Internal server error"}',
        '{"message":"Missing Authentication Token"}',
        "Too Many Requests",
    ],
    "function_url": ["Internal Server Error", '{"Message":"Forbidden…"}'],
}
IMPORT, CORE = "Unable to import module 'main': No module named", "'pydantic_core._pydantic_core'"
OLDER_CORE, NEWER_CORE = f"No module named {CORE}", f"from {CORE} (unknown location)"
HANDLER, TIMEOUT = "Unable to import module 'lambda_function'", "Task timed out after"
SLOW, RAISED = '{"detail":"Gateway Timeout","request_id":…}', '{"detail":"Internal Server Error","request_id":…}'
LARGE, UPLOAD, CORS = "The response is larger than Lambda can send", "413", "blocked by CORS policy"
TOO_LARGE = '{"detail":"Content Too Large"}'
ENDED, UNHANDLED, UNKNOWN = "Ended before the timeout of the function", "Unhandled error in", '{"detail":"Not Found"}'


def not_started(task: Path, layer: Path, handler: str = "main.handler") -> str:
    """Return what a function prints that cannot start."""
    with Emulator(PYTHON, task, layer, handler) as emulator:
        with pytest.raises(OSError, match="502") as error:
            emulator.invoke(http_api("/"))
        return json.loads(error.value.read())["errorMessage"]


def printed(bake: Bake, folder: Path) -> dict[str, list[str]]:
    """Return what each fault really prints, by the text that README.md has for it."""
    project = bake(runtime="python3.13", architecture=ARCHITECTURE, build_layer=True)
    task, layer = project / "app", project / "package"
    (folder / "empty" / "python").mkdir(parents=True)
    elsewhere = {} if ARCHITECTURE == "x86_64" else {"architecture": "x86_64"}  # by default it is arm64
    wrong = [
        bake(runtime="python3.12", architecture=ARCHITECTURE, build_layer=True) / "package",
        bake(**elsewhere, build_layer=True) / "package",
    ]
    # Before pydantic-core had a folder of stubs, Python found nothing of that name instead of a folder without code.
    older = shutil.copytree(wrong[0], folder / "older")
    shutil.rmtree(older / "python" / "pydantic_core" / "_pydantic_core")
    texts = {
        IMPORT: [not_started(task, folder / "empty")],
        NEWER_CORE: [not_started(task, each) for each in wrong],
        OLDER_CORE: [not_started(task, older)],
        HANDLER: [not_started(task, layer, "lambda_function.lambda_handler")],
    }
    task = shutil.copytree(task, folder / "task")
    with (task / "main.py").open("a", encoding="utf-8") as main:
        main.write(ROUTES)
    with Emulator(PYTHON, task, layer, AWS_LAMBDA_FUNCTION_TIMEOUT="3") as emulator:

        def answer(path: str, method: str = "GET", **more: object) -> str:
            response = emulator.invoke(http_api(path, method=method, **more))
            return f"{response['statusCode']} {response['body']}"

        texts[UNKNOWN] = [answer("/nowhere")]
        texts[RAISED] = [answer("/raise")]
        texts[LARGE] = [answer("/large")]
        texts[UPLOAD] = [answer("/upload", "POST", send={"content-type": "application/json"}, body='{"a": "bcdef"}')]
        texts[TOO_LARGE] = texts[UPLOAD]
        texts[SLOW] = [answer("/wait")]
        with pytest.raises(json.JSONDecodeError) as error:
            answer("/block")
        texts[TIMEOUT] = [error.value.doc]
        texts[ENDED] = texts[UNHANDLED] = [emulator.said()]
    return texts


def rows(project: Path) -> dict[str, tuple[list[str], str]]:
    """Return what the rows of the table are keyed by: all texts of the first cell, and the rest of the row."""
    readme = (project / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Troubleshooting\n")[2]
    found = {}
    for line in table.splitlines()[table.splitlines().index("|---|---|---|") + 1 :]:
        if line:
            first, rest = line.removeprefix("| ").split(" | ", 1)
            texts = re.findall("`(.+?)`", first)
            found[texts[0]] = texts, rest
    return found


def contains(printed: str, text: str) -> bool:
    """Return True if a text was printed; an ellipsis in it stands for anything."""
    return re.search(".+".join(map(re.escape, text.split("…"))), printed) is not None


def test_rows_say_what_is_printed(bake: Bake, tmp_path: Path) -> None:
    """Each row was provoked or has its source; a project has the rows of its front end and its deployer alone."""
    texts = printed(bake, tmp_path)
    for deployer, api in product(CONTEXT["deployer"], CONTEXT["api"]):
        table = rows(bake(deployer=deployer, api=api))
        by_hand = [HANDLER] if deployer == "zip" else []
        expected = [IMPORT, NEWER_CORE, *by_hand, TIMEOUT, SLOW, RAISED, *FRONT_END_ROWS[api], LARGE, UPLOAD, CORS]
        assert list(table) == expected
        assert table[NEWER_CORE][0] == [NEWER_CORE, OLDER_CORE]
        for keys, rest in table.values():
            for key in keys:
                if key in CITED:
                    assert f"]({CITED[key]})" in rest
                else:
                    assert all(contains(each, key) for each in texts[key]), (key, texts[key])
        for key, other in ((SLOW, ENDED), (RAISED, UNHANDLED), ('{"message":"Not Found"}', UNKNOWN)):
            assert key not in table or f"`{other}`" in table[key][1]
            assert contains(texts[other][0], other), texts[other]


def test_cors_row_ends_what_the_browser_reports(bake: Bake) -> None:
    """The origin of the page is not in the response, which is why a browser blocks it; with the setting, it is."""
    project = bake(runtime="python3.13", architecture=ARCHITECTURE, build_layer=True)
    preflight = {"origin": ORIGIN, "access-control-request-method": "GET"}
    for allowed in ("", ORIGIN):
        with Emulator(PYTHON, project / "app", project / "package", ALLOWED_ORIGINS=allowed) as emulator:
            for api, method in product(CONTEXT["api"], ("OPTIONS", "GET")):
                response = emulator.invoke(FRONT_ENDS[api]("/", method=method, send=preflight))
                sent = response.get("multiValueHeaders") or response["headers"]
                assert ("access-control-allow-origin" in sent) == bool(allowed), (api, method)
