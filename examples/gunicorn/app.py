"""A minimal WSGI application."""
import os


def app(environ, start_response):
    worker = os.environ.get("EVERCREW_WORKER", "nobody")
    body = f"hello from {worker}, pid {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
