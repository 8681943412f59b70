"""A producer or a worker of the Python clients `faktory` and `pyfaktory`.

    faktory_client.py CLIENT push URL KIND QUEUE N RETRY
    faktory_client.py CLIENT work URL QUEUE
    faktory_client.py CLIENT mutate URL COMMAND TARGET
    faktory_client.py CLIENT info URL

A worker prints `ready`, and for each job `ran KIND ARGS`. Jobs of kind `Fails` raise; those of kind `Slow` print `ran`
and take two seconds.
"""

import json
import sys
import time


def say(*words):
    print(*words, flush=True)


def ran(kind):
    def run(*args):
        say("ran", kind, json.dumps(list(args)))
        if kind == "Fails":
            raise ValueError("it fails as it should")
        if kind == "Slow":
            time.sleep(2)

    return run


def done(*args):
    ran("Done")(*args)


def fails(*args):
    ran("Fails")(*args)


def slow(*args):
    ran("Slow")(*args)


KINDS = {"Done": done, "Fails": fails, "Slow": slow}


def push_faktory(url, kind, queue, count, retry):
    import faktory

    with faktory.connection(url) as client:
        for number in range(count):
            assert client.queue(kind, args=(number, 2**63), queue=queue, retry=retry, backtrace=2)


def push_pyfaktory(url, kind, queue, count, retry):
    from pyfaktory import Client, Job, Producer

    with Client(faktory_url=url, role="producer") as client:
        producer = Producer(client)
        jobs = [Job(jobtype=kind, args=[number, 2**63], queue=queue, retry=retry) for number in range(count)]
        half = len(jobs) // 2
        for job in jobs[:half]:
            assert producer.push(job)
        assert producer.push_bulk(jobs[half:]) == {}


def work_faktory(url, queue):
    from faktory import Worker

    worker = Worker(faktory=url, queues=[queue], concurrency=1, use_threads=True)
    worker.send_heartbeat_every = 1
    for kind, run in KINDS.items():
        worker.register(kind, run)
    say("ready")
    worker.run()


def work_pyfaktory(url, queue):
    from pyfaktory import Client, Consumer

    with Client(faktory_url=url, role="consumer", beat_period=5) as client:
        client.beat_period = 1
        consumer = Consumer(client=client, queues=[queue], concurrency=1, grace_period=10)
        for kind, run in KINDS.items():
            consumer.register(kind, run)
        say("ready")
        consumer.run()


def ask_faktory(url, command, data=None):
    """`faktory` has no call for these: they go over its connection."""
    import faktory

    with faktory.connection(url) as client:
        client.faktory.reply(command, data)
        return next(client.faktory.get_message())


def mutate_faktory(url, command, target):
    assert ask_faktory(url, "MUTATE", {"cmd": command, "target": target}) == "OK"


def mutate_pyfaktory(url, command, target):
    from pyfaktory import Client, MutateOperation

    with Client(faktory_url=url, role="producer") as client:
        assert client.mutate(MutateOperation(cmd=command, target=target, filter=None))


def info_faktory(url):
    say(ask_faktory(url, "INFO"))


def info_pyfaktory(url):
    from pyfaktory import Client

    with Client(faktory_url=url, role="producer") as client:
        say(json.dumps(client.info()))


def main():
    client, action, url, *rest = sys.argv[1:]
    if action == "push":
        kind, queue, count, retry = rest
        {"faktory": push_faktory, "pyfaktory": push_pyfaktory}[client](url, kind, queue, int(count), int(retry))
    elif action == "work":
        {"faktory": work_faktory, "pyfaktory": work_pyfaktory}[client](url, *rest)
    elif action == "mutate":
        {"faktory": mutate_faktory, "pyfaktory": mutate_pyfaktory}[client](url, *rest)
    else:
        {"faktory": info_faktory, "pyfaktory": info_pyfaktory}[client](url)
    say("end")


if __name__ == "__main__":
    main()
