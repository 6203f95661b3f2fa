"""A database of vulnerabilities on this machine, for pip-audit, which asks one on the network otherwise."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Database:
    """What was asked for, as names of packages; and the names of those that it knows a vulnerability of."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.vulnerable: set[str] = set()
        self.environment: dict[str, str] = {}


@contextmanager
def osv() -> Iterator[Database]:
    """Serve a database, as OSV does, until the `with` block ends."""
    database = Database()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 - the base class calls it so
            name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            database.asked.append(name)
            found = {"id": "TEST-1", "published": "2026-01-01T00:00:00Z", "affected": [], "summary": "made up"}
            answer = json.dumps({"vulns": [found]} if name in database.vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/query"
        database.environment = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url}
        try:
            yield database
        finally:
            server.shutdown()
