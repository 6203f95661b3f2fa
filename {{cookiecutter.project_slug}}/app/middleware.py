"""Middleware for every response, on Lambda and under uvicorn alike: request id, CORS headers, unhandled errors.

It is pure ASGI, since a middleware made with `@app.middleware("http")` doubles the time of a request.
"""

import logging
from uuid import uuid4

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import settings

REQUEST_ID = "x-request-id"
logger = logging.getLogger(__name__)


def add_middleware(app: Starlette) -> None:
    """Add the middleware to a FastAPI or Starlette application.

    The last one added runs first. CORS runs before UnhandledErrors: without its headers, a browser would report an
    unhandled error as a CORS failure. Only the application answers preflight requests; API Gateway and Function URLs
    pass them on.
    """
    app.add_middleware(UnhandledErrors)
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
    """Put a request id into `request.state.request_id` and a response header: Lambda's own, elsewhere a random one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
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


class UnhandledErrors:
    """Log an exception that the application has not handled, once, and answer with status 500 without its content."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        response_started = False

        async def note_start(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        try:
            await self.app(scope, receive, note_start)
        except Exception:
            if response_started or scope["type"] != "http":
                raise  # too late for another response; the server logs it
            request_id = scope["state"]["request_id"]
            logger.exception("Unhandled error in %s %s", scope["method"], scope["path"])
            body = {"detail": "Internal Server Error", "request_id": request_id}
            await JSONResponse(body, status_code=500)(scope, receive, send)
