"""A pool with many keys beside the oracle: which key a ticket goes by is the pool's choice, all else is not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from llm_fleet.engine.values import DomainLimits, LaneLimits, PoolLimits
from tests.busy_stories import limit_of
from tests.oracle_books import Books
from tests.oracle_buckets import OracleBucket
from tests.oracle_pair import Pair, agree
from tests.oracle_stories import LIMITS, Act, perform, wire_of
from tests.oracle_tickets import Said
from tests.pool_rig import Rig, Wire

__all__ = ["CrowdPair", "Member", "crowd_of", "index_of", "play_in_crowd"]

FOREVER_S = 100_000.0


class CrowdPair(Pair):
    """A pair whose steps are compared with an oracle that is told the keys. One lane, band and tenant."""

    patience_ms = (10**9,) * 3

    def __init__(self, rig: Rig, members: dict[str, PoolLimits]) -> None:
        super().__init__(rig, members, FOREVER_S)
        self.oracle.has_bound = False

    def step(self, process: str, *operations: Wire) -> Said:
        """One call to both: the same tickets go, by a key that the oracle finds free too, and wake at the same time."""
        seen = len(self.grants)
        told = Books.step(self, process, *operations)
        self.oracle.chosen = {held.id: held.key for held in self.grants[seen:]}
        said = self.oracle.step(process, list(operations), self.rig.time_ms)
        note = f"after {process} asked {operations} at {told.now}"
        agree(f"kinds {note}", [result[0] for result in told.results], [result[0] for result in said.results])
        agree(f"grants {note}", {grant[:4] for grant in told.grants}, {grant[:4] for grant in said.grants})
        agree(f"refusals {note}", told.refusals, said.refusals)
        agree(f"wakes {note}", {wake[1:] for wake in told.wakes}, {wake[1:] for wake in said.wakes})
        self._compare_levels(note)
        return told


def crowd_of(random: Random, *, is_uniform: bool = True) -> PoolLimits:
    """9 to 40 accounts or keys, one key or two to each; with equal limits or not; one to three limits."""
    per_owner = random.choice((1, 1, 2))
    count = random.randint(9 * per_owner, 40)
    names = random.sample(sorted(LIMITS), random.randint(1, 3))
    slots = random.choice((0, 0, 1, 3))
    kinds = [
        (LaneLimits("*", tuple(limit_of(random, name) for name in names), slots), LaneLimits("big"))
        for _ in range(1 if is_uniform else 2)
    ]
    owners = [f"d{at // per_owner}" for at in range(count)]
    domains = [DomainLimits(name, kinds[at % len(kinds)]) for at, name in enumerate(dict.fromkeys(owners))]
    return PoolLimits("p", tuple((f"k{i}", (owner,)) for i, owner in enumerate(owners)), tuple(domains))


def play_in_crowd(books: Books, random: Random, kind: str, lanes: Sequence[str] = ("*",)) -> None:
    """Let something happen: bursts that empty many keys, outages of any key, and what other stories have."""
    process = random.choice("AB")
    acts = [
        Act(
            "enqueue",
            process,
            7,
            random.choice(lanes),
            (random.choice((1, 20, 60, 150)), random.choice((1, 40))),
        )
        for _ in range(random.randint(1, 40))
    ]
    if kind == "burst":
        books.step(process, *(wire_of(books, act) for act in acts))
    elif kind == "switch":
        books.switch(f"k{random.randrange(40)}", random.choice((300, 2_000, 0, None, None)))
    elif kind == "drain":
        for _ in range(random.randint(1, 8)):
            books.advance(min(1_000, books.next_wake()), first=process)
    else:
        perform(books, Act(kind, process, random.randint(0, 11), "*", (random.choice((0, 20, 90)),) * 2))


class Member:
    """A member of the index: by when a bucket was or will be empty; kind 0 is the gate of a domain."""

    def __init__(self, text: str) -> None:
        _, self.lane, kind, at, self.domain = text.split("|")
        self.kind, self.at = int(kind), int(at)

    @property
    def place(self) -> tuple[str, str, int]:
        """What it speaks of."""
        return self.domain, self.lane, self.kind

    def is_lower_bound(self, bucket: OracleBucket, now: int) -> bool:
        """No amount can be there before it says."""
        amounts = [bucket.capacity * part // 7 for part in range(8)]
        waits = [(need, bucket.wait_ms(need, 0, now)) for need in amounts]
        return all(
            self.at + need // bucket.configured * bucket.tick_ms <= now + wait for need, wait in waits if wait
        )


def index_of(rig: Rig) -> list[Member]:
    """All members of the index."""
    command = ("ZRANGEBYLEX", rig.keys.all()[2], "[z|", "(z}")
    return [Member(text) for text in rig.timed(lambda: rig.client.execute_command(*command))]
