"""contrib.celery: a real prefork worker with a Redis broker, real calls, real signals."""

from __future__ import annotations

import importlib
import os
import signal
from contextlib import contextmanager

import pytest
import redis
from celery import Celery

from llm_fleet.contrib.celery import install
from llm_fleet.errors import ConfigError, QueueTimeout
from tests.managers import config_text, entry, manager_of, provider
from tests.waiting import eventually
from tests.workers import running


@pytest.fixture
def start(simulator, redis_url, namespace, tmp_path, monkeypatch):
    """Starts a provider and a worker over it: `start(limits, options={…})` gives jobs, worker, provider."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    @contextmanager
    def start(limits, *, app="tests.celery_jobs", options=None, **env):
        sim = simulator(provider(limits=limits, **(options or {})))
        config = tmp_path / "llm.yaml"
        config.write_text(config_text(redis_url, namespace, p=entry(sim.url, kind="openai", limits=limits)))
        command = f"celery -A {app} worker -P prefork -c 2 -l INFO"
        quiet = "--without-gossip --without-mingle --without-heartbeat"
        variables = {"LLM_CONFIG_PATH": str(config), **env}
        with running([*command.split(), *quiet.split()], variables, tmp_path / "worker.log") as worker:
            jobs = importlib.import_module(app)
            worker.wait_for(" ready.")
            yield jobs, worker, sim

    return start


def noted(redis_url, name):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        return client.lrange(f"noted:{name}", 0, -1)


def books(sim):
    return sim.books()["accounts"]["account-0"]


async def test_sync_tasks_and_a_loop_per_task_stay_inside_the_limits(start):
    """The example, two processes, both kinds of task: all succeed, and the provider refused nothing."""
    limits = {"requests_per_minute": 1200, "burst_seconds": 1, "max_concurrent_requests": 4}
    with start(limits, app="examples.celery_app") as (jobs, _worker, sim):
        asked = [jobs.ask.delay("Hello?") for _ in range(12)]
        asked += [jobs.ask_all.delay(["Hello?", "And you?"]) for _ in range(6)]
        answers = [result.get(timeout=20) for result in asked]
    assert len(" ".join([*answers[:12], *map(" ".join, answers[12:])]).split()) == 24 * 20
    assert (books(sim)["accepted"], books(sim)["rejected"]) == (24, 0)
    assert books(sim)["peak_concurrency"] <= 4


async def test_a_long_wait_puts_the_task_back_and_frees_the_worker(start, redis_url):
    """One slot, held by a long call: who waits longer than allowed goes back, and comes again."""
    limits, slow_once = {"max_concurrent_requests": 1}, {"kind": "latency", "seconds": 2.5, "times": 1}
    with start(limits, options={"faults": [slow_once]}, RETRY_AFTER_S="0.3") as (jobs, worker, sim):
        first = jobs.ask.delay()
        assert eventually(lambda: books(sim)["in_flight"] == 1, within_s=10)
        waiting = [jobs.ask.delay(max_tokens=5), jobs.ask_in_a_loop.delay(1)]
        worker.wait_for("llm_fleet.task.put_back", times=2)
        assert jobs.ping.delay().get(timeout=5) == "pong"
        assert not first.ready()
        answers = [result.get(timeout=20) for result in [first, *waiting]]
    assert [answer["words"] for answer in answers] == [20, 5, 20]
    assert answers[1]["retries"] == 0
    assert noted(redis_url, "runs").count(waiting[0].id) > 1
    assert books(sim)["rejected"] == 0


async def test_sigterm_lets_tasks_end_and_leaves_the_fleet(start, redis_url, namespace):
    """Two calls are in flight: they end, their usage is settled, no process and no lease is left."""
    with start({"requests_per_minute": 600}, options={"latency_s": 1.5}) as (jobs, worker, sim):
        asked = [jobs.ask.delay() for _ in range(2)]
        assert eventually(lambda: books(sim)["in_flight"] == 2, within_s=10)
        assert worker.terminate() == 0
        assert [result.get(timeout=5)["words"] for result in asked] == [20, 20]
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind="openai")) as manager:
        status = (await manager.fleet_status())["p"]
    assert (status["leases"], status["processes"]) == (0, {})


async def test_sigterm_to_a_child_gives_back_what_it_held(start, redis_url, namespace):
    """As when a whole control group is told to end: its call is cancelled, not left to the TTL."""
    with start({"max_concurrent_requests": 1}, options={"latency_s": 60}) as (jobs, _worker, sim):
        jobs.ask.delay()
        assert eventually(lambda: books(sim)["in_flight"] == 1, within_s=10)
        os.kill(int(noted(redis_url, "pids")[0]), signal.SIGTERM)
        assert eventually(lambda: books(sim)["in_flight"] == 0, within_s=5)
        async with (
            manager_of(redis_url, namespace, p=entry(sim.url, kind="openai")) as manager,
            manager.get_client().lease(input_tokens=1, timeout=5) as lease,
        ):
            assert lease.queued_s < 5


def test_installing_too_late_is_refused(redis_url, monkeypatch):
    """Tasks that exist already would not be patient: it says what to do."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    from tests import celery_jobs

    assert celery_jobs.ping() == "pong"
    with pytest.raises(ConfigError, match="right after app = Celery"):
        install(celery_jobs.app)


@pytest.fixture
def failing():
    """A task of an app without worker that raises what it is given, one error a time."""
    app = Celery("eager", broker="memory://")
    install(app, retry_after_s=5)
    errors = []

    @app.task(shared=False)  # else each further app of the process gets it too
    def work():
        if errors:
            raise errors.pop(0)
        return "done"

    return work, errors


@pytest.mark.parametrize(
    "error",
    [
        QueueTimeout("full", retry_after=1),
        ExceptionGroup("tasks", [QueueTimeout("full"), ExceptionGroup("more", [QueueTimeout("full")])]),
    ],
)
def test_only_waits_for_the_limits_are_put_back(failing, error):
    """Alone or in a group of nothing else; a task that is called directly gets the error itself."""
    work, errors = failing
    errors += [error, error]
    assert work.apply().get() == "done"
    errors.append(error)
    with pytest.raises(type(error)):
        work()


def test_a_group_with_another_error_fails_the_task(failing):
    """What is no wait is not hidden behind one."""
    work, errors = failing
    errors.append(ExceptionGroup("tasks", [QueueTimeout("full"), ZeroDivisionError()]))
    with pytest.raises(ExceptionGroup):
        work.apply().get()
