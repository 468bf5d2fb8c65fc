"""A real gunicorn with two workers, over the examples: threads through sync, and event loops."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.managers import config_text, entry, manager_of, provider
from tests.waiting import eventually
from tests.workers import Worker, free_port, running

LIMITS = {"requests_per_minute": 600, "burst_seconds": 1, "max_concurrent_requests": 4}
START_S = 20  # until the first worker of a busy machine answers


@dataclass(frozen=True, slots=True)
class Site:
    """A server under test."""

    url: str
    worker: Worker

    def get(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, body, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ask_many(self, count: int, path: str = "/") -> list[tuple[int, str]]:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: self.get(path, b"Hello?"), range(count)))


@pytest.fixture
def serve(tmp_path, namespace):
    """Starts gunicorn: `serve(sim, redis_url, options)` gives a Site once a worker answers."""

    @contextmanager
    def serve(sim_url: str, redis_url: str, options: str) -> Iterator[Site]:
        config, port = tmp_path / "llm.yaml", free_port()
        config.write_text(config_text(redis_url, namespace, p=entry(sim_url, kind="openai", limits=LIMITS)))
        command = f"gunicorn -w 2 -b 127.0.0.1:{port} {options}"
        env = {"LLM_CONFIG_PATH": str(config)}
        with running(command.split(), env, tmp_path / "gunicorn.log") as worker:
            worker.wait_for("Booting worker", times=2)
            site = Site(f"http://127.0.0.1:{port}", worker)
            yield site

    return serve


def books(sim) -> dict:
    return sim.books()["accounts"]["account-0"]


def workers_seen(sim) -> int:
    """How many processes called: a ticket begins with the id of its process."""
    return len({row["ticket"].partition("-")[0] for row in sim.books()["requests"]})


async def everything_is_given_back(redis_url, namespace, sim) -> None:
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind="openai")) as manager:
        status = (await manager.fleet_status())["p"]
    assert (status["leases"], status["processes"]) == (0, {})


async def test_threads_of_two_workers_stay_inside_the_limits(serve, simulator, redis_url, namespace):
    """gthread and --preload, with a manager that was used before the fork: no call fails, no 429."""
    sim = simulator(provider(limits=LIMITS))
    with serve(sim.url, redis_url, "-k gthread --threads 8 --preload tests.preloaded:application") as site:
        answers = site.ask_many(24)
        assert [(status, len(text.split())) for status, text in answers] == [(200, 20)] * 24
        assert site.worker.terminate() == 0
    assert (books(sim)["accepted"], books(sim)["rejected"]) == (25, 0)
    assert books(sim)["peak_concurrency"] <= 4
    assert workers_seen(sim) >= 2
    await everything_is_given_back(redis_url, namespace, sim)


@pytest.mark.parametrize("worker", ["asgi", "uvicorn.workers.UvicornWorker"])
async def test_event_loops_of_two_workers_stay_inside_the_limits(
    serve, simulator, redis_url, namespace, worker
):
    """gunicorn's own ASGI worker and uvicorn's: answers and streams, no call fails, no 429."""
    sim = simulator(provider(limits=LIMITS))
    with serve(sim.url, redis_url, f"-k {worker} examples.asgi_app:app") as site:
        assert eventually(lambda: site.get("/health/ready")[0] == 200)
        answers = site.ask_many(16) + site.ask_many(4, "/stream")
        assert [(status, len(text.split())) for status, text in answers] == [(200, 20)] * 20
        assert site.worker.terminate() == 0
    assert (books(sim)["accepted"], books(sim)["rejected"]) == (20, 0)
    await everything_is_given_back(redis_url, namespace, sim)


@pytest.mark.parametrize("application", ["-k gthread examples.wsgi_app", "-k asgi examples.asgi_app:app"])
def test_probes_tell_a_redis_that_is_away(serve, own_server, application):
    """Ready, not ready with the reason while Redis is away, ready again; live all the time."""
    server = own_server()
    with serve("http://127.0.0.1:9", server.url, application) as site:
        assert eventually(lambda: site.get("/health/ready")[0] == 200, within_s=START_S)
        server.kill()
        assert eventually(lambda: site.get("/health/ready")[0] == 503, within_s=10)
        assert eventually(lambda: not json.loads(site.get("/health/live")[1])["ready"], within_s=10)
        assert eventually(lambda: f"127.0.0.1:{server.port}" in site.get("/health/live")[1], within_s=10)
        assert site.get("/health/live")[0] == 200
        server.restart()
        assert eventually(lambda: site.get("/health/ready")[0] == 200, within_s=10)
