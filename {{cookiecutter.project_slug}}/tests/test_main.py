"""The service's own routes, without Lambda."""

from fastapi.testclient import TestClient

import main


def test_root_names_the_service(client: TestClient) -> None:
    """The root path answers with the name and the version of the service."""
    response = client.get("/")
    assert response.status_code == 200
    assert response.json() == {"service": main.app.title, "version": main.app.version}


def test_health_answers_get_and_head(client: TestClient) -> None:
    """Monitors use either method."""
    assert client.get("/health").json() == {"status": "ok"}
    assert client.head("/health").status_code == 200


def test_docs_find_their_schema(client: TestClient) -> None:
    """The docs page loads the schema from the path that serves it."""
    assert "'/openapi.json'" in client.get("/docs").text
    assert client.get("/openapi.json").json()["info"]["title"] == main.app.title
