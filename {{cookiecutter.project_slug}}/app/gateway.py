"""The AWS side of a request, around Mangum: what the front door did to it is undone, so that `app` need not know of it.

It takes the events of HTTP APIs, REST APIs, Function URLs and Application Load Balancers.
"""

import asyncio
import atexit
import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.protocols import LifespanCycle
from starlette.routing import NoMatchFound
from starlette.types import Message, Receive, Scope, Send

# 6 MB as the runtime counts them: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
RESPONSE_LIMIT = 6_291_556
# Mangum alone sends these as base64, and a REST API without binary types would deliver that to the client.
TEXT_TYPES = [*DEFAULT_TEXT_MIME_TYPES, "+json", "+xml", "application/yaml"]

logger = logging.getLogger(__name__)
logging.getLogger("mangum.lifespan").setLevel(logging.WARNING)  # four lines on each start that went well

Event = dict[str, Any]
# What reading an event that is no HTTP request ends with.
UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)


class NotHttpError(ValueError):
    """The function was called with something that is not an HTTP request."""


class LambdaHandler:
    """What Lambda calls with an event and a context, and what answers with a response."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.lifespan: LifespanCycle | None = None
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        atexit.register(self.close)
        # Mangum enters the lifespan with every request, which opens and closes connection pools each time.
        self.mangum = Mangum(self.serve, lifespan="off", text_mime_types=TEXT_TYPES)
        with suppress(NoMatchFound):
            # FastAPI completes the routes of its routers when it first looks through them. Init has a whole processor
            # for that, however little memory the function has; the first request has not.
            app.url_path_for("")
        if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # elsewhere uvicorn may have imported this, to enter it itself
            self.start()

    def __call__(self, event: Event, context: Any) -> dict[str, Any]:
        """Answer one event.

        Raises:
            NotHttpError: the event is not an HTTP request.
        """
        if event == {"warmup": True}:
            return {"statusCode": 204, "body": ""}  # keeps the environment; nothing for the application to do
        try:
            request = mended(event)
            self.address = address(request)
        except UNREADABLE as error:
            raise NotHttpError(refusal(event)) from error
        self.start()
        self.read = False
        # Mangum serves on the thread's current loop, and asyncio.run() anywhere leaves the thread without one.
        asyncio.set_event_loop(self.loop)
        try:
            response = self.mangum(request, context)
        except UNREADABLE as error:
            if self.read:
                raise
            raise NotHttpError(refusal(event)) from error
        return sendable(response, context)

    def start(self) -> None:
        """Enter the application's lifespan, once for as long as the environment lives; an error in it is raised."""
        if self.lifespan is None:
            asyncio.set_event_loop(self.loop)
            lifespan = LifespanCycle(self.app, "on")
            lifespan.__enter__()
            self.lifespan = lifespan

    def close(self) -> None:
        """Leave the lifespan when the process ends; Lambda, which freezes and kills, does not get here."""
        if self.lifespan and not self.loop.is_closed():
            self.lifespan.__exit__(None, None, None)
        self.loop.close()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that Mangum has read."""
        self.read = True
        scope["root_path"], scope["path"] = self.address
        # A load balancer appends the address that it saw to the ones that the client has claimed.
        scope["client"] = (str(scope["client"][0]).rpartition(",")[2].strip(), 0)
        scope["state"] = dict(self.lifespan.lifespan_state) if self.lifespan else {}

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                if not all(value.isascii() for _, value in message["headers"]):  # Latin-1, and Mangum reads UTF-8
                    recoded = ((name, value.decode("latin-1").encode()) for name, value in message["headers"])
                    message["headers"] = list(recoded)
            elif scope["method"] == "HEAD":  # a front door would deliver the body
                message["body"] = b""
            await send(message)

        await self.app(scope, receive, send_readable)


def address(event: Event) -> tuple[str, str]:
    """Return the prefix of the client's path that is not the application's, and that path, both decoded.

    The prefix is a stage or the base path of a custom domain. As the ASGI `root_path` it is left out of routing, and
    put into redirects, links and the address of the OpenAPI schema. A constant would be wrong for one of the two.
    """
    context, proxy = event["requestContext"], (event.get("pathParameters") or {}).get("proxy") or ""
    if "elb" in context:
        return "", unquote(event["path"] or "/")
    if "http" in context:
        path, route = context["http"]["path"] or "/", (event.get("routeKey") or "").rpartition(" ")[2]
        domain, stage = context.get("domainName") or "", f"/{context.get('stage')}"
        if ".lambda-url." in domain:
            path = unquote(path)  # an HTTP API has done so, and doing it again would change `50%41`
        if f"{path}/".startswith(f"{stage}/"):
            if ".execute-api." in domain:
                return stage, path if path != stage else f"{stage}/"
            path = path.removeprefix(stage) or "/"  # behind a custom domain it is in the path, but not in the address
        matched = [proxy] if route in ("/", "/{proxy+}") else []
    else:
        path = unquote(context.get("path") or event["path"] or "/")
        matched = [proxy, unquote(proxy)] if event.get("resource") in ("/", "/{proxy+}") else [unquote(event["path"])]
    for own in matched:  # what the route has matched is the application's; a slash at its end may be missing
        prefix = path.rstrip("/").removesuffix(f"/{own.strip('/')}".rstrip("/"))
        if f"{prefix}/{own.strip('/')}".rstrip("/") == path.rstrip("/"):
            return prefix, path if path != prefix else f"{prefix}/"
    return "", path


def mended(event: Event) -> Event:
    """Return an HTTP event without what Mangum cannot read, or reads otherwise than it was meant.

    Raises:
        AttributeError, LookupError, TypeError or ValueError: it is not an HTTP event.
    """
    context = event["requestContext"]
    second = event.get("version") == "2.0" and "http" in context
    first = "httpMethod" in event and ("elb" in context or "resource" in event or event.get("version") == "1.0")
    if not (first or second) or "methodArn" in event or "routeArn" in event:
        raise ValueError("an event of a WebSocket API, or of an authorizer, which looks like a request")
    mended, headers = dict(event), event.get("headers") or {}
    mended["headers"] = headers
    if None in headers.values():
        mended["headers"] = {name: value for name, value in headers.items() if value is not None}
    many = mended.pop("multiValueHeaders", None)
    if many:  # cookies come one by one from a browser that speaks HTTP/2, and a comma does not separate them
        mended["multiValueHeaders"] = {
            name: ["; ".join(values)] if name.lower() == "cookie" else values for name, values in many.items() if values
        }
    for name in ("queryStringParameters", "multiValueQueryStringParameters"):
        if event.get(name):  # a parameter without a value would become the text "None"
            query = event[name].items()
            mended[name] = {key: [each or "" for each in v] if isinstance(v, list) else v or "" for key, v in query}
    return mended


def sendable(response: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return a response that Lambda and its front door deliver as it is meant."""
    if response["statusCode"] in (204, 304):
        (response.get("headers") or {}).pop("content-type", None)  # there is no content, and Mangum adds a type
    # A character may take six bytes in JSON, so most responses need no counting.
    if len(response.get("body") or "") * 6 < RESPONSE_LIMIT:
        return response
    size = len(json.dumps(response, ensure_ascii=sys.version_info < (3, 12)).encode())
    if size <= RESPONSE_LIMIT:
        return response
    logger.error("The response has %d bytes and Lambda takes %d; the client got status 500", size, RESPONSE_LIMIT)
    for group, json_type in (("headers", "application/json"), ("multiValueHeaders", ["application/json"])):
        if response.get(group):
            kept = {name: value for name, value in response[group].items() if not name.lower().startswith("content-")}
            response[group] = kept | {"content-type": json_type}
    request_id = getattr(context, "aws_request_id", None)
    body = json.dumps({"detail": "The response is larger than Lambda can send", "request_id": request_id})
    return response | {"statusCode": 500, "body": body, "isBase64Encoded": False}


def refusal(event: Any) -> str:
    """Say where an event came from, without its content, and what to do about it."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(event, dict):
        came = f"a {type(event).__name__}"
    elif isinstance(records, list) and records and isinstance(records[0], dict):
        came = f"an event of {records[0].get('eventSource') or records[0].get('EventSource')}"
    elif isinstance(event.get("requestContext"), dict) and "connectionId" in event["requestContext"]:
        came = "an event of a WebSocket API"
    elif isinstance(event.get("source"), str):
        came = f"an event of {event['source']}"
    else:
        came = f"an event with {', '.join(sorted(map(repr, event))[:8]) or 'nothing'} in it"
    return f"This function answers HTTP requests, and was called with {came}. Give it a function of its own."
