"""The one I/O thread of the process: mailbox, heartbeat and all Redis traffic live on its loop.

A busy or closed user loop loses no lease, because nothing here runs on it. Work is handed over
in batches, one deque and one wake flag per direction. Knows nothing of tickets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from .greenlets import refuse_greenlets

__all__ = ["Handover", "IoThread"]

Work = Callable[[], None]


class Handover:
    """A batch of work for one loop: any thread adds, the loop runs it in order.

    Waking another thread is dear. So who adds from a loop wakes at the end of that loop's present
    turn, once for all that its tasks add in it; whoever adds from elsewhere does not rely on that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._work: deque[Work] = deque()
        self._is_woken = False
        self._waker: asyncio.AbstractEventLoop | None = None

    def add(self, work: Work) -> bool:
        """Have `work` run soon on the loop. False when the loop is closed and never will."""
        self._work.append(work)
        if not self._is_woken:
            here = asyncio._get_running_loop()
            if here is None:
                self._wake()
            elif here is not self._waker:
                self._waker = here
                here.call_soon(self._wake)
        return not self.loop.is_closed()

    def run(self) -> None:
        """Do what was added (on the loop)."""
        self._is_woken = False
        while self._work:
            self._work.popleft()()

    def _wake(self) -> None:
        self._waker = None
        if not self._is_woken and self._work:
            self._is_woken = True
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self.loop.call_soon_threadsafe(self.run)


class IoThread:
    """A daemon thread with its own event loop, started at first use."""

    def __init__(self, name: str = "llm_fleet-io") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._inbox: Handover | None = None
        self._thread: threading.Thread | None = None
        self._outboxes: dict[asyncio.AbstractEventLoop, Handover] = {}
        self.pid = os.getpid()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The thread's loop; starts the thread when it does not run yet."""
        return self._open().loop

    def _open(self) -> Handover:
        with self._lock:
            if self._inbox is None:
                refuse_greenlets()
                loop = asyncio.new_event_loop()
                self._inbox = Handover(loop)
                self._thread = threading.Thread(target=self._run, args=(loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._inbox

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    def submit(self, work: Work) -> None:
        """Run `work` soon on the I/O loop (any thread)."""
        inbox = self._inbox or self._open()
        inbox.add(work)

    def catch_up(self) -> None:
        """Do what was added on a loop that was stopped, or kept busy, before it could wake us."""
        if self._inbox is not None:
            self._inbox.run()

    def deliver(self, loop: asyncio.AbstractEventLoop, work: Work) -> bool:
        """Run `work` soon on a user's loop (I/O thread only). False when that loop is closed."""
        outbox = self._outboxes.get(loop)
        if outbox is None:
            self._forget_closed()
            outbox = self._outboxes[loop] = Handover(loop)
        return outbox.add(work)

    def _forget_closed(self) -> None:
        for loop in [loop for loop in self._outboxes if loop.is_closed()]:
            del self._outboxes[loop]

    async def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on the I/O loop and wait for it on the caller's."""
        future = asyncio.run_coroutine_threadsafe(work(), self.loop)
        return await asyncio.wrap_future(future)

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop the loop and end the thread; what is still on the loop is cancelled."""
        with self._lock:
            inbox, thread, self._inbox, self._thread = self._inbox, self._thread, None, None
        if inbox is None or thread is None or self.pid != os.getpid():
            return
        inbox.loop.call_soon_threadsafe(inbox.loop.stop)
        thread.join(timeout_s)
        if not thread.is_alive():
            _drain(inbox.loop)


def _drain(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
