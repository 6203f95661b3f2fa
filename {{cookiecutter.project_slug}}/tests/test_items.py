"""The items router, without Lambda."""

import pytest
from fastapi.testclient import TestClient


def test_item(client: TestClient) -> None:
    """A number returns an item."""
    response = client.get("/items/42")
    assert response.status_code == 200
    assert response.json() == {"item_id": 42, "name": "Item 42"}


@pytest.mark.parametrize("item_id", ["x", "4.2", "٤x", "%20"])
def test_item_that_is_no_number(client: TestClient, item_id: str) -> None:
    """Anything else is an error with status 422, which names the part of the request."""
    response = client.get(f"/items/{item_id}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["path", "item_id"]
