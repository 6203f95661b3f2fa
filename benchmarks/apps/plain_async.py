from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"service": app.title, "version": app.version}


handler = Mangum(app, lifespan="off")
