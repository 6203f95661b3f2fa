"""The FastAPI application, `app`, and `handler`, which AWS Lambda calls with each request."""

import gc
import sys
from typing import Any

# Two savings at cold start, until the end of this file. Imports make no garbage to collect. And FastAPI imports all of
# Pydantic 1 only to recognize its models and refuse them. (A library that needs Pydantic 1 can be imported above.)
gc.disable()
modules: dict[str, Any] = sys.modules
modules.setdefault("pydantic.v1", None)

import logging

from fastapi import FastAPI

import items
import settings
from lambda_handler import LambdaHandler
from middleware import add_middleware

logging.basicConfig(format="%(levelname)s: %(name)s: %(message)s")  # for uvicorn; Lambda has set its own format before
logging.getLogger().setLevel(settings.LOG_LEVEL)

app = FastAPI(
    title={{ cookiecutter.project_name | python_quoted }},
    description={{ cookiecutter.description | python_quoted }},
    version="0.1.0",
    openapi_url="/openapi.json" if settings.DOCS else None,
)
app.include_router(items.router)
add_middleware(app)


# Endpoints are `async def`: a Lambda execution environment serves one request at a time, so a blocking call delays no
# other request, while a plain `def` would start a thread for each. Under uvicorn a blocking call does delay others.
@app.get("/")
async def read_root() -> dict[str, str]:
    """Return the name and the version of the service."""
    return {"service": app.title, "version": app.version}


@app.head("/health", include_in_schema=False)
@app.get("/health")
async def read_health() -> dict[str, str]:
    """Return a fixed answer, for monitors."""
    return {"status": "ok"}


handler = LambdaHandler(app)

if modules["pydantic.v1"] is None:
    del modules["pydantic.v1"]
gc.enable()
gc.freeze()  # objects made so far live as long as the process, so collections need not look at them
