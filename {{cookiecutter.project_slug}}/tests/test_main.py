"""The service's own routes, without Lambda."""

from fastapi.testclient import TestClient

import main
from conftest import Call


def test_root_names_the_service(client: TestClient) -> None:
    """The root path answers with the name and the version of the service."""
    response = client.get("/")
    assert response.status_code == 200
    assert response.json() == {"service": main.app.title, "version": main.app.version}


def test_health_answers_get_and_head(client: TestClient) -> None:
    """Monitors use either method."""
    assert client.get("/health").json() == {"status": "ok"}
    assert client.head("/health").status_code == 200


def test_health_through_the_handler(call: Call) -> None:
    """An execution environment answers more than one request."""
    assert [call("/health", method) for method in ("GET", "HEAD", "GET")] == [
        (200, {"status": "ok"}),
        (200, None),
        (200, {"status": "ok"}),
    ]
    assert call("/nowhere") == (404, {"detail": "Not Found"})


def test_docs_find_their_schema(client: TestClient) -> None:
    """The docs page loads the schema from the path that serves it."""
    assert "'/openapi.json'" in client.get("/docs").text
    assert client.get("/openapi.json").json()["info"]["title"] == main.app.title
