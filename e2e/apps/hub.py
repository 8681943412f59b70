"""Answers questions on its command pipe, in every way in which a worker may."""
import json, os, signal, socket

pipe = socket.socket(fileno=int(os.environ["EVERCREW_COMMAND_FD"]))
lines = pipe.makefile("rb")
name = os.environ["EVERCREW_WORKER"]
count, level = 0, os.environ.get("EVERCREW_LOG", "info")


def say(**line):
    pipe.sendall(json.dumps(line).encode() + b"\n")


def answer(question, status, **more):
    say(id=question["id"], status=status, **more)


def me(args):
    """Whether it is this worker that is to do it: all are, without a name."""
    return not isinstance(args, dict) or args.get("who", name) == name


def serve(question):
    global count, level
    verb, args = question["verb"], question.get("args")
    if not me(args):
        return answer(question, "ok", content={"who": name})
    if verb == "echo":
        answer(question, "ok", content={"who": name, "args": args})
    elif verb == "fail":
        answer(question, "failure", message="it cannot", content={"n": 1})
    elif verb == "hang":
        pass
    elif verb == "heard":
        say(event="heard")
    elif verb == "die":
        os._exit(9)
    elif verb == "last":
        answer(question, "ok", content="bye")
        os._exit(0)
    elif verb == "close":
        os.dup2(os.open("/dev/null", os.O_RDWR), pipe.fileno())
        signal.pause()
    elif verb == "progress":
        for n in range(3):
            answer(question, "processing", content={"n": n})
        answer(question, "ok", message="done")
    elif verb == "twice":
        answer(question, "ok", content=1)
        answer(question, "ok", content=2)
    elif verb == "foreign":
        for other in range(1, 50):
            say(id=str(int(question["id"]) + other), status="ok", content="forged")
    elif verb == "big":
        answer(question, "ok", content="x" * 100_000)
    elif verb == "event":
        for n in range((args or {}).get("times", 1)):
            say(event="cache-cold", message="all gone", content={"n": n})
        answer(question, "ok")
    elif verb == "count":
        count += args["by"]
        say(metrics=[
            {"name": "jobs_total", "help": "Jobs that were done", "kind": "counter", "value": count},
            {"name": "queue_length", "kind": "gauge", "value": count, "merge": "max"},
            {"name": "job_seconds", "kind": "histogram", "buckets": [[0.1, count], [1, count]], "sum": count / 20, "count": count},
            {"name": "evercrew_forged", "kind": "gauge", "value": 1},
        ])
        answer(question, "ok")
    elif verb == "ask":
        say(id="q", verb="status", args={"names": ["s"]})
        reply = json.loads(lines.readline())
        answer(question, "ok", content={"ready": reply["content"]["services"][0]["ready"], "id": reply["id"]})
    elif verb == "log-level":
        level = (args or {}).get("level", level)
        answer(question, "ok", content={"level": level})
    elif verb == "flood":
        answer(question, "ok")
        while True:
            say(status="ok", message="again and again")
    else:
        answer(question, "failure", message=f"unknown verb {verb}")


print("ready", flush=True)
for line in lines:
    if line.startswith(b"{"):
        serve(json.loads(line))
