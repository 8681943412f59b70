"""The smallest ASGI program: /, /pid, /slow?ms=N and /spin. Run by uvicorn on an inherited socket or its own.

With the lifespan on it says READY=1, and beats from its event loop where it is asked to.
"""
import asyncio
import os
import socket
from urllib.parse import parse_qs

beating = None


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text, os.environ["NOTIFY_SOCKET"])


async def beat(interval):
    while True:
        notify(b"WATCHDOG=1")
        await asyncio.sleep(interval)


async def lifespan(receive, send):
    global beating
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup" and "NOTIFY_SOCKET" in os.environ:
            notify(b"READY=1\nSTATUS=serving")
            if "WATCHDOG_USEC" in os.environ:
                beating = asyncio.create_task(beat(int(os.environ["WATCHDOG_USEC"]) / 2e6))
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    status, body = 200, b"hello\n"
    if scope["path"] == "/pid":
        body = b"%d\n" % os.getpid()
    elif scope["path"] == "/slow":
        query = parse_qs(scope["query_string"].decode("latin-1"))
        await asyncio.sleep(min(int(query.get("ms", ["300"])[0]), 60_000) / 1000)
    elif scope["path"] == "/spin":
        while True:
            pass
    elif scope["path"] != "/":
        status, body = 404, b"not found\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
