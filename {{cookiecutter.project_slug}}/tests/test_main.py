"""The service's own routes, without Lambda."""

from fastapi.testclient import TestClient

import main


def test_root_names_the_service(client: TestClient) -> None:
    """The first thing a caller sees says where it is."""
    response = client.get("/")
    assert response.status_code == 200
    assert response.json() == {"service": main.app.title, "version": main.app.version}


def test_health_answers_get_and_head(client: TestClient) -> None:
    """Monitors ask with either method."""
    assert client.get("/health").json() == {"status": "ok"}
    assert client.head("/health").status_code == 200


def test_docs_find_their_schema(client: TestClient) -> None:
    """The page asks for the schema where it is."""
    assert "'/openapi.json'" in client.get("/docs").text
    assert client.get("/openapi.json").json()["info"]["title"] == main.app.title
