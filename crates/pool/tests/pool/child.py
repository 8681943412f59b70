"""A child of the plain protocol, and of ours where `ready` is among its arguments. What it does with a job says the job."""

import json
import os
import subprocess
import sys
import threading
import time

modes = sys.argv[1:]
lock = threading.Lock()
grown = []


def say(**line):
    with lock:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def spawn_sleeper(name):
    """A grandchild that holds all our pipes."""
    sleeper = subprocess.Popen(["sleep", "600"])
    with open(name, "w") as file:
        file.write(str(sleeper.pid))


def work(job):
    payload = job["payload"]
    do = payload.get("do", "ok")
    named = {} if "nameless" in modes else {"id": job["id"]}
    if "started" in modes:
        say(status="started", **named)
    if "after" in payload:
        time.sleep(payload["after"])
    if do == "ok":
        say(status="ok", result={"slot": os.environ["EVERCREW_SLOT"], "pid": os.getpid(), "job": job}, **named)
    elif do == "error":
        say(status="error", message="no such user", **{"class": "KeyError"}, backtrace=["a.py:1"], retryable=False, **named)
    elif do == "throttled":
        say(status="throttled", retry_after_secs=payload["secs"], **named)
    elif do in ("discard", "unknown"):
        say(status=do, message="because", **named)
    elif do == "extra":
        sys.stdout.write(json.dumps({"status": "ok", **named}) + "\n" + json.dumps({"status": "ok", **named}) + "\n")
        sys.stdout.flush()
    elif do == "stranger":
        say(id="somebody", status="ok")
    elif do == "die":
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    elif do == "die-with-heir":
        spawn_sleeper(payload["file"])
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    elif do == "hang":
        if "file" in payload:
            spawn_sleeper(payload["file"])
        time.sleep(600)
    elif do == "huge":
        block = "x" * (1 << 20)
        for _ in range(payload["mib"]):
            sys.stdout.write(block)
        sys.stdout.flush()
        time.sleep(600)
    elif do == "grow":
        grown.append(bytearray(os.urandom(1)) * (payload["mib"] << 20))
        say(status="ok", **named)
    elif do == "print":
        print("hello from user code", flush=True)
        say(status="ok", **named)
    elif do == "chat":
        for number in range(payload["lines"]):
            print(f"line {number} " + "y" * payload.get("width", 10), file=sys.stderr)
        sys.stderr.flush()
        say(status="ok", **named)


if "crash" in modes:
    sys.exit("cannot load the application")
if "banner" in modes:
    print("Booting the application\n\nready to go", flush=True)
if "flood" in modes:
    sys.stdout.write("z" * 30 + ("\n" + "z" * 30) * 10_000 + "\n")
    sys.stdout.flush()
if "code" in os.environ.get("BREAK", "") and os.path.exists(os.environ["BREAK"]):
    sys.exit("a broken deploy")
if "ready" in modes:
    say(ready=True, protocol=1, concurrency=4, started="started" in modes, cancel="cancels" in modes)
if "foreign" in modes:
    say(ready=True, protocol=7)
if "deaf" in modes:
    time.sleep(600)
threads = []
for text in sys.stdin:
    job = json.loads(text)
    if "drain" in job:
        continue
    if "cancel" in job:
        say(id=job["cancel"], status="cancelled")
    elif "ready" in modes:
        threads.append(threading.Thread(target=work, args=(job,), daemon=True))
        threads[-1].start()
    else:
        work(job)
