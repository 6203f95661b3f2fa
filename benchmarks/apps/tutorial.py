from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()


@app.get("/")
def root():
    return {"message": "hello"}


@app.get("/items/{item_id}")
def item(item_id: int):
    return {"item_id": item_id, "name": f"Item {item_id}"}


handler = Mangum(app)
