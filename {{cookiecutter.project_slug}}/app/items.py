"""The items router: an example to replace with your own, one module for each noun of the API."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

import metrics

router = APIRouter(prefix="/items", tags=["items"])


class NewItem(BaseModel):
    """What a client sends to create an item."""

    name: str = Field(min_length=1, max_length=100)


class Item(BaseModel):
    """One item."""

    item_id: int
    name: str


class Error(BaseModel):
    """The body of an error."""

    detail: str


class Items:
    """Items in memory: each execution environment has its own, and loses them when it ends. Use a database instead."""

    def __init__(self) -> None:
        self.by_id = {42: Item(item_id=42, name="Item 42")}

    async def add(self, new: NewItem) -> Item:
        """Store a new item and return it with its id."""
        item = Item(item_id=max(self.by_id, default=0) + 1, name=new.name)
        self.by_id[item.item_id] = item
        return item

    async def find(self, item_id: int) -> Item | None:
        """Return the item with this id, or None."""
        return self.by_id.get(item_id)

    async def first(self, limit: int) -> list[Item]:
        """Return the oldest items."""
        return list(self.by_id.values())[:limit]


ITEMS = Items()


async def get_items() -> Items:
    """Return where the items are stored; a test puts another in its place with `app.dependency_overrides`."""
    return ITEMS


Stored = Annotated[Items, Depends(get_items)]


# With a return type FastAPI knows what to send, which is several times faster than inspecting the value.
@router.post("", status_code=201, responses={400: {"model": Error, "description": "The body is not UTF-8"}})
async def create_item(new: NewItem, items: Stored, request: Request, response: Response) -> Item:
    """Create an item; the header Location has its path."""
    item = await items.add(new)
    metrics.count("ItemsCreated")
    response.headers["location"] = request.url_for("read_item", item_id=item.item_id).path
    return item


@router.get("")
async def list_items(items: Stored, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[Item]:
    """Return the oldest items."""
    return await items.first(limit)


@router.get("/{item_id}", responses={404: {"model": Error, "description": "There is no such item"}})
async def read_item(item_id: int, items: Stored) -> Item:
    """Return the item with this id."""
    if item := await items.find(item_id):
        return item
    raise HTTPException(404, f"There is no item {item_id}")
