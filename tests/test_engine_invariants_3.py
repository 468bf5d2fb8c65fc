"""Invariant 15 of ENGINE.md §7: who is told to call, and how often a busy fleet has to."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.heartbeat import TICK_S, queued_interval_s
from llm_fleet.engine.steps import LINGER_S
from llm_fleet.engine.values import Bucket, PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_books import Books
from tests.oracle_stories import CALLS, MODEST, Act, acts, members, perform, pools
from tests.oracle_tickets import Said
from tests.pool_rig import Rig, Wire, beat, enqueue, fake_rig, mini_rig, pool_of, settle

OVERDUE_MS = 50
STORY = st.lists(acts(*CALLS, "advance", "wake", "wake"), min_size=15, max_size=40)


class Watched(Books):
    """Books that look at who is told to arm a timer, after each step."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.armed: dict[str, int] = {}
        super().__init__(*arguments, **options)

    def step(self, process: str, *operations: Wire) -> Said:
        """A step; whoever is told a time owns the head, or calls while the timer is overdue."""
        told = super().step(process, *operations)
        heads = self.heads()
        for receiver, queue, ticket, ms in told.wakes:
            assert ticket in heads, f"{receiver} was told to call for {ticket}, which is behind another"
            is_overdue = self.armed.get(queue, told.now) < told.now - OVERDUE_MS
            assert receiver == self.waiting[ticket] or (receiver == process and is_overdue)
            self.armed[queue] = told.now + ms
        return told

    def heads(self) -> set[str]:
        """Of each queue, band and tenant the ticket that has waited longest."""
        heads: dict[tuple[str, ...], str] = {}
        for _, _, wire in self.sent:
            if wire[0] == "e" and wire[1] in self.waiting:
                heads.setdefault((wire[3], wire[2], wire[7], wire[8]), wire[1])
        return {*heads.values()}


@settings(MODEST, max_examples=30)
@given(pools(), st.booleans(), STORY)
def test_15_calls_are_asked_only_of_who_owns_a_head(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """Only the owner of a head is told to arm a timer, or a caller while the timer is overdue by 50 ms."""
    books = Watched(Rig(MiniRedis()), members(pool, fewer))
    for act in story:
        perform(books, act)


class Simulation:
    """Virtual time: what is to happen next, in its order."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.numbers = itertools.count()

    def later(self, ms: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.rig.time_ms + max(0, int(ms)), next(self.numbers), happen))

    def run(self, ms: int) -> None:
        end = self.rig.time_ms + ms
        while self.events and self.events[0][0] <= end:
            self.rig.time_ms, _, happen = heapq.heappop(self.events)
            happen()


class Client:
    """A process as the engine has it: one step in flight, timers as told, a mailbox, a heartbeat."""

    TRIP_MS, LINGER_MS, CALL_MS, BEAT_MS = 1, LINGER_S * 1000, (80, 900), 5_000

    def __init__(self, simulation: Simulation, process: str, fleet: list[Client], limits: PoolLimits) -> None:
        self.simulation, self.process, self.fleet, self.limits = simulation, process, fleet, limits
        self.outbox: list[Wire] = []
        self.is_busy = self.is_due = False
        self.timers: dict[str, object] = {}
        self.leases: dict[str, str] = {}
        self.waiting: set[str] = set()
        self.ids = itertools.count()
        self.last_sent = self.last_beat = simulation.rig.time_ms
        fleet.append(self)
        self.tick()

    def ask(self) -> None:
        """A task wants to make its next call."""
        self.add(enqueue(f"{self.process}{next(self.ids)}", self.limits, tokens=(100, 50)), is_urgent=True)

    def add(self, wire: Wire, *, is_urgent: bool) -> None:
        self.outbox.append(wire)
        self.simulation.later(0 if is_urgent else self.LINGER_MS, self.send)

    def tick(self) -> None:
        """Presence is renewed while something waits, leases at a third of their TTL."""
        now = self.simulation.rig.time_ms
        if now - self.last_beat >= self.BEAT_MS or (
            self.waiting
            and now - self.last_sent >= queued_interval_s(len(self.simulation.rig.members)) * 1000
        ):
            self.last_beat = now
            self.add(beat(*((ticket, 0) for ticket in self.leases)), is_urgent=True)
        self.simulation.later(TICK_S * 1000, self.tick)

    def poke(self, queue: str, timer: object) -> None:
        if self.timers.get(queue) is timer:
            del self.timers[queue]
            self.is_due = True
            self.send()

    def send(self) -> None:
        if self.is_busy or not (self.outbox or self.is_due):
            return
        batch, self.outbox, self.is_busy, self.is_due = self.outbox, [], True, False
        self.last_sent = self.simulation.rig.time_ms
        self.waiting |= {wire[1] for wire in batch if wire[0] == "e"}
        answer = self.simulation.rig.taken(self.process, *batch)
        for client in self.fleet:
            mail = self.simulation.rig.mailbox(client.process)
            client.receive(mail.grants, mail.wakes)
        grants = [[wire[1], *result[1:]] for wire, result in zip(batch, answer.results, strict=True)
                  if wire[0] == "e" and result[0] == "g"]  # fmt: skip
        self.simulation.later(self.TRIP_MS, lambda: self.replied([*grants, *answer.grants], answer.wakes))

    def replied(self, grants: Sequence[Any], wakes: Sequence[Any]) -> None:
        self.is_busy = False
        self.receive(grants, wakes)
        if self.outbox or self.is_due:
            self.send()

    def receive(self, grants: Sequence[Any], wakes: Sequence[Any]) -> None:
        for ticket, key, *_ in grants:
            self.waiting.discard(ticket)
            self.leases[ticket] = key
            self.simulation.later(self.call_ms(ticket), lambda ticket=ticket: self.finish(ticket))
        for queue, _, ms in wakes:
            timer = self.timers[queue] = object()
            self.simulation.later(ms, lambda queue=queue, timer=timer: self.poke(queue, timer))

    def call_ms(self, ticket: str) -> int:
        """How long its call takes: scattered, and the same in every run."""
        low, high = self.CALL_MS
        return low + crc32(ticket.encode()) % (high - low)

    def finish(self, ticket: str) -> None:
        del self.leases[ticket]
        self.add(settle(ticket, 90, 40), is_urgent=False)
        self.ask()


def test_15_calls_of_a_saturated_closed_loop() -> None:
    """A saturated fleet, driven by nothing but wakes and mail, needs at most 2.25 steps per request."""
    limits = pool_of(
        Bucket("requests", 120, burst_ms=10_000),
        Bucket("input_tokens", 60_000, rule="at_start_adjust"),
        keys=4,
    )
    rig, fleet = mini_rig(limits, "A", "B", "C", "D"), list[Client]()
    simulation = Simulation(rig)
    for process in sorted(rig.members):
        client = Client(simulation, process, fleet, limits)
        for _ in range(10):
            client.ask()
    simulation.run(40_000)
    served = rig.snapshot()["fence"]
    assert served >= 4 * (19 + 40 * 2) - 8, "the loop was not saturated"
    assert rig.steps / served <= 2.25


def test_15_calls_of_an_idle_loop() -> None:
    """Where nothing has to wait, a request needs one step: its settle rides with the next enqueue."""
    limits = pool_of(Bucket("requests", 100_000))
    rig, fleet = mini_rig(limits, "A"), list[Client]()
    client = Client(Simulation(rig), "A", fleet, limits)
    client.ask()
    client.simulation.run(30_000)
    heartbeats = 30_000 // client.BEAT_MS
    assert rig.steps <= rig.snapshot()["fence"] + heartbeats + 1


def test_15_calls_are_told_to_the_next_caller_when_a_timer_is_overdue() -> None:
    """A timer that is 50 ms late is armed by the next caller; one that is not yet so late, by nobody else."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), Bucket("tokens", 60, jitter_ms=0))
    rig = fake_rig(limits, "A", "B")
    rig.enqueue("A", "eats", tokens=(60, 0))
    rig.enqueue("A", "waits", tokens=(30, 0))
    assert rig.taken("A").wakes == [[wake_queue(rig), "waits", 30_000]]
    rig.taken("A", settle("eats", pause_ms=60_000))  # the head is told 60 s now, and A does not call then
    rig.advance(60_050)
    rig.switch("k0", "pause", 5_000)
    assert rig.taken("B").wakes == []
    rig.advance(1)
    assert rig.taken("B").wakes == [[wake_queue(rig), "waits", 4_999]]


def wake_queue(rig: Rig) -> str:
    """The name of the only queue."""
    [queue] = rig.snapshot()["queues"]
    return f"{queue['lane']}|{queue['keyset']}"
