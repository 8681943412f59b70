"""Tests of the SDK against the lines themselves: `python3 -m unittest discover -s sdk/python`."""

import json
import os
import subprocess
import sys
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Child:
    """A worker in a process of its own."""

    def __init__(self, source, channel="stdio"):
        env = {**os.environ, "PYTHONPATH": HERE, "EVERCREW_CHANNEL": channel}
        script = textwrap.dedent(source)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if channel == "3,4":
            # The shell puts the channel where it belongs.
            command = ["sh", "-c", 'exec 3<&0 4>&1 </dev/null >&2; exec "$@"', "sh", sys.executable, "-c", script]
        else:
            command = [sys.executable, "-c", script]
        self.process = subprocess.Popen(command, env=env, **pipes)
        self.ready = self.read()

    def write(self, **line):
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def job(self, id, kind, *args, **more):
        self.write(id=id, payload={"jid": id, "jobtype": kind, "args": list(args)}, kind=kind, **more)

    def read(self):
        return json.loads(self.process.stdout.readline())

    def answer(self):
        """The next line that ends a job."""
        while (line := self.read())["status"] in ("started", "progress", "log", "heartbeat"):
            pass
        return line

    def end(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), err.decode()


HEAD = """
from evercrew import Cancelled, Discard, Fatal, RetryAfter, Worker
worker = Worker()
"""


class Protocol(unittest.TestCase):
    def child(self, body, run="worker.run()", **more):
        child = Child(HEAD + textwrap.dedent(body) + run, **more)
        self.addCleanup(child.process.kill)
        return child

    def test_it_introduces_itself(self):
        child = self.child("", "worker.run(concurrency=3)")
        expected = {"ready": True, "protocol": 1, "concurrency": 3, "started": True, "cancel": True}
        self.assertEqual({key: child.ready[key] for key in expected}, expected)
        self.assertEqual(child.end()[0], 0)

    def test_arguments_go_in_and_the_result_comes_out(self):
        child = self.child("""
            @worker.job("Add")
            def add(job, a, b):
                job.progress(done=1)
                job.enqueue("Next", a, queue="low")
                return {"sum": a + b, "attempt": job.attempt, "left": job.time_left > 5}
            """)
        child.job("j1", "Add", 2, 3, attempt=4, deadline_ms=60000)
        self.assertEqual(child.read(), {"id": "j1", "status": "started"})
        self.assertEqual(child.read(), {"id": "j1", "status": "progress", "done": 1})
        self.assertEqual(child.read(), {
            "id": "j1", "status": "ok", "result": {"sum": 5, "attempt": 4, "left": True},
            "enqueue": [{"jobtype": "Next", "args": [2], "queue": "low"}],
        })

    def test_what_is_raised_is_told(self):
        child = self.child("""
            @worker.job("*")
            def fail(job):
                raise {"Key": KeyError("k"), "Discard": Discard("no use"), "Later": RetryAfter(2.5), "Fatal": Fatal("no")}[job.kind]
            """)
        child.job("a", "Key")
        answer = child.answer()
        self.assertEqual((answer["status"], answer["class"], answer["retryable"]), ("error", "KeyError", True))
        self.assertIn("in fail", answer["backtrace"][-1])
        for kind, status in [("Discard", "discard"), ("Later", "throttled"), ("Fatal", "error")]:
            child.job(kind, kind)
            answer = child.answer()
            self.assertEqual((answer["id"], answer["status"]), (kind, status))
        self.assertFalse(answer["retryable"])

    def test_a_kind_without_a_handler_is_unknown_and_not_begun(self):
        child = self.child("")
        child.job("j1", "Nothing")
        self.assertEqual(child.read()["status"], "unknown")

    def test_a_result_that_is_no_json_fails_its_job_alone(self):
        child = self.child("""
            @worker.job("*")
            def bad(job, good):
                return 1 if good else object()
            """)
        child.job("j1", "X", False)
        self.assertEqual(child.answer()["class"], "ResultError")
        child.job("j2", "X", True)
        self.assertEqual(child.answer()["result"], 1)

    def test_what_is_printed_goes_to_standard_error(self):
        for channel in ["stdio", "3,4"]:
            child = self.child("""
                import os
                if os.environ["EVERCREW_CHANNEL"] != "stdio":
                    print("at boot")
                @worker.job("*")
                def talk(job):
                    print("hello")
                    os.system("echo from a program")
                """, channel=channel)
            child.job("j1", "X")
            self.assertEqual(child.answer(), {"id": "j1", "status": "ok"})
            code, out, err = child.end()
            self.assertEqual((code, out), (0, ""))
            self.assertIn("hello", err)
            self.assertIn("from a program", err)

    def test_threads_run_side_by_side_and_can_be_cancelled(self):
        child = self.child("""
            import threading
            met = threading.Barrier(2)
            @worker.job("Meet")
            def meet(job):
                met.wait(60)
            @worker.job("Wait")
            def wait(job):
                while True:
                    job.check()
            """, "worker.run(concurrency=2)")
        child.job("a", "Meet")
        child.job("b", "Meet")
        self.assertEqual({child.answer()["id"], child.answer()["id"]}, {"a", "b"})
        child.job("c", "Wait")
        child.write(cancel="c")
        self.assertEqual(child.answer()["status"], "cancelled")

    def test_coroutines_run_side_by_side_and_can_be_cancelled(self):
        child = self.child("""
            import asyncio
            met = asyncio.Event()
            @worker.job("Set")
            async def set(job):
                met.set()
            @worker.job("Wait")
            async def wait(job):
                await met.wait()
                return "met"
            @worker.job("Ever")
            async def ever(job):
                await asyncio.Event().wait()
            @worker.job("Plain")
            def plain(job):
                return "plain"
            """, "worker.run(concurrency=8)")
        child.job("a", "Wait")
        child.job("b", "Set")
        self.assertEqual({child.answer()["id"], child.answer()["id"]}, {"a", "b"})
        child.job("c", "Ever")
        child.write(cancel="c")
        self.assertEqual(child.answer()["status"], "cancelled")
        child.job("d", "Plain")
        self.assertEqual(child.answer()["result"], "plain")

    def test_drain_and_the_end_finish_what_is_begun(self):
        for last in ["drain", "end"]:
            child = self.child("""
                import time
                @worker.job("*")
                def slow(job):
                    time.sleep(0.5)
                    return "whole"
                """, "worker.run(concurrency=2)")
            child.job("a", "X")
            if last == "drain":
                child.write(drain=True)
                self.assertEqual(child.answer()["result"], "whole")
                self.assertEqual(child.process.wait(60), 0)
            else:
                code, out, _ = child.end()
                self.assertIn('"result":"whole"', out)

    def test_signs_of_life_are_given(self):
        child = self.child("", "worker.run(heartbeat=0.01)")
        self.assertEqual(child.read(), {"status": "heartbeat"})


if __name__ == "__main__":
    unittest.main()
