"""huey: Redis, one worker thread (its default), results not kept."""

import logging

from huey import RedisHuey

from bench.peer_programs import job_counter

logging.getLogger("huey").setLevel(logging.ERROR)
action, count, url = job_counter.order()
huey = RedisHuey("bench", url=url, results=False)


@huey.task()
def no_op() -> None:
    job_counter.job_done()


def enqueue() -> None:
    for _ in range(count):
        no_op()


def main() -> None:
    if action == "enqueue":
        huey.pending_count()
        job_counter.timed(enqueue)
        return
    job_counter.end_after_the_last_job()
    huey.create_consumer(workers=1, periodic=False).run()


main()
