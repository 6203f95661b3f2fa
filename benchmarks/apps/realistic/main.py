"""The application the tutorial's way; the project has a main.py of its own."""

import shop
from fastapi import FastAPI
from mangum import Mangum

app = FastAPI(title="Shop API", version="0.1.0")
shop.add_to(app)


@app.get("/")
async def read_root() -> dict[str, str]:
    return {"service": app.title, "version": app.version}


@app.get("/health")
async def read_health() -> dict[str, str]:
    return {"status": "ok"}


handler = Mangum(app)
