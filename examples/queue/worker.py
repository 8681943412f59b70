"""Fetches jobs by PyPI's `faktory`; where the server is stands in FAKTORY_URL."""

from faktory import Worker


def greet(name):
    print(f"Hello, {name}!", flush=True)


worker = Worker(queues=["default"], concurrency=1, use_threads=True)
worker.register("Greet", greet)
worker.run()
