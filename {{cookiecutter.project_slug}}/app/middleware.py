"""Middleware for every response, on Lambda and under uvicorn alike: request id, CORS headers, unhandled errors.

It is pure ASGI, since a middleware made with `@app.middleware("http")` doubles the time of a request.
"""

from asyncio import CancelledError
from contextvars import ContextVar
from http import HTTPStatus
from uuid import uuid4

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import settings

REQUEST_ID = "x-request-id"
current_request_id = ContextVar("current_request_id", default="")
ERRORS = (Exception, CancelledError, SystemExit, BaseExceptionGroup)
# Starlette's answer to a body that is too large, if the endpoint has not read it, and FastAPI's, if it has.
TOO_LARGE = PlainTextResponse("Content Too Large", 413)
TOO_LARGE_JSON = JSONResponse({"detail": "Content Too Large"}, 413)


def add_middleware(app: Starlette) -> None:
    """Put the middleware around all others of a FastAPI or Starlette application, Starlette's own included.

    With `app.add_middleware` it would be inside of those that answer unhandled errors and bodies that are too large.
    CORS is outside of UnhandledErrors: without its headers, a browser would report an unhandled error as a CORS
    failure. Only the application answers preflight requests; API Gateway and Function URLs pass them on.
    """
    build = app.build_middleware_stack

    def build_middleware_stack() -> ASGIApp:
        if not app.exception_handlers.keys() & {500, Exception}:
            app.exception_handlers[Exception] = answer_error
        stack: ASGIApp = UnhandledErrors(build())
        if settings.ALLOWED_ORIGINS:
            stack = CORSMiddleware(
                stack,
                allow_origins=settings.ALLOWED_ORIGINS,
                allow_credentials="*" not in settings.ALLOWED_ORIGINS,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["etag", "location", REQUEST_ID],
            )
        return RequestId(stack)

    vars(app)["build_middleware_stack"] = build_middleware_stack


class RequestId:
    """Put a request id into `request.state.request_id` and a response header: Lambda's own, elsewhere a random one.

    An application that sets the header itself has the last word.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = getattr(scope.get("aws.context"), "aws_request_id", None) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        current_request_id.set(request_id)
        name = REQUEST_ID.encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers, own = [], (name, request_id.encode())
                for header in message.get("headers", ()):
                    if header[0].lower() == name:
                        own = header
                    else:
                        headers.append(header)
                message["headers"] = [*headers, own]
            await send(message)

        await self.app(scope, receive, send_with_id)


class UnhandledErrors:
    """Answer for what Starlette leaves unanswered, such as CancelledError and SystemExit; the server logs it.

    Starlette answers a body that is too large in plain text; that becomes JSON, like all other errors.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        response_started = too_large = False

        async def note_start(message: Message) -> None:
            nonlocal response_started, too_large
            response_started = True
            if message.get("status") == 413 and message.get("headers") == TOO_LARGE.raw_headers:
                too_large = True
                message["headers"] = TOO_LARGE_JSON.raw_headers
            elif too_large:
                message["body"] = TOO_LARGE_JSON.body
            await send(message)

        try:
            await self.app(scope, receive, note_start)
        except ERRORS:
            if scope["type"] == "http" and not response_started:
                await error_response(scope)(scope, receive, send)
            raise


async def answer_error(request: Request, _: Exception) -> JSONResponse:
    """Return the response to an unhandled error, unless the application has a handler of its own for them."""
    return error_response(request.scope)


def error_response(scope: Scope) -> JSONResponse:
    """Return a response without the content of the error; its status is 504 if the time on Lambda is over."""
    status = HTTPStatus.GATEWAY_TIMEOUT if "aws.timed_out" in scope else HTTPStatus.INTERNAL_SERVER_ERROR
    return JSONResponse({"detail": status.phrase, "request_id": scope["state"]["request_id"]}, status)
