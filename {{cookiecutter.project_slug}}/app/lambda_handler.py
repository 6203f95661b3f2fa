"""The Lambda handler of an ASGI application: event loop, lifespan, dispatch of events."""

import asyncio
import atexit
import logging
import os
from contextlib import suppress
from typing import Any

from mangum.protocols import HTTPCycle, LifespanCycle
from starlette.types import ASGIApp

from http_events import Event, read_request, write_response

logging.getLogger("mangum.lifespan").setLevel(logging.WARNING)  # it logs four lines about each start that succeeds

# They keep an execution environment warm. The second one is that of the plugin serverless-plugin-warmup.
WARMUP_EVENTS: tuple[Event, ...] = ({"warmup": True}, {"source": "serverless-plugin-warmup"})


class LambdaHandler:
    """A function for Lambda: called with an event and a context, it returns the response of an application.

    Args:
        app: any ASGI application, such as a FastAPI or Starlette application, with a middleware around it or without.

    """

    def __init__(self, app: ASGIApp) -> None:
        self.app: Any = app  # Mangum's type of an application is narrower than Starlette's
        self.__name__ = self.__qualname__ = "handler"  # decorators read them, as of any function
        self.lifespan: LifespanCycle | None = None
        self.abandoned: list[LifespanCycle | None] = []
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
        adapter, scope, body = read_request(event, context)
        state = dict(self.start().lifespan_state)
        response = HTTPCycle({**scope, "state": state}, body)(self.app)
        return write_response(response, adapter, scope)

    def start(self) -> LifespanCycle:
        """Make the loop current and enter the application's lifespan, unless it has been; return the lifespan.

        Mangum alone enters the lifespan with every request, which opens and closes connection pools each time.

        Raises:
            LifespanFailure: the application could not start.
        """
        if self.loop.is_closed():  # by somebody else: what the lifespan has opened on it can no longer be used
            self.abandoned.append(self.lifespan)  # collected as garbage, it would end without a loop
            self.loop, self.lifespan = asyncio.new_event_loop(), None
        # Mangum runs on the thread's current loop, and asyncio.run() anywhere leaves the thread without one.
        asyncio.set_event_loop(self.loop)
        if self.lifespan is None:
            lifespan = LifespanCycle(self.app, "on")
            lifespan.__enter__()
            self.lifespan = lifespan
        return self.lifespan

    def close(self) -> None:
        """Leave the lifespan when the process ends; Lambda, which freezes and kills, does not get here."""
        if self.lifespan and not self.loop.is_closed():
            self.lifespan.__exit__(None, None, None)
        self.loop.close()


def complete_routes(app: Any) -> None:
    """Have FastAPI complete the routes of its routers, which it does when it first looks through them.

    Init has a whole processor for that, however little memory the function has; the first request has not. It is only
    a saving: an application that has no routes, or fails to look through them, is left as it is.
    """
    with suppress(Exception):
        app.url_path_for("")
