"""Pushes a job: FAKTORY_URL=tcp://127.0.0.1:7419 venv/bin/python push.py world"""

import sys

import faktory

with faktory.connection() as client:
    client.queue("Greet", args=(sys.argv[1],))
