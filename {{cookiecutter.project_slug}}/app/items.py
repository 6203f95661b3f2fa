"""Items: the example to replace with what the service is about."""

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/items", tags=["items"])


class Item(BaseModel):
    """One item."""

    item_id: int
    name: str


# The return type tells FastAPI what to send, which is several times faster than having it find out.
@router.get("/{item_id}")
async def read_item(item_id: int) -> Item:
    """Return the item with this number."""
    return Item(item_id=item_id, name=f"Item {item_id}")
