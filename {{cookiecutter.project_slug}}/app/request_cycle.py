"""One request to an ASGI application, which ends with a whole response before the timeout of the function."""

import asyncio
import logging
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Any

from mangum.protocols import HTTPCycle
from mangum.protocols.http import HTTPCycleState
from mangum.types import ASGI, Message, Response, Scope
from starlette.exceptions import HTTPException

from http_responses import error_response

SECONDS_TO_ANSWER = 0.5  # what is left of the function's timeout when a request is ended
SOON = 0.001  # seconds; a timer of 0 would never end

logger = logging.getLogger(__name__)


class RequestCycle(HTTPCycle):
    """Mangum's cycle of a request, which always ends with a whole response, and logs an error once.

    Args:
        scope: the ASGI scope.
        body: the body of the request; None if it cannot be read.

    """

    def __init__(self, scope: Scope, body: bytes | None) -> None:
        if body and all(name != b"content-length" for name, _ in scope["headers"]):  # a REST API leaves it out
            scope["headers"].append((b"content-length", b"%d" % len(body)))
        super().__init__(scope, body or b"")
        self.body_is_readable = body is not None
        self.task: asyncio.Task[Any] | None = None  # while the application runs
        self.has_run = False

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
        # It stays from one request to the next, unless the application has a handler of its own.
        previous = signal.getsignal(signal.SIGALRM)
        if previous is not end_current:
            signal.signal(signal.SIGALRM, end_current)
        timed.append(self)
        signal.setitimer(signal.ITIMER_REAL, max(remaining() / 1000 - SECONDS_TO_ANSWER, SOON))
        try:
            return super().__call__(app)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            timed.remove(self)
            if previous is not end_current and callable(previous):
                signal.signal(signal.SIGALRM, previous)

    def end(self, frame: FrameType | None) -> None:
        """End the application where it is, in a call that blocks or waiting, and keep where that is for the log."""
        if self.task is None:
            if not self.has_run:  # it is about to: with hardly any time left, the timer is faster
                signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        loop = self.task.get_loop()
        blocking = asyncio.current_task(loop)
        stacks = ["".join(traceback.format_stack(frame))] if blocking else []
        stacks += [waiting_stack(task) for task in asyncio.all_tasks(loop) - {blocking}]
        self.scope["aws.timed_out"] = "\n".join(filter(None, stacks))
        if blocking:
            raise asyncio.CancelledError
        loop.call_soon_threadsafe(self.task.cancel)

    async def run(self, app: ASGI) -> None:
        """Run the application; an error replaces a response that is not whole."""
        method, path, status = self.scope["method"], self.scope["path"], 500
        try:
            self.task, self.has_run = asyncio.current_task(), True
            await app(self.scope, self.receive, self.send)
            self.task = None
            if self.state is not HTTPCycleState.COMPLETE:
                logger.error("The application has not sent a whole response to %s %s", method, path)
        except (Exception, asyncio.CancelledError, SystemExit, BaseExceptionGroup) as error:
            self.task = None
            if isinstance(error, HTTPException) and not self.body_is_readable:
                status = error.status_code
            elif "aws.timed_out" in self.scope:
                status = 504
                where = self.scope["aws.timed_out"]
                logger.exception("Ended before the timeout of the function: %s %s, at\n%s", method, path, where)
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


timed: list[RequestCycle] = []  # the one whose time is measured


def end_current(_: int, frame: FrameType | None) -> None:
    """End the request whose time is over."""
    for cycle in timed:
        cycle.end(frame)


def waiting_stack(task: asyncio.Task[Any]) -> str:
    """Return where a task waits, as in a traceback; nothing for that of the lifespan, which waits for the end."""
    frames, waiting = [], task.get_coro()
    while getattr(waiting, "__qualname__", "") != "Lifespan.run" and (frame := getattr(waiting, "cr_frame", None)):
        frames.append((frame, frame.f_lineno))
        waiting = getattr(waiting, "cr_await", None)
    return "".join(traceback.StackSummary.extract(iter(frames)).format())
