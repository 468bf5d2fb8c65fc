"""llm_fleet in Celery workers: tasks go back to the broker instead of blocking, and exits are clean.

    app = Celery("jobs", broker=…)
    install(app, retry_after_s=30)

    @app.task
    def summarise(text):
        client = llm_fleet.sync.get_llm_manager().get_client()
        return client.complete([Message(MessageRole.USER, text)]).content

- A task calls through `llm_fleet.sync`, or `asyncio.run(…)` with the async names; one manager serves
  every task of a worker process. Pools `prefork`, `threads` and `solo` work; gevent and eventlet do not.
  The first call of a process imports the vendor's SDK (a second of CPU): import it in the app's module,
  and forked workers share it.
- A call waits for the limits `retry_after_s` seconds at most. A longer wait puts the task back with a
  countdown: the worker is free for other tasks, the task begins anew, and has lost its place in the
  queue. Its number of retries does not grow. Keep what must not happen twice out of such tasks.
- `visibility_timeout` (brokers like Redis: one hour by default): a message that is not acknowledged by
  then is delivered to a second worker. A task that is put back counts from its delivery, countdown and
  all, and with `acks_late` so does a running one. Countdowns here end after `LONGEST_S`; keep
  `visibility_timeout` above that, and above what a task may take with all its waits.
- SIGTERM to the worker lets running tasks end, then settles and leaves the fleet. SIGTERM to a child
  process, and a soft time limit, cancel its call and give back what it held. SIGKILL and hard time
  limits leave that to the lease's TTL (15 s).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, signals
from celery.exceptions import Retry
from celery.utils.imports import symbol_by_name

from ..client import wait_at_most
from ..errors import ConfigError, LimitError, QueueFull, QueueTimeout
from ..sync import close_all

__all__ = ["install", "retry_instead_of_waiting"]

log = logging.getLogger(__name__)

LONGEST_S = 600.0
SHORTEST_S = 1.0
SPREAD = 0.2
"""Tasks that were put back together come again within this part of their countdown, not all at once."""


def install(app: Celery, *, retry_after_s: float = 30.0) -> None:
    """Make every task of an app wait for limits `retry_after_s` seconds at most; close when workers end.

    Called once, right after `Celery(…)`. A task with a base class of its own, that is not derived from
    `app.Task`, uses `retry_instead_of_waiting` itself.

    Raises:
        ConfigError: tasks of this app exist already, or the time is none.
    """
    if "Task" in vars(app):
        raise ConfigError(
            f"Celery app {app.main!r} has tasks already: call install(app) right after app = Celery(…)"
        )
    if not retry_after_s > 0:
        raise ConfigError(f"retry_after_s {retry_after_s!r} must be a number of seconds above 0")
    usual = symbol_by_name(app.task_cls)

    def call(task: Any, *args: Any, **kwargs: Any) -> Any:
        with retry_instead_of_waiting(task, retry_after_s=retry_after_s):
            return usual.__call__(task, *args, **kwargs)

    app.task_cls = type("PatientTask", (usual,), {"__call__": call, "abstract": True})
    signals.worker_process_shutdown.connect(_close, weak=False, dispatch_uid=__name__)
    signals.worker_shutdown.connect(_close, weak=False, dispatch_uid=__name__)


@contextmanager
def retry_instead_of_waiting(task: Any, *, retry_after_s: float) -> Iterator[None]:
    """Inside, a wait for the limits longer than `retry_after_s` seconds puts the task back to the broker.

    A task that was called directly, not by a worker, gets the QueueTimeout itself.
    """
    with wait_at_most(retry_after_s):
        try:
            yield
        except (QueueTimeout, QueueFull, ExceptionGroup) as error:
            limit = _limit(error)
            if limit is None or task.request.called_directly:
                raise
            wait_s = retry_after_s if limit.retry_after is None else limit.retry_after
            raise _put_back(task, limit, _countdown(wait_s, random.random())) from error


def _limit(error: Exception) -> LimitError | None:
    """The refusal that all is about; None for a group with other errors in it."""
    if isinstance(error, ExceptionGroup):
        limits = [_limit(one) for one in error.exceptions]
        known = [limit for limit in limits if limit is not None]
        return max(known, key=lambda limit: limit.retry_after or 0) if len(known) == len(limits) else None
    return error if isinstance(error, QueueTimeout | QueueFull) else None


def _countdown(wait_s: float, chance: float) -> float:
    return min(LONGEST_S, max(SHORTEST_S, wait_s) * (1 + SPREAD * chance))


def _put_back(task: Any, error: LimitError, countdown: float) -> Retry:
    """Send the task again, as `task.retry` does, but without counting: a wait is no failure."""
    request = task.request
    log.info("llm_fleet.task.put_back: %s[%s] for %.1f s: %s", task.name, request.id, countdown, error)
    signature = task.signature_from_request(request, countdown=countdown, retries=request.retries)
    if not request.is_eager:
        signature.apply_async()
    return Retry(exc=error, when=countdown, is_eager=request.is_eager, sig=signature)


def _close(**_: Any) -> None:
    close_all()
