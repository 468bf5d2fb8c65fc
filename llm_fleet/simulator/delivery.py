"""Delivers an accepted call: step by step, streamed or in one piece, and wrong where a fault says so."""

from __future__ import annotations

from .call import AcceptedCall
from .dialect import Problem
from .exchange import Exchange, Reply

__all__ = ["deliver"]

_IN_MID_ANSWER = frozenset({"cut", "error", "stall", "drop", "reset"})


async def deliver(call: AcceptedCall, exchange: Exchange) -> None:
    """Answer the call, and end it whatever happens. A client that leaves stops it at once."""
    dialect, answer, stream = call.attempt.dialect, call.answer, call.answer.ask.stream
    with call:
        if stream:
            await exchange.open_stream(call.headers())
            await exchange.write(dialect.opening(answer))
        if not await _produce(call, exchange):
            return
        call.end(complete=True)
        if stream:
            await exchange.write(dialect.closing(answer), last=True)
        else:
            text = "".join(step.text for step in call.steps)
            await exchange.reply(Reply(200, dialect.whole(answer, text), call.headers()))


async def _produce(call: AcceptedCall, exchange: Exchange) -> bool:
    """Go through the steps; whether the last one was reached and the answer can be finished."""
    trouble_at = _trouble_at(call, len(call.steps))
    for index, step in enumerate(call.steps):
        if index == trouble_at and not await _go_wrong(call, exchange):
            return False
        if not await exchange.pause(step.due - call.clock()):
            return False
        call.produced(step.tokens)
        if call.answer.ask.stream:
            await exchange.write(call.attempt.dialect.piece(call.answer, step.text))
    return trouble_at != len(call.steps) or await _go_wrong(call, exchange)


def _trouble_at(call: AcceptedCall, steps: int) -> int | None:
    if call.fault is None or call.fault.kind not in _IN_MID_ANSWER:
        return None
    return min(call.fault.after_chunks, steps)


async def _go_wrong(call: AcceptedCall, exchange: Exchange) -> bool:
    """Let the fault happen; whether the answer goes on after it."""
    fault = call.fault
    assert fault is not None
    if fault.kind == "stall":
        return await exchange.pause(fault.seconds)
    call.end()
    match fault.kind:
        case "cut":
            await exchange.write(b"", last=True)
        case "error":
            problem = Problem(529, fault.message, fault.error_type, fault.error_code)
            event = call.attempt.dialect.error_event(problem, call.attempt.row.number)
            await exchange.write(event, last=True)
        case "drop":
            await exchange.drop()
        case "reset":
            await exchange.reset()
    return False
