"""The FastAPI application, `app`, and `handler`, which AWS Lambda calls with each request."""

import gc
import logging
import sys
from typing import Any

gc.disable()  # until the end of this file: imports make no garbage to collect

{% if cookiecutter.__state %}
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
{% else %}
from fastapi import FastAPI
{% endif %}

# FastAPI imports all of Pydantic 1 to recognize its models and refuse them. Unless it is imported, there are none.
compat: Any = sys.modules.get("fastapi._compat.shared")
if hasattr(compat, "is_pydantic_v1_model_class"):
    recognize = compat.is_pydantic_v1_model_class
    compat.is_pydantic_v1_model_class = lambda cls: "pydantic.v1" in sys.modules and recognize(cls)

import items
{% if cookiecutter.__worker %}
import jobs
{% endif %}
import settings
{% if cookiecutter.secret %}
import webhooks
{% endif %}
{% if cookiecutter.__state %}
from clients import UnavailableError
{% endif %}
from lambda_handler import LambdaHandler
from middleware import add_middleware

logging.basicConfig(format="%(levelname)s: %(name)s: %(message)s")  # for uvicorn; Lambda has set its own format before
logging.getLogger().setLevel(settings.LOG_LEVEL)

app = FastAPI(
    title={{ cookiecutter.project_name | python_quoted }},
    description={{ cookiecutter.description | python_quoted }},
    version="0.1.0",
    openapi_url="/openapi.json" if settings.DOCS else None,
    max_body_size=settings.MAX_BODY_SIZE,
)
app.include_router(items.router)
{% if cookiecutter.__worker %}
app.include_router(jobs.router)
{% endif %}
{% if cookiecutter.secret %}
app.include_router(webhooks.router)
{% endif %}
add_middleware(app)
{% if cookiecutter.__state %}


@app.exception_handler(UnavailableError)
async def answer_unavailable(request: Request, error: UnavailableError) -> JSONResponse:
    """Return the response to a request that needs a service which does not answer now; the log has the reason."""
    logging.getLogger(__name__).error("%s %s: %s", request.method, request.url.path, error)
    body = {"detail": "Service Unavailable", "request_id": request.state.request_id}
    return JSONResponse(body, 503, {"retry-after": "1"})
{% endif %}


# Endpoints are `async def`: a Lambda execution environment serves one request at a time, so a blocking call delays no
# other request, while a plain `def` would start a thread for each. Under uvicorn a blocking call does delay others.
# Await every task that an endpoint starts: after the response Lambda freezes it, and it runs on in a later request.
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

gc.enable()
gc.freeze()  # objects made so far live as long as the process, so collections need not look at them
