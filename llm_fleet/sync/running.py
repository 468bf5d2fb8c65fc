"""Runs coroutines for threads that block: one daemon thread with an event loop in the process.

A forked child gets a thread of its own at first use. Knows nothing of calls or clients.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..engine.thread import IoThread
from ..errors import ConfigError

__all__ = ["END_S", "finish", "run"]

END_S = 5.0
"""How long a caller waits, interrupted or leaving, until what was taken is given back."""

T = TypeVar("T")

_thread = IoThread("llm_fleet-sync")
_inherited: list[IoThread] = []
"""A fork's copy of the parent's thread is kept: collecting its loop would touch what they share."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop thread, in the caller's context, and wait for its outcome.

    What interrupts the caller (Ctrl-C, a time limit raised by a signal) cancels the coroutine.

    Raises:
        ConfigError: this is the loop thread, which would wait for itself; or it cannot be started.
    """
    try:
        loop = _thread.loop
        if _is_running(loop):
            raise ConfigError(
                "llm_fleet.sync was called on its own event loop: use llm_fleet's async names here"
            )
    except BaseException:
        coroutine.close()
        raise
    return _Running(loop, coroutine).result()


def finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that cleans up, and wait for it, but not for ever.

    On the loop thread, where the garbage collector may be, it is left to run.
    """
    running = _Running(_thread.loop, coroutine)
    if not _is_running(_thread.loop):
        with suppress(TimeoutError):
            running.result(END_S)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class _Running(Generic[T]):
    """A coroutine at work on the loop, and the outcome that another thread waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._outcome: Future[T] = Future()
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._start, coroutine)

    def result(self, timeout_s: float | None = None) -> T:
        try:
            return self._outcome.result(timeout_s)
        finally:
            if not self._outcome.done():
                self._loop.call_soon_threadsafe(self._cancel)
                wait_for([self._outcome], END_S)

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._ended)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._outcome.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(task.result())


def _after_fork() -> None:
    global _thread
    _inherited.append(_thread)
    _thread = IoThread("llm_fleet-sync")


os.register_at_fork(after_in_child=_after_fork)
