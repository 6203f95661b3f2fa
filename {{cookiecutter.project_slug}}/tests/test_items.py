"""The items router: without Lambda by `client`, and through the Lambda handler by `call`."""

import json

import pytest
from fastapi.testclient import TestClient

import items
import main
import settings
from conftest import Call


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> items.Items:
    """Give each test items of its own; a real table would have a stand-in here."""
    stored = items.Items()
    monkeypatch.setitem(main.app.dependency_overrides, items.get_items, lambda: stored)
    return stored


def test_create(client: TestClient) -> None:
    response = client.post("/items", json={"name": "A lamp"})
    assert response.status_code == 201
    assert response.json() == {"item_id": 43, "name": "A lamp"}
    assert client.get(response.headers["location"]).json() == response.json()


def test_create_counts(client: TestClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "METRICS_NAMESPACE", "orders")
    client.post("/items", json={"name": ""})
    assert capsys.readouterr().out == ""
    client.post("/items", json={"name": "A lamp"})
    assert json.loads(capsys.readouterr().out)["ItemsCreated"] == 1


def test_create_the_first_one(client: TestClient, stored: items.Items) -> None:
    stored.by_id.clear()
    assert client.post("/items", json={"name": "A lamp"}).json()["item_id"] == 1


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 7}, {"name": "x" * 101}])
def test_create_without_a_name(client: TestClient, body: object) -> None:
    response = client.post("/items", json=body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "name"]


def test_read(client: TestClient) -> None:
    response = client.get("/items/42")
    assert response.status_code == 200
    assert response.json() == {"item_id": 42, "name": "Item 42"}


def test_read_an_unknown_one(client: TestClient) -> None:
    response = client.get("/items/7")
    assert response.status_code == 404
    assert response.json() == {"detail": "There is no item 7"}
    assert "404" in client.get("/openapi.json").json()["paths"]["/items/{item_id}"]["get"]["responses"]


@pytest.mark.parametrize("item_id", ["x", "4.2", "٤x", "%20"])
def test_read_by_what_is_no_number(client: TestClient, item_id: str) -> None:
    response = client.get(f"/items/{item_id}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["path", "item_id"]


def test_list(client: TestClient) -> None:
    client.post("/items", json={"name": "A lamp"})
    assert [item["item_id"] for item in client.get("/items").json()] == [42, 43]
    assert [item["item_id"] for item in client.get("/items", params={"limit": 1}).json()] == [42]
    assert client.get("/items", params={"limit": 0}).status_code == 422


def test_through_the_handler(call: Call) -> None:
    assert call("/items", "POST", body={"name": "A lamp"}) == (201, {"item_id": 43, "name": "A lamp"})
    assert call("/items", query={"limit": "1"}) == (200, [{"item_id": 42, "name": "Item 42"}])
    assert call("/items/43", headers={"accept": "application/json"})[0] == 200
