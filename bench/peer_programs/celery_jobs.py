"""Celery: Redis, one worker process (pool solo), results not kept."""

import celery

from bench.peer_programs import job_counter

action, count, url = job_counter.order()
app = celery.Celery("bench", broker=url)
app.conf.update(task_ignore_result=True, worker_redirect_stdouts=False, worker_hijack_root_logger=False)


@app.task(name="no_op")
def no_op() -> None:
    job_counter.job_done()


def enqueue() -> None:
    for _ in range(count):
        no_op.delay()


def main() -> None:
    if action == "enqueue":
        with app.connection_for_write() as connection:
            connection.ensure_connection()
        job_counter.timed(enqueue)
        return
    job_counter.end_after_the_last_job()
    app.Worker(pool="solo", concurrency=1, loglevel="ERROR", without_gossip=True, without_mingle=True).start()


main()
