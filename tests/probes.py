"""Routes that a test adds to a rendered application, to see what reaches it and how its answers leave."""

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse


def add(app: FastAPI) -> None:
    """Add the routes."""

    @app.get("/probe/slash/")
    async def slash() -> str:
        return "slash"

    @app.get("/probe/link", name="probe_link")
    async def link(request: Request) -> str:
        return str(request.url_for("probe_link"))

    @app.get("/probe/path/{path:path}")
    async def path_(path: str) -> str:
        return path

    @app.api_route("/probe/seen", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def seen(request: Request) -> dict[str, Any]:
        return {
            "method": request.method,
            "query": request.query_params.multi_items(),
            "cookies": request.cookies,
            "client": request.client.host if request.client else None,
            "client_port": request.client.port if request.client else None,
            "server": request.scope["server"],
            "raw_path": (request.scope["raw_path"] or b"").decode(),
            "x-token": request.headers.getlist("x-token"),
            "scheme": request.url.scheme,
            "path": request.url.path,
            "headers": dict(request.headers),
            "length": len(await request.body()),
            "request_id": request.state.request_id,
        }

    @app.post("/probe/sum")
    async def sum_(request: Request) -> str:
        import hashlib

        return hashlib.sha256(await request.body()).hexdigest()

    @app.get("/probe/cookies")
    async def cookies(response: Response) -> None:
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")

    @app.get("/probe/problem")
    async def problem() -> Response:
        return JSONResponse({"title": "no"}, media_type="application/problem+json")

    @app.get("/probe/svg")
    async def svg() -> Response:
        return Response("<svg/>", media_type="image/svg+xml")

    @app.get("/probe/yaml")
    async def yaml() -> Response:
        return Response("a: 1", media_type="application/yaml")

    @app.get("/probe/unchanged", status_code=304)
    async def unchanged() -> None:
        pass

    @app.get("/probe/binary")
    async def binary() -> Response:
        return Response(bytes(range(256)), media_type="application/octet-stream")

    @app.get("/probe/gzip")
    async def gzip_() -> Response:
        import gzip

        return Response(gzip.compress(b'{"a": 1}'), media_type="application/json", headers={"content-encoding": "gzip"})

    @app.get("/probe/latin")
    async def latin() -> Response:
        return PlainTextResponse("x", headers={"x-name": "caf\xe9"})

    @app.delete("/probe/nothing", status_code=204)
    async def nothing() -> None:
        pass

    @app.get("/probe/much")
    async def much() -> str:
        return "x" * 7_000_000

    @app.get("/probe/text/{size}")
    async def text(size: int) -> Response:
        return PlainTextResponse("x" * size)

    @app.get("/probe/image/{size}")
    async def image(size: int) -> Response:
        return Response(bytes(size), media_type="image/png")

    @app.get("/probe/line-break")
    async def line_break() -> Response:
        response = Response()
        response.raw_headers.append((b"x-name", b"a\r\nset-cookie: b=c"))
        return response

    @app.get("/probe/exit")
    async def exit_() -> None:
        raise SystemExit

    @app.get("/probe/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncGenerator[bytes]:
            yield b"half"
            raise RuntimeError("the other half")

        return StreamingResponse(parts())

    @app.get("/probe/crash")
    async def crash() -> None:
        raise RuntimeError("what happened")

    @app.get("/probe/background")
    async def background(tasks: BackgroundTasks) -> str:
        def task() -> None:
            raise RuntimeError("in the background")

        tasks.add_task(task)
        return "done"
