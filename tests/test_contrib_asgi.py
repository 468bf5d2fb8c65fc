"""contrib.asgi: the lifespan and the probes, as an ASGI server drives them."""

from __future__ import annotations

import asyncio
import json

import pytest

from llm_fleet.contrib.asgi import WithLifespan, health, lifespan
from llm_fleet.manager import opened_manager
from tests.managers import config_text, entry


@pytest.fixture
def configured(tmp_path, monkeypatch, redis_url, namespace):
    """LLM_CONFIG_PATH names a config."""
    path = tmp_path / "llm.yaml"
    path.write_text(config_text(redis_url, namespace, p=entry("http://127.0.0.1:9", kind="openai")))
    monkeypatch.setenv("LLM_CONFIG_PATH", str(path))
    return path


async def ask(path: str) -> tuple[int, dict]:
    """What `health` answers."""
    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    await health({"type": "http", "path": path}, None, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def run_lifespan(app, during) -> tuple[list[str], dict]:
    """Drive a lifespan as a server does; `during` is called with the state between start and stop."""
    sent, state, events = [], {}, asyncio.Queue()
    events.put_nowait({"type": "lifespan.startup"})

    async def send(message):
        sent.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            during(state)
            events.put_nowait({"type": "lifespan.shutdown"})

    await app({"type": "lifespan", "state": state}, events.get, send)
    return sent, state


async def test_the_lifespan_opens_and_closes_the_processes_manager(configured):
    """It is in the state, and closed afterwards."""
    async with lifespan() as state:
        manager = state["llm_manager"]
        assert manager is opened_manager()
    assert manager.is_closed


async def test_probes_answer_by_their_last_word(configured):
    """…/live and …/ready, wherever they are mounted; anything else is 404."""
    async with lifespan():
        assert (await ask("/health/live"))[0] == 200
        async with asyncio.timeout(5):
            while (await ask("/ready/"))[0] != 200:
                await asyncio.sleep(0.02)
        assert (await ask("/health/other"))[0] == 404
    status, body = await ask("/ready")
    assert (status, body["live"]) == (503, True)
    assert "lifespan" in body["reasons"][0]


async def test_an_application_without_lifespan_is_wrapped(configured):
    """Requests go to it; the manager lives from startup to shutdown."""
    seen = []

    async def plain(scope, receive, send):
        seen.append(scope["type"])

    app = WithLifespan(plain)
    sent, state = await run_lifespan(app, lambda state: seen.append(state["llm_manager"].is_closed))
    await app({"type": "http"}, None, None)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert seen == [False, "http"]
    assert state["llm_manager"].is_closed


async def test_a_config_that_cannot_work_stops_the_server(monkeypatch, tmp_path):
    """startup.failed, with the reason."""
    monkeypatch.setenv("LLM_CONFIG_PATH", str(tmp_path / "missing.yaml"))
    sent, state = await run_lifespan(WithLifespan(None), lambda state: None)
    assert (sent, state) == (["lifespan.startup.failed"], {})
