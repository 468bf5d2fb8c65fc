"""Grants that waited too long in their process are spaced at their domain's rate before they are sent."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import pairwise
from typing import Any, cast

from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.pacing import EARLY_S, Pacer
from llm_fleet.engine.tickets import Desk, Seat
from llm_fleet.engine.values import Need, PoolLimits

NEVER_S = 1e9


def sent_at(joins: list[float], spacing_s: float, busy: tuple[float, float]) -> list[float]:
    """When late sends leave that join at these times, in a process that does nothing while it is busy."""
    pacer, sent = Pacer(), list[float]()
    woken = [(at, number, False) for number, at in enumerate(joins)]
    while woken:
        at, number, is_in_line = heapq.heappop(woken)
        now = busy[1] if busy[0] < at < busy[1] else at
        ask = pacer.leave if is_in_line else pacer.join
        wait_s = ask(("account",), spacing_s, now)
        if wait_s > 0:
            heapq.heappush(woken, (now + wait_s, number, True))
        else:
            sent.append(now)
    return sent


def desk_of(keys: dict[str, str]) -> Desk:
    """A desk that talks to nobody, with keys of these accounts."""
    limits = PoolLimits("p", tuple((key, (account,)) for key, account in keys.items()), ())
    return Desk(Seat(cast(Any, None), cast(Any, None), "process", NEVER_S), PoolKeys("n", "p"), limits)


def late_lease(desk: Desk, key: str, spacing_s: float, loop: Any = None) -> Lease:
    """A lease that was granted a second ago."""
    lease = Lease(desk, desk.new_ticket(), Need("*", 1, 1), loop)
    lease.key_id, lease.spacing_s = key, spacing_s
    lease.granted_at, lease.alive_until = time.monotonic() - 1.0, NEVER_S
    return lease


def test_late_sends_leave_one_spacing_apart() -> None:
    """Five that come at once leave at 0, 1, 2, 3 and 4 spacings."""
    assert sent_at([0.0] * 5, 0.5, (9.0, 9.0)) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_sends_whose_turns_passed_while_the_process_was_busy_do_not_leave_at_once() -> None:
    """A process that is busy from the second turn to the fifth still sends one spacing apart afterwards."""
    sent = sent_at([0.0] * 6, 0.5, (0.6, 2.2))
    assert len(sent) == 6
    assert min(late - early for early, late in pairwise(sorted(sent))) >= 0.5 - EARLY_S


def test_who_joins_after_a_busy_time_waits_behind_those_that_left_late() -> None:
    """What comes in the moment of a late send does not leave together with it."""
    sent = sent_at([0.0, 0.0, 0.0, 3.0], 0.5, (0.4, 3.0))
    assert min(late - early for early, late in pairwise(sorted(sent))) >= 0.5 - EARLY_S


def test_domains_have_lines_of_their_own() -> None:
    """A late send of one account waits for none of another; one that draws from both waits for both."""
    pacer = Pacer()
    assert pacer.join(("a",), 2.0, 0.0) == 0.0
    assert pacer.join(("b",), 1.0, 0.0) == 0.0
    assert pacer.join(("a", "b"), 1.0, 0.0) == 2.0


def test_keys_of_one_account_share_its_rate() -> None:
    """A late grant on one key of an account spaces the next late grant on another key of it."""
    desk = desk_of({"k1": "main", "k2": "main", "k3": "other"})
    assert desk.pace(late_lease(desk, "k1", 60.0)) == 0.0
    assert 59.0 < desk.pace(late_lease(desk, "k2", 60.0)) <= 60.0
    assert desk.pace(late_lease(desk, "k3", 60.0)) == 0.0


async def test_a_busy_loop_does_not_bunch_what_it_spaces() -> None:
    """Four late leases whose turns pass while their event loop is blocked get ready one after the other."""
    desk, loop, spacing_s = desk_of({"k": "a"}), asyncio.get_running_loop(), 0.02
    ready = list[float]()

    async def send() -> None:
        assert await late_lease(desk, "k", spacing_s, loop).ready()
        ready.append(time.monotonic())

    tasks = [asyncio.create_task(send()) for _ in range(4)]
    await asyncio.sleep(0)
    time.sleep(5 * spacing_s)  # noqa: ASYNC251  (the loop is to be blocked)
    await asyncio.gather(*tasks)
    assert min(late - early for early, late in pairwise(ready)) >= spacing_s - 2 * EARLY_S
