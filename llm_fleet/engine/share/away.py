"""Serves who waits while Redis is away, from this process's share of the limits (ENGINE.md §6).

It begins when Redis has not answered for 0.2 s, or cannot be reached, and ends a moment after the first
quick answer. A process that Redis never told its place in the fleet waits instead. Lives on the I/O loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import CoordinationError
from ...store import Store
from ..lease import Lease
from ..operations import Waiter
from ..values import Need, Settlement
from .absence import Absence, now_ms
from .books import Ask, Books, Choice, Scene
from .bucket import NEVER
from .lines import Line, Lines
from .outputs import RecentOutputs
from .pauses import Pauses
from .place import Place
from .telling import Telling

if TYPE_CHECKING:
    from ..tickets import Desk

__all__ = ["Away"]

log = logging.getLogger(__name__)

OTHERS_TELL_S = 0.75
"""Whoever is away looks for Redis at least every half second: so much later all have told what they used."""
TOLD_AHEAD_MS = 1_000


class Away:
    """The share of a desk, used while Redis is away; in mode `wait` never."""

    def __init__(self, desk: Desk, store: Callable[[], Store], mode: str) -> None:
        self._desk, self.mode = desk, mode
        self.telling = Telling(desk, store)
        self._outputs = RecentOutputs()
        self._place: Place | None = None
        self._absence: Absence | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pumping: asyncio.Handle | None = None

    @property
    def is_active(self) -> bool:
        """Redis is away, and this process goes on without it."""
        return self._absence is not None

    @property
    def has_told(self) -> bool:
        """What went without Redis is told, or about to be: the absence is almost over."""
        return self._absence is not None and self._absence.ends_at is not None

    def told(self, place: Sequence[Any]) -> None:
        """Take a heartbeat's answer: {processes, rank, {key out of service: ms left, or 0 for ever}}."""
        processes, rank, outages = place
        self._desk.processes, now = processes, now_ms()
        back_at = {key: now + ms if ms else NEVER for key, ms in outages.items()}
        self._place = Place(processes, rank, back_at)

    def serves(self, waiter: Waiter) -> bool:
        """Whether this wait may end without Redis."""
        return self._absence is not None and not waiter.is_stuck

    def note(self, waiter: Waiter | None = None) -> str:
        """For people: what this process does meanwhile; "" where it only waits."""
        if self.mode == "wait":
            return ""
        if self._absence is None:
            return "" if self._place else "its place in the fleet is not known yet, so it only waits"
        if self.mode == "open":
            return "this process goes on without limits (redis.on_redis_down: open)"
        part = f"its part of the limits, as one of {self._absence.processes} processes"
        if waiter is not None and waiter.is_stuck:
            need = waiter.need
            size = f"{need.input_tokens} input and at most {need.max_output_tokens} output tokens"
            return f"{part}, is too small for this call ({size})"
        return f"this process goes on with {part}"

    # -- begin and end -------------------------------------------------------------------------

    def begin(self, since: float, error: CoordinationError) -> bool:
        """Redis has given nothing since then (monotonic). False: this process can only wait."""
        absence, desk, place = self._absence, self._desk, self._place
        if self.mode == "wait" or place is None or (absence is not None and absence.ends_at is None):
            return False
        if absence is not None:  # it was almost over: what the share had until now is told, and spent
            self.telling.tell(absence)
            since = time.monotonic()
        is_open, is_resumed = self.mode == "open", absence is not None
        books = Books(desk.limits, place, int(since * 1000), is_open=is_open, is_resumed=is_resumed)
        lines = Lines(desk.limits.aging_ms / 1000)
        self._absence = Absence(since, place.processes, desk.steps.epoch, books, Pauses(books), lines)
        said = str(error).rstrip(".")
        log.warning("llm_fleet.redis.lost: provider %s: %s; %s", desk.keys.pool, said, self.note())
        for waiter in sorted(desk.room.everybody(), key=lambda waiter: waiter.created):
            waiter.is_stuck = False
            lines.add(waiter, books.tenant_of(waiter.need))
        self._pump()
        return True

    def answered(self) -> bool:
        """Redis answers. True: the next registration has something to tell.

        It is told at once what went without it, but asked for nothing before all the others have had the
        time to tell as much: until then the share goes on.
        """
        absence, now = self._absence, time.monotonic()
        if absence is None or (absence.ends_at is not None and now < absence.ends_at):
            return False
        is_first = absence.ends_at is None
        self.telling.tell(absence, TOLD_AHEAD_MS if is_first else 0)
        if is_first:
            absence.ends_at = now + OTHERS_TELL_S
            absence.books.keep_slots(self._in_flight(absence.books))
        else:
            self.end()
        return True

    def end(self) -> None:
        """It is over, and all is told or about to be."""
        absence, self._absence = self._absence, None
        self._disarm()
        if absence is not None:
            log.warning(
                "llm_fleet.redis.back: provider %s: after %.1f s, in which %d requests went without it",
                self._desk.keys.pool, time.monotonic() - absence.since, absence.requests,
            )  # fmt: skip

    def leave(self) -> None:
        """This process goes: what is not told yet goes with the next registration, if there is one."""
        if self._absence is not None:
            self.telling.tell(self._absence)
            self.end()

    def registered(self) -> None:
        """Redis has taken what it was told."""
        self.telling.registered(is_over=self._absence is None)

    # -- serving -------------------------------------------------------------------------------

    def join(self, waiter: Waiter) -> None:
        """Somebody asks while Redis is away."""
        if self._absence is not None:
            waiter.is_stuck = False
            if self._absence.lines.add(waiter, self._absence.books.tenant_of(waiter.need)):
                self._pump_soon()

    def ended(self, lease: Lease, settlement: Settlement | None) -> None:
        """A lease ended: settled, or cancelled (None). One that Redis granted frees its slots, or pauses."""
        charges, lease.local = lease.local, None
        absence = self._absence
        if absence is None:
            return
        if settlement is not None and settlement.throttle is not None:
            absence.pauses.add(lease, self._desk.domains_of(lease), charges, settlement, now_ms())
        elif charges is not None and settlement is None:
            absence.books.give_back(charges, now_ms())
        elif charges is not None and settlement is not None:
            absence.books.settle(charges, settlement, now_ms())
        self._pump_soon()

    def learn(self, need: Need, settlement: Settlement) -> None:
        """How long an answer was."""
        if settlement.output_tokens and settlement.throttle is None and self.mode != "wait":
            self._outputs.add(need.lane, need.tag, settlement.output_tokens)

    def take_out(self, key_id: str, reason: str, seconds: float | None) -> bool:
        """A key is out of service. True: Redis is away, and is told when it is back."""
        if self._absence is None:
            return False
        self._absence.books.take_out(key_id, NEVER if seconds is None else now_ms() + seconds * 1000)
        self.telling.add_outage(key_id, reason, seconds)
        return True

    def _pump_soon(self) -> None:
        """Once for all that happens in this turn of the loop."""
        if self._pumping is None:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Grant from the heads of the lines while the share affords them; wake when the next is."""
        self._disarm()
        absence = self._absence
        if absence is None:
            return
        scene, blocked, wake_ms = Scene(now_ms(), self._in_flight(absence.books)), set[Line](), NEVER
        while (turn := absence.lines.first(time.monotonic(), blocked)) is not None:
            line, waiter = turn
            ask = self._ask(waiter.need)
            choice = absence.books.choose(ask, scene)
            if choice is None:
                waiter.is_stuck = True
            elif choice.wait_ms == 0:
                self._grant(absence, waiter, choice, ask)
                scene.in_flight.update(choice.domains)
            else:
                blocked.add(line)
                scene.ahead.update(dict(choice.needs))
                wake_ms = min(wake_ms, choice.wait_ms)
        if wake_ms < NEVER:
            self._timer = asyncio.get_running_loop().call_later(wake_ms / 1000, self._pump)

    def _disarm(self) -> None:
        for handle in (self._timer, self._pumping):
            if handle is not None:
                handle.cancel()
        self._timer = self._pumping = None

    def _in_flight(self, books: Books) -> Counter[str]:
        count: Counter[str] = Counter()
        for lease in self._desk.leases.values() if books.has_slots else ():
            count.update(books.with_tenant(lease.need, self._desk.domains_of(lease)))
        return count

    def _ask(self, need: Need) -> Ask:
        return Ask(need, *self._outputs.predict(need.lane, need.tag, need.max_output_tokens))

    def _grant(self, absence: Absence, waiter: Waiter, choice: Choice, ask: Ask) -> None:
        charges = absence.books.grant(choice, ask)
        absence.requests += 1
        absence.lines.granted()
        self._desk.room.take_over(waiter)
        waiter.lease.local = charges
        self._desk.room.granted(waiter, (choice.key_id, 0, charges.spacing_ms), time.monotonic())
