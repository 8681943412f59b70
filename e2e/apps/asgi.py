"""The smallest ASGI program: /, /pid and /slow?ms=N. Run by uvicorn on an inherited socket."""
import asyncio
import os
from urllib.parse import parse_qs


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    status, body = 200, b"hello\n"
    if scope["path"] == "/pid":
        body = b"%d\n" % os.getpid()
    elif scope["path"] == "/slow":
        query = parse_qs(scope["query_string"].decode("latin-1"))
        await asyncio.sleep(min(int(query.get("ms", ["300"])[0]), 60_000) / 1000)
    elif scope["path"] != "/":
        status, body = 404, b"not found\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
