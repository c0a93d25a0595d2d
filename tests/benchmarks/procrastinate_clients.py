"""Clients of procrastinate, run by the peers' own Python: prints jobs a second.

Arguments: libpq's connection string, number of clients, number of jobs.
"""

import asyncio
import logging
import multiprocessing
import sys
import time

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job, Status

LOT = 500  # jobs deferred at once
logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it warns of apps in the main module, at each start


def _app(dsn: str) -> App:
    return App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=1))


async def _fill(dsn: str, jobs: int) -> None:
    async with _app(dsn).open_async() as app:
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        job = Job(id=None, queue="bench", lock=None, queueing_lock=None, task_name="nothing", task_kwargs={})
        for _ in range(0, jobs, LOT):
            await app.job_manager.batch_defer_jobs_async([job] * LOT)


async def _work(dsn: str, barrier, count) -> None:
    async with _app(dsn).open_async() as app:
        worker = await app.job_manager.register_worker()
        barrier.wait()
        while job := await app.job_manager.fetch_job(queues=None, worker_id=worker):
            await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
            with count.get_lock():
                count.value += 1


def _client(dsn: str, barrier, count) -> None:
    asyncio.run(_work(dsn, barrier, count))


def main(dsn: str, clients: int, jobs: int) -> None:
    """Defer jobs, then let clients fetch and finish them."""
    asyncio.run(_fill(dsn, jobs))
    barrier, count = multiprocessing.Barrier(clients + 1), multiprocessing.Value("i")
    processes = [multiprocessing.Process(target=_client, args=(dsn, barrier, count)) for _ in range(clients)]
    for process in processes:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    for process in processes:
        process.join()
    print(count.value / (time.perf_counter() - begin))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
