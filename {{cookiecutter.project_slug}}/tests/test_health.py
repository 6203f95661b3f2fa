"""health.py, asking a server of the test's own."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest.mock import Mock

import pytest

import health


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The statuses that the server answers with in turn, the last one again and again."""
    left: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/prod/health"
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        found = {"Outputs": [{"OutputKey": "ApiUrl", "OutputValue": f"http://127.0.0.1:{server.server_port}/prod/"}]}
        monkeypatch.setattr(health, "connect", lambda _: (Mock(region_name="us-east-1"), "orders-dev"))
        monkeypatch.setattr(health, "describe", lambda *_: found)
        monkeypatch.setattr(health, "PAUSE", 0)
        yield left
        server.shutdown()


def test_it_asks_until_the_service_answers(statuses: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    statuses += [404, 503, 200]
    assert health.main([]) == 0
    said = re.sub(r":\d+/", ":PORT/", capsys.readouterr().out)
    assert said == "ApiUrl: http://127.0.0.1:PORT/prod/\n/health answers with status 200.\n"


@pytest.mark.parametrize("status", [204, 500])
def test_another_status(
    status: int, statuses: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0)
    statuses += [status]
    assert health.main([]) == 1
    said = re.sub(r":\d+/", ":PORT/", capsys.readouterr().err)
    url = "http://127.0.0.1:PORT/prod/health"
    assert said == f"health.py: {url} does not answer with status 200, but: status {status}.\n"


def test_nothing_answers() -> None:
    assert "refused" in health.problem_of("http://127.0.0.1:1/health")


def test_nothing_is_deployed(
    statuses: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "describe", lambda *_: {})
    assert health.main([]) == 1
    line = "health.py: there is nothing to ask: us-east-1 has no stack orders-dev with an output ApiUrl.\n"
    assert capsys.readouterr().err == line
