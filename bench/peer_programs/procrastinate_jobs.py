"""procrastinate: PostgreSQL, jobs deferred in batches of 100, ten processed at a time (the fastest setting that was measured)."""

import asyncio
import time

import procrastinate

from bench.peer_programs import job_counter

BATCH = 100
CONCURRENCY = 10

action, count, url = job_counter.order()
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))


@app.task(name="no_op")
async def no_op() -> None:
    job_counter.job_done()


async def prepare() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def enqueue() -> None:
    async with app.open_async():
        began = time.perf_counter()
        for start in range(0, count, BATCH):
            await no_op.batch_defer_async(*({} for _ in range(min(BATCH, count - start))))
        job_counter.report(time.perf_counter() - began)


async def work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, wait=False, install_signal_handlers=False)


async def main() -> None:
    await {"prepare": prepare, "enqueue": enqueue, "work": work}[action]()


asyncio.run(main())
