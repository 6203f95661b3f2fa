"""The FastAPI application, `app`, and `handler`, which AWS Lambda calls with each request."""

import gc

# Importing makes many objects and no garbage: looking for some meanwhile is a twelfth of a cold start.
gc.disable()

from fastapi import FastAPI

import items
from gateway import lambda_handler

app = FastAPI(
    title={{ cookiecutter.project_name | python_quoted }},
    description={{ cookiecutter.description | python_quoted }},
    version="0.1.0",
)
app.include_router(items.router)


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


handler = lambda_handler(app)

# What is there now stays for as long as the process, so the collector need not look at it again.
gc.enable()
gc.freeze()
