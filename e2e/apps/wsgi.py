"""The smallest WSGI program: /, /pid and /slow?ms=N. Run by gunicorn on an inherited socket."""
import os
import time
from urllib.parse import parse_qs


def app(environ, start_response):
    status, body = "200 OK", b"hello\n"
    path = environ["PATH_INFO"]
    if path == "/pid":
        body = b"%d\n" % os.getpid()
    elif path == "/slow":
        query = parse_qs(environ.get("QUERY_STRING", ""))
        time.sleep(min(int(query.get("ms", ["300"])[0]), 60_000) / 1000)
    elif path != "/":
        status, body = "404 Not Found", b"not found\n"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
