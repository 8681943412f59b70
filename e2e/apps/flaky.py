"""A WSGI program whose first import fails, as one whose database is not there yet. FLAKY names a file to remember that."""
import os

from wsgi import app as app

if not os.path.exists(os.environ["FLAKY"]):
    open(os.environ["FLAKY"], "w").close()
    raise ConnectionError("the first import always fails")
