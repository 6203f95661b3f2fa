from fastapi import APIRouter, FastAPI
from mangum import Mangum
from pydantic import BaseModel

router = APIRouter(prefix="/items")


class Item(BaseModel):
    item_id: int
    name: str


@router.get("/{item_id}")
async def item(item_id: int) -> Item:
    return Item(item_id=item_id, name=f"Item {item_id}")


app = FastAPI()
app.include_router(router)


@app.get("/")
async def root() -> dict[str, str]:
    return {"service": app.title, "version": app.version}


handler = Mangum(app, lifespan="off")
