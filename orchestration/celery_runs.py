"""Dagster's runs as Celery tasks. Processes that launch runs and the worker use the same Celery app, which is defined here.

The worker is Celery's own: `celery --app orchestration.celery_runs worker`. It needs the same environment as Dagster's other
processes: `DAGSTER_HOME`, the database of Dagster, and casebridge's own settings and secrets.
"""

import os
from datetime import timedelta
from typing import Final

from celery import Celery
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

BROKER: Final = "CASEBRIDGE_CELERY_BROKER"
BACKEND: Final = "CASEBRIDGE_CELERY_BACKEND"
QUEUE: Final = "dagster"
VISIBILITY_TIMEOUT: Final = timedelta(hours=3)
"""After this time, Redis gives a task that a worker has taken to another worker. So it must be longer than a run may take
(`run_monitoring` in `dagster.yaml`)."""


def celery_run_launcher(inst_data: ConfigurableClassData | None = None) -> CeleryRunLauncher:
    """The launcher that hands runs to Celery. Raises `ValueError` if the broker or the result back end is not set."""
    return CeleryRunLauncher(
        default_queue=QUEUE,
        broker=_address(BROKER),
        # Dagster asks the back end whether a run's worker is alive. RabbitMQ's `rpc://` answers only the sender of the task.
        backend=_address(BACKEND),
        # loaded once by the worker, and not by each of its processes at its first run
        include=["orchestration.definitions"],
        config_source={"broker_transport_options": {"visibility_timeout": int(VISIBILITY_TIMEOUT.total_seconds())}},
        inst_data=inst_data,
    )


def _address(variable: str) -> str:
    address = os.environ.get(variable)
    if not address:
        raise ValueError(f"{variable} is not set: runs by Celery need the address of a broker and of a result back end")
    return address


def __getattr__(name: str) -> Celery:
    """Make `app`, the attribute that Celery's command reads. It is made only then, so that importing this needs no broker."""
    if name != "app":
        raise AttributeError(name)
    app = celery_run_launcher().celery
    create_execute_job_task(app)
    create_resume_job_task(app)
    return app
