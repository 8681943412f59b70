"""A warm child for Evercrew in Python: one file, nothing but the standard library.

    from evercrew import Worker

    worker = Worker()

    @worker.job("Email")
    def email(job, to, subject):
        job.progress(sent=1, of=2)
        return {"to": to}

    worker.run()

A handler gets the job and its arguments. What it returns is the job's result; what it raises is its failure, unless that is
Discard (never again), RetryAfter (later) or Fatal (failed, and not to be tried again). `print` is safe: it goes to standard
error. Handlers that are coroutines run side by side in one event loop, others one after the other, or in `concurrency` threads.
"""

import asyncio
import inspect
import json
import os
import queue
import sys
import threading
import time
import traceback

PROTOCOL = 1
VERSION = "1.0"
__all__ = ["Cancelled", "Discard", "Fatal", "Job", "RetryAfter", "Worker"]


class Discard(Exception):
    """The job is never to be tried again; nobody has to be told of a failure."""


class Fatal(Exception):
    """The job failed and is not to be tried again."""


class Cancelled(Exception):
    """Raised by Job.check in a job that is wanted no more."""


class RetryAfter(Exception):
    """The job is to be tried again after so many seconds; other jobs are not meant."""

    def __init__(self, seconds, message=""):
        super().__init__(message or f"to be tried again after {seconds} s")
        self.seconds = seconds


class Job:
    """One job, as its handler gets it."""

    def __init__(self, worker, line):
        payload = line.get("payload")
        self._worker = worker
        self.id = line.get("id")
        self.payload = payload
        fields = payload if isinstance(payload, dict) else {}
        self.kind = line.get("kind") or fields.get("jobtype") or ""
        self.args = fields.get("args") if isinstance(fields.get("args"), list) else []
        self.custom = fields.get("custom") or {}
        self.attempt = line.get("attempt", 1)
        self.queue = line.get("queue") or fields.get("queue")
        self.trace = line.get("trace")
        limit = line.get("deadline_ms")
        self._ends = None if limit is None else time.monotonic() + limit / 1000
        self._pushed = []
        self._cancelled = threading.Event()

    @property
    def time_left(self):
        """Seconds until the job counts as hanging, None where that is not known."""
        return None if self._ends is None else self._ends - time.monotonic()

    @property
    def cancelled(self):
        """Whether it is wanted no more."""
        return self._cancelled.is_set()

    def check(self):
        """Ends the handler of a job that is wanted no more."""
        if self.cancelled:
            raise Cancelled("the job was cancelled")

    def progress(self, **values):
        """Tells how far it is."""
        self._worker._say({**values, "id": self.id, "status": "progress"})

    def log(self, message, level="info"):
        """Writes a line to the log, under this job."""
        self._worker._say({"id": self.id, "status": "log", "level": level, "message": str(message)})

    def enqueue(self, kind, *args, **fields):
        """Has another job pushed when this one is done, and only then."""
        self._pushed.append({"jobtype": kind, "args": list(args), **fields})


class Worker:
    """Handlers by kind, and the loop that runs them."""

    def __init__(self):
        self._handlers = {}
        self._lock = threading.Lock()
        self._out = None
        self._held = bytearray()
        self._running = {}
        self._stopping = False

    def job(self, kind):
        """Registers the handler of a kind; `*` is for those that have none."""

        def register(handler):
            self._handlers[kind] = handler
            return handler

        return register

    def stop(self):
        """Takes no more jobs: ends after those that are begun; another child takes this one's place."""
        self._stopping = True

    def run(self, concurrency=1, prefetch=1, heartbeat=None):
        """Serves until the pool has nothing more, then returns.

        With `concurrency` that many jobs run at a time: in one event loop where a handler is a coroutine, else in threads.
        Where they run one after the other `prefetch` many are handed out ahead, which is for short jobs: those that are not
        begun go to another child when this one dies. `heartbeat` is every how many seconds a sign of life is given.
        """
        source = self._connect()
        loops = any(inspect.iscoroutinefunction(handler) for handler in self._handlers.values())
        if heartbeat:
            threading.Thread(target=self._beat, args=(heartbeat,), daemon=True).start()
        one = concurrency == 1 and not loops
        most = prefetch if one else concurrency
        ready = {"ready": True, "protocol": PROTOCOL, "concurrency": most, "started": True, "cancel": not one}
        self._say({**ready, "sdk": f"python {VERSION}"})
        if one:
            self._run_here(source)
        elif loops:
            asyncio.run(self._run_loop(source))
        else:
            self._run_threads(source, concurrency)
        self._flush()

    # The lines, in and out.

    def _connect(self):
        """Takes the channel, and has everything that is printed go to standard error."""
        channel = os.environ.get("EVERCREW_CHANNEL", "stdio")
        if channel == "stdio":
            source, self._out = os.dup(0), os.dup(1)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.close(nothing)
            sys.stdout.flush()
            os.dup2(2, 1)
            sys.stdout.reconfigure(line_buffering=True)
        else:
            source, self._out = (int(number) for number in channel.split(","))
            for number in (source, self._out):
                os.set_inheritable(number, False)
        return source

    def _lines(self, source):
        """Every line, decoded; nothing more after `drain`, the end, or stop."""
        rest = b""
        while not self._stopping:
            self._flush()
            block = os.read(source, 65536)
            if not block:
                return
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                line = json.loads(line)
                if line.get("drain"):
                    return
                yield line

    def _say(self, line, later=False):
        """Writes a line; `later` lets it wait for the next one."""
        try:
            text = json.dumps(line, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            if line.get("status") != "ok":
                raise
            failed = {"id": line["id"], "status": "error", "class": "ResultError", "retryable": False}
            text = json.dumps({**failed, "message": f"the result is no JSON: {error}"})
        with self._lock:
            self._held += text.encode() + b"\n"
            if not later:
                self._write()

    def _flush(self):
        with self._lock:
            self._write()

    def _write(self):
        while self._held:
            written = os.write(self._out, self._held)
            del self._held[:written]

    def _beat(self, seconds):
        stop = threading.Event()
        while not stop.wait(seconds):
            self._say({"status": "heartbeat"})

    # One job.

    def _handler(self, job):
        return self._handlers.get(job.kind) or self._handlers.get("*")

    def _done(self, job, result):
        line = {"id": job.id, "status": "ok"}
        if result is not None:
            line["result"] = result
        if job._pushed:
            line["enqueue"] = job._pushed
        return line

    def _failed(self, job, error):
        line = {"id": job.id, "message": str(error)}
        if isinstance(error, Discard):
            return {**line, "status": "discard"}
        if isinstance(error, RetryAfter):
            return {**line, "status": "throttled", "retry_after_secs": error.seconds}
        if job.cancelled and isinstance(error, (Cancelled, asyncio.CancelledError)):
            return {**line, "status": "cancelled"}
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames if frame.filename != __file__]
        line.update(status="error", backtrace=where[-50:], retryable=not isinstance(error, Fatal))
        line["class"] = type(error).__name__
        return line

    def _unknown(self, job):
        return {"id": job.id, "status": "unknown", "message": f"there is no handler for jobs of kind {job.kind!r}"}

    def _run_job(self, job, later=False):
        handler = self._handler(job)
        if handler is None:
            return self._say(self._unknown(job), later)
        self._say({"id": job.id, "status": "started"})
        try:
            line = self._done(job, handler(job, *job.args))
        except Exception as error:
            line = self._failed(job, error)
        self._say(line, later)

    # The three ways to run.

    def _run_here(self, source):
        for line in self._lines(source):
            if "id" in line:
                self._run_job(Job(self, line), later=True)

    def _run_threads(self, source, concurrency):
        jobs = queue.SimpleQueue()

        def serve():
            while (job := jobs.get()) is not None:
                self._run_job(job)
                self._running.pop(job.id, None)

        threads = [threading.Thread(target=serve) for _ in range(concurrency)]
        for thread in threads:
            thread.start()
        for line in self._lines(source):
            if "cancel" in line:
                if job := self._running.get(line["cancel"]):
                    job._cancelled.set()
            elif "id" in line:
                job = Job(self, line)
                self._running[job.id] = job
                jobs.put(job)
        for _ in threads:
            jobs.put(None)
        for thread in threads:
            thread.join()

    async def _run_loop(self, source):
        loop, lines, tasks = asyncio.get_running_loop(), asyncio.Queue(), {}

        def read():
            for line in self._lines(source):
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

        threading.Thread(target=read, daemon=True).start()
        while (line := await lines.get()) is not None:
            if "cancel" in line:
                if line["cancel"] in tasks:
                    job, task = tasks[line["cancel"]]
                    job._cancelled.set()
                    task.cancel()
            elif "id" in line:
                job = Job(self, line)
                task = loop.create_task(self._run_async(job))
                tasks[job.id] = (job, task)
                task.add_done_callback(lambda task, id=job.id: self._ended(tasks, task, id))
        if tasks:
            await asyncio.wait([task for _, task in tasks.values()])

    def _ended(self, tasks, task, id):
        tasks.pop(id, None)
        if task.cancelled():
            # Before its first step.
            self._say({"id": id, "status": "cancelled", "message": ""})

    async def _run_async(self, job):
        handler = self._handler(job)
        if handler is None:
            return self._say(self._unknown(job))
        self._say({"id": job.id, "status": "started"})
        try:
            if inspect.iscoroutinefunction(handler):
                result = await handler(job, *job.args)
            else:
                result = await asyncio.to_thread(handler, job, *job.args)
            line = self._done(job, result)
        except (Exception, asyncio.CancelledError) as error:
            line = self._failed(job, error)
        self._say(line)
