"""dramatiq: Redis, one worker process of eight threads (its default)."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peer_programs import job_counter

THREADS = 8

action, count, url = job_counter.order()
broker = RedisBroker(url=url)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench")
def no_op() -> None:
    job_counter.job_done()


def enqueue() -> None:
    for _ in range(count):
        no_op.send()


def main() -> None:
    if action == "enqueue":
        broker.client.ping()
        job_counter.timed(enqueue)
        return
    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    worker.start()
    job_counter.wait()
    worker.stop()


main()
