"""What every answer gets, on Lambda and under uvicorn alike: a request id, CORS headers, and a body when it crashed.

Pure ASGI: a middleware made with `@app.middleware("http")` doubles the time of a request.
"""

import logging
from uuid import uuid4

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import settings

REQUEST_ID = "x-request-id"
logger = logging.getLogger(__name__)


def add_middleware(app: FastAPI) -> None:
    """Put the middleware around an application, the innermost first.

    CORS is around the crashes: without its headers a browser would show one as a CORS failure. The application is its
    only owner; the gateway passes preflights on.
    """
    app.add_middleware(Crashes)
    if settings.ALLOWED_ORIGINS:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.ALLOWED_ORIGINS,
            allow_credentials="*" not in settings.ALLOWED_ORIGINS,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID],
        )
    app.add_middleware(RequestId)


class RequestId:
    """Names each request in `request.state.request_id` and in a header: on Lambda as the log does, else at random."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = getattr(scope.get("aws.context"), "aws_request_id", None) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (REQUEST_ID.encode(), request_id.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)


class Crashes:
    """Answers a crash in the shape of FastAPI's other errors, without what happened; that is in the log, once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:
            if started or scope["type"] != "http":
                raise  # too late for another answer; the server logs it
            request_id = scope["state"]["request_id"]
            logger.exception("%s %s crashed", scope["method"], scope["path"])
            body = {"detail": "Internal Server Error", "request_id": request_id}
            await JSONResponse(body, status_code=500)(scope, receive, send)
