"""A minimal ASGI application."""
import os


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    worker = os.environ.get("EVERCREW_WORKER", "nobody")
    body = f"hello from {worker}, pid {os.getpid()}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
