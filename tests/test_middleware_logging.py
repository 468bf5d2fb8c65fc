"""Logging: events of a call, their fields, and what never is among them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from llm_fleet.errors import ProviderUnavailable
from llm_fleet.middleware.logging import Logging
from llm_fleet.models import Call, Message, MessageRole, Response, Usage

LOGGER = "llm_fleet.middleware.logging"
KEY_ID = "0123456789ab"
TICKET = "1b913ee0-10"
MODEL = "claude-haiku-5-5"
CALL = Call("anthropic", MODEL, (Message(MessageRole.USER, "the prompt"),), 16, system="the rules")
RESPONSE = Response(
    "the answer", Usage(30, 12, 20), MODEL, key_id=KEY_ID, attempts=2, queued_s=1.5, ticket=TICKET
)


async def answer(call: Call) -> Response:
    return RESPONSE


def failing(error: BaseException) -> object:
    async def fail(call: Call) -> Response:
        raise error

    return fail


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged from level DEBUG on."""
    caplog.set_level(logging.DEBUG, LOGGER)
    return caplog


async def test_a_call_is_logged_when_it_starts_and_when_it_finishes(log: pytest.LogCaptureFixture) -> None:
    """The event is the first word of the message, the level says how much it matters."""
    await Logging()(CALL, answer)
    assert [(record.levelname, record.getMessage().split()[0]) for record in log.records] == [
        ("DEBUG", "llm_fleet.call.started"),
        ("INFO", "llm_fleet.call.finished"),
    ]
    assert {record.name for record in log.records} == {LOGGER}


async def test_the_fields_are_attributes_of_the_record(log: pytest.LogCaptureFixture) -> None:
    """Provider, model, key id, tokens, duration, wait and attempts, for whoever logs JSON."""
    ticks = iter([100.0, 102.25])
    await Logging(clock=lambda: next(ticks))(replace(CALL, tag="nightly"), answer)
    finished = vars(log.records[-1])
    expected = {
        "event": "llm_fleet.call.finished",
        "provider": "anthropic",
        "model": "claude-haiku-5-5",
        "tenant": "default",
        "tag": "nightly",
        "key_id": "0123456789ab",
        "ticket": "1b913ee0-10",
        "input_tokens": 30,
        "output_tokens": 12,
        "cache_read_tokens": 20,
        "duration_s": 2.25,
        "queued_s": 1.5,
        "attempts": 2,
    }
    assert {name: finished[name] for name in expected} == expected
    assert "attempts=2" in log.records[-1].getMessage()


async def test_a_failure_says_why(log: pytest.LogCaptureFixture) -> None:
    """The error's class, status and message are logged, and it is raised on."""
    error = ProviderUnavailable("anthropic answered 529", status=529, key_id=KEY_ID)
    error.ticket = TICKET
    with pytest.raises(ProviderUnavailable):
        await Logging()(CALL, failing(error))  # type: ignore[arg-type]
    failed = log.records[-1]
    assert failed.levelname == "WARNING"
    for pair in (
        "error='ProviderUnavailable'",
        "status=529",
        "key_id='0123456789ab'",
        "ticket='1b913ee0-10'",
    ):
        assert pair in failed.getMessage()
    assert "answered 529" in failed.getMessage()


async def test_a_cancelled_call_is_no_warning(log: pytest.LogCaptureFixture) -> None:
    """Whoever cancels knows it already."""
    with pytest.raises(asyncio.CancelledError):
        await Logging()(CALL, failing(asyncio.CancelledError()))  # type: ignore[arg-type]
    assert log.records[-1].levelname == "INFO"
    assert "error='CancelledError'" in log.records[-1].getMessage()


async def test_prompts_and_answers_are_not_logged(log: pytest.LogCaptureFixture) -> None:
    """Neither by success nor by failure, in message or fields, not even a foreign error's words."""
    await Logging()(CALL, answer)
    with pytest.raises(ValueError):
        await Logging()(CALL, failing(ValueError("cannot use 'the prompt'")))  # type: ignore[arg-type]
    text = " ".join(str(vars(record)) for record in log.records if record.exc_info is None)
    assert [body for body in ("the prompt", "the answer", "the rules") if body in text] == []


async def test_bodies_are_logged_on_demand(log: pytest.LogCaptureFixture) -> None:
    """log_bodies shows what was asked and what was answered."""
    await Logging(log_bodies=True)(CALL, answer)
    assert "the prompt" in log.records[0].getMessage()
    assert "the rules" in log.records[0].getMessage()
    assert "the answer" in log.records[1].getMessage()


async def test_nothing_is_built_for_a_silent_logger(caplog: pytest.LogCaptureFixture) -> None:
    """At level ERROR a call leaves no record."""
    caplog.set_level(logging.ERROR, LOGGER)
    assert await Logging()(CALL, answer) is RESPONSE
    assert caplog.records == []
