"""The FastAPI application, `app`, and `handler`, which AWS Lambda calls with each request."""

import gc
import sys

# Two things that a cold start need not wait for, until the end of this file. Importing makes no garbage to collect. And
# FastAPI looks for models of Pydantic 1 among the annotations, only to refuse them: it loads all of Pydantic 1 to know
# one. (A library that needs Pydantic 1 itself can be imported above.)
gc.disable()
sys.modules.setdefault("pydantic.v1", None)

import logging

from fastapi import FastAPI

import items
import settings
from gateway import LambdaHandler
from middleware import add_middleware

logging.getLogger().setLevel(settings.LOG_LEVEL)

app = FastAPI(
    title={{ cookiecutter.project_name | python_quoted }},
    description={{ cookiecutter.description | python_quoted }},
    version="0.1.0",
    openapi_url="/openapi.json" if settings.DOCS else None,
)
app.include_router(items.router)
add_middleware(app)


# Endpoints are `async def`: an environment on Lambda serves one request at a time, so a blocking call in one holds up
# nobody, while a plain `def` would start a thread for each request. Under uvicorn blocking calls do hold up others.
@app.get("/")
async def read_root() -> dict[str, str]:
    """Say which service this is."""
    return {"service": app.title, "version": app.version}


@app.head("/health", include_in_schema=False)
@app.get("/health")
async def read_health() -> dict[str, str]:
    """Tell a monitor that the service answers."""
    return {"status": "ok"}


handler = LambdaHandler(app)

if sys.modules["pydantic.v1"] is None:
    del sys.modules["pydantic.v1"]
gc.enable()
gc.freeze()  # what is there now stays as long as the process, so it is never looked at again
