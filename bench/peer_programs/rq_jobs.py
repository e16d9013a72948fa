"""RQ: Redis, jobs enqueued in batches of 100, its fastest worker (it does not fork for each job), results not kept."""

import redis
import rq

from bench.peer_programs import job_counter

BATCH = 100
JOB = "bench.peer_programs.job_counter.job_done"

action, count, url = job_counter.order()
connection = redis.Redis.from_url(url)
queue = rq.Queue("bench", connection=connection)


def enqueue() -> None:
    for start in range(0, count, BATCH):
        jobs = [rq.Queue.prepare_data(JOB, result_ttl=0) for _ in range(min(BATCH, count - start))]
        queue.enqueue_many(jobs)


def main() -> None:
    if action == "enqueue":
        connection.ping()
        job_counter.timed(enqueue)
    else:
        rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="ERROR")


main()
