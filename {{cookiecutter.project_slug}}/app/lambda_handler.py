"""The Lambda handler of an ASGI application: event loop, lifespan, dispatch of events, timeout."""

import asyncio
import atexit
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

from mangum.protocols import HTTPCycle, LifespanCycle
from mangum.protocols.http import HTTPCycleState
from mangum.protocols.lifespan import LifespanCycleState
from mangum.types import ASGI, Message, Response
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from http_events import Event, choose_adapter, read_body, read_scope
from http_responses import error_response, write_response

logging.getLogger("mangum.lifespan").setLevel(logging.WARNING)  # it logs four lines about each start that succeeds
logger = logging.getLogger(__name__)

# They keep an execution environment warm. The second one is that of the plugin serverless-plugin-warmup.
WARMUP_EVENTS: tuple[Event, ...] = ({"warmup": True}, {"source": "serverless-plugin-warmup"})
SECONDS_TO_ANSWER = 0.5  # what is left of the function's timeout when a request is ended


class LambdaHandler:
    """A function for Lambda: called with an event and a context, it returns the response of an application.

    Args:
        app: any ASGI application, such as a FastAPI or Starlette application, with a middleware around it or without.

    """

    def __init__(self, app: ASGIApp) -> None:
        self.app: Any = app  # Mangum's type of an application is narrower than Starlette's
        self.__name__ = self.__qualname__ = "handler"  # decorators read them, as of any function
        self.lifespan: Lifespan | None = None
        self.abandoned: list[Lifespan | None] = []
        self.loop = asyncio.new_event_loop()
        atexit.register(self.close)
        complete_routes(app)
        if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # elsewhere uvicorn may have imported this, to enter it itself
            self.start()

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Return the application's response to the HTTP request in an event.

        Raises:
            NotHttpError: the event is not an HTTP request.
        """
        if event in WARMUP_EVENTS:
            return {"statusCode": 204, "body": ""}
        adapter = choose_adapter(event)
        try:
            scope, body = read_scope(event, context), read_body(event)
        except (AttributeError, LookupError, TypeError, ValueError):
            logger.exception("The event lacks what a front end sends; it was answered with status 400")
            return write_response(error_response(400, context), adapter, {"method": "GET", "aws.context": context})
        scope["state"] = dict(self.start().lifespan_state)
        return write_response(RequestCycle(scope, body)(self.app), adapter, scope)

    def start(self) -> "Lifespan":
        """Make the loop current and enter the application's lifespan, unless it has been; return the lifespan.

        Mangum alone enters the lifespan with every request, which opens and closes connection pools each time.

        Raises:
            BaseException: what the application raised; LifespanFailure if it said that it could not start.
        """
        if self.loop.is_closed():  # by somebody else: what the lifespan has opened on it can no longer be used
            self.abandoned.append(self.lifespan)  # collected as garbage, it would end without a loop
            self.loop, self.lifespan = asyncio.new_event_loop(), None
        # Mangum runs on the thread's current loop, and asyncio.run() anywhere leaves the thread without one.
        asyncio.set_event_loop(self.loop)
        if self.lifespan is None:
            lifespan = Lifespan(self.app, "on")
            lifespan.__enter__()
            self.lifespan = lifespan
        return self.lifespan

    def close(self) -> None:
        """Leave the lifespan when the process ends; Lambda, which freezes and kills, does not get here."""
        if self.lifespan and not self.loop.is_closed():
            self.lifespan.__exit__(None, None, None)
        self.loop.close()


class Lifespan(LifespanCycle):
    """Mangum's cycle of a lifespan, which raises what the application raises."""

    async def run(self) -> None:
        """Call the application, which may not know lifespans: ASGI lets it raise an exception before it receives."""
        try:
            await self.app(
                {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.lifespan_state},
                self.receive,
                self.send,
            )
        except BaseException as error:
            if self.state is LifespanCycleState.CONNECTING and not isinstance(self.app, Starlette):
                logger.info("The application has no lifespan: %r", error)
            else:
                self.exception, self.state = error, LifespanCycleState.FAILED
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def startup(self) -> None:
        """Start the application; raise what it has raised, with its traceback."""
        with suppress(Exception):
            await super().startup()
        if self.exception:
            raise self.exception


class RequestCycle(HTTPCycle):
    """Mangum's cycle of a request, which always ends with a whole response, and logs an error once."""

    def __init__(self, scope: Any, body: bytes | None) -> None:
        if body and all(name != b"content-length" for name, _ in scope["headers"]):  # a REST API leaves it out
            scope["headers"].append((b"content-length", b"%d" % len(body)))
        super().__init__(scope, body or b"")
        self.body_is_readable = body is not None
        self.loop = asyncio.get_event_loop()
        self.task: asyncio.Task[Any] | None = None  # while the application runs

    def __call__(self, app: ASGI) -> Response:
        """Return the application's response, or one with status 504 shortly before the timeout of the function."""
        remaining = getattr(self.scope["aws.context"], "get_remaining_time_in_millis", None)
        # A signal ends calls that block the event loop, too. Only the main thread gets it, and others may use it.
        if (
            sys.platform == "win32"
            or remaining is None
            or threading.current_thread() is not threading.main_thread()
            or signal.getitimer(signal.ITIMER_REAL)[0]
        ):
            return super().__call__(app)
        previous = signal.signal(signal.SIGALRM, self.end)
        signal.setitimer(signal.ITIMER_REAL, max(remaining() / 1000 - SECONDS_TO_ANSWER, 0.001))
        try:
            return super().__call__(app)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    def end(self, *_: object) -> None:
        """End the application where it is: in a call that blocks, or waiting."""
        if self.task:
            self.scope["aws.timed_out"] = True
            if asyncio.current_task(self.loop):
                raise asyncio.CancelledError
            self.loop.call_soon_threadsafe(self.task.cancel)

    async def run(self, app: ASGI) -> None:
        """Run the application; an error replaces a response that is not whole."""
        method, path, status = self.scope["method"], self.scope["path"], 500
        try:
            self.task = asyncio.current_task()
            await app(self.scope, self.receive, self.send)
            self.task = None
            if self.state is not HTTPCycleState.COMPLETE:
                logger.error("The application has not sent a whole response to %s %s", method, path)
        except BaseException as error:  # CancelledError and SystemExit, too
            self.task = None
            if isinstance(error, HTTPException) and not self.body_is_readable:
                status = error.status_code
            elif "aws.timed_out" in self.scope:
                status = 504
                logger.exception("No response before the timeout in %s %s", method, path)
            else:
                logger.exception("Unhandled error in %s %s", method, path)
        if self.state is not HTTPCycleState.COMPLETE:
            replaced = getattr(self, "headers", [])
            response = error_response(status, self.scope["aws.context"], replaced)
            self.status, self.headers, self.body = response["status"], response["headers"], response["body"]

    async def receive(self) -> Message:
        """Return the body, or that the client is gone."""
        if not self.body_is_readable:
            raise HTTPException(400, "The body is not base64, although the event says so")
        return await super().receive()


def complete_routes(app: Any) -> None:
    """Have FastAPI complete the routes of its routers, which it does when it first looks through them.

    Init has a whole processor for that, however little memory the function has; the first request has not. It is only
    a saving: an application that has no routes, or fails to look through them, is left as it is.
    """
    with suppress(Exception):
        app.url_path_for("")
