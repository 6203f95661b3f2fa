"""The AWS side of a request: what API Gateway did to it is undone here, so that `app` need not know of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from mangum import Mangum
from starlette.routing import NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send


def lambda_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the function that Lambda calls with an event and a context, and that answers with a response."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with suppress(NoMatchFound):
        # FastAPI completes the routes of its routers when it first looks through them. Init has a whole processor for
        # that, however little memory the function has; the first request has not.
        app.url_path_for("")
    # With its lifespan on, Mangum would start the application up and shut it down with every request.
    adapter = Mangum(StagePrefix(app), lifespan="off")

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        # Mangum serves on the thread's current loop, and asyncio.run() anywhere leaves the thread without one.
        asyncio.set_event_loop(loop)
        return adapter(event, context)

    return handler


class StagePrefix:
    """Tells the application, request by request, below which path it is reachable.

    A named stage is part of the path that API Gateway hands over (`/dev/items/1`). As the ASGI `root_path` it is left
    out of routing, and put into redirects, links and the address of the OpenAPI schema. A constant in the code would be
    wrong for the same service behind a custom domain, whose addresses have no stage in them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of an ASGI server; outside Lambda it goes through as it came."""
        if "aws.event" in scope:
            scope["root_path"], scope["path"] = split_path(scope["aws.event"], scope["path"])
        await self.app(scope, receive, send)


def split_path(event: dict[str, Any], path: str) -> tuple[str, str]:
    """Return the prefix that the client's address has, and the whole path in that address, prefix included."""
    context = event["requestContext"]
    stage = "/" + context.get("stage", "$default")
    if path != stage and not path.startswith(stage + "/"):
        return "", path
    if ".execute-api." in context.get("domainName", ""):
        return stage, path if path != stage else stage + "/"
    return "", path.removeprefix(stage) or "/"
