"""The Lambda handler of an ASGI application: event loop, lifespan, dispatch of events."""

import asyncio
import atexit
import logging
import os
from contextlib import suppress
from typing import Any

from mangum.protocols import LifespanCycle
from mangum.protocols.lifespan import LifespanCycleState
from starlette.applications import Starlette
from starlette.types import ASGIApp

from http_events import Event, choose_adapter, read_body, read_scope
from http_responses import error_response, write_response
from request_cycle import RequestCycle

logging.getLogger("mangum.lifespan").setLevel(logging.WARNING)  # it logs four lines about each start that succeeds
logger = logging.getLogger(__name__)

# What reading an event raises if it lacks something.
UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)

# They keep an execution environment warm. The second one is that of the plugin serverless-plugin-warmup.
WARMUP_EVENTS: tuple[Event, ...] = ({"warmup": True}, {"source": "serverless-plugin-warmup"})


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
            starlette = isinstance(self.app, Starlette) or isinstance(getattr(self.app, "app", None), Starlette)
            if self.state is LifespanCycleState.CONNECTING and not starlette:
                logger.info("The application has no lifespan: %r", error)
            elif self.state is LifespanCycleState.SHUTDOWN:
                logger.exception("The application failed at the end of its lifespan")
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
        except UNREADABLE:
            logger.exception("The event lacks what a front end sends; it was answered with status 400")
            return write_response(error_response(400, context), adapter, {"method": "GET", "aws.context": context})
        scope["state"] = dict(self.start().lifespan_state)
        return write_response(RequestCycle(scope, body)(self.app), adapter, scope)

    def start(self) -> Lifespan:
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
        try:
            if self.lifespan and not self.loop.is_closed():
                self.lifespan.__exit__(None, None, None)
        finally:
            self.loop.close()


def complete_routes(app: Any) -> None:
    """Have FastAPI complete the routes of its routers, which it does when it first looks through them.

    Init has a whole processor for that, however little memory the function has; the first request has not. It is only
    a saving: an application that has no routes, or fails to look through them, is left as it is.
    """
    with suppress(Exception):
        app.url_path_for("")
