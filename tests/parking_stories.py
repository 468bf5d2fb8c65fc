"""Stories of processes that fall silent, come back, leave and die, with what they queue for many tenants.

After each step the books of the pool are compared with what the story knows. Limits are slots alone: whether a ticket
could go is plain to see.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from llm_fleet.engine.values import Bucket, LaneLimits, TenantLimits
from tests.lua_redis import numbers_in
from tests.pool_rig import Answer, Rig, Wire, beat, cancel, enqueue, leave, mini_rig, pool_of, settle

__all__ = ["BANDS", "LIMITED", "LIMITS", "Story", "nothing_left"]

BANDS = ("interactive", "normal", "batch")
LIMITED = ("t0", "t7", "t20", "t33")
SLOTS = 6
TTL_S = 5.0
LIMITS = pool_of(
    Bucket("requests", 10**6, jitter_ms=0), keys=2, slots=SLOTS,
    tenants=[TenantLimits(name, lane=LaneLimits("*", (), 1)) for name in LIMITED],
)  # fmt: skip
PROCESSES = ("A", "B", "C", "D")
KINDS = ("ask", "ask", *["end"] * 6, "cancel", "still", "back", "back", "time", "time", "long", "leave")


def sums_written(fields: dict[str, str], kind: str, first: int) -> dict[str, list[int]]:
    """What is written of flows, or of lines, in which something waits."""
    found = {name.split("|", 1)[1]: text for name, text in fields.items() if name.startswith(f"{kind}|")}
    sums = {name: json.loads(text)[first : first + 4] for name, text in found.items()}
    return {name: its for name, its in sums.items() if its[0]}


def sums_of(state: State, parts: int) -> dict[str, list[int]]:
    """What the tickets come to, by their lines without so many parts of their names."""
    added: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for line, tickets in state.lines().items():
        for ticket in tickets:
            sums = added[line.split("|", parts)[parts]]
            sums[:] = [sums[0] + 1, *(known + new for known, new in zip(sums[1:], ticket[5:8], strict=True))]
    return dict(added)


class State:
    """What Redis holds of the pool at one moment."""

    def __init__(self, rig: Rig) -> None:
        pool, live, index, _, *generations = rig.keys.all()
        self.fields: dict[str, str] = rig.client.hgetall(pool)
        texts = rig.client.hgetall(live)
        self.live = set(texts) - {""}
        self.queued = {name: json.loads(text) for name, text in texts.items() if text.startswith('["q"')}
        self.over = {name for key in generations for name in rig.client.hgetall(key)} - {""}
        self.members: dict[str, set[str]] = defaultdict(set)
        for member in rig.client.execute_command("ZRANGE", index, 0, -1):
            self.members[member[:1]].add(member[2:])

    @property
    def waiting(self) -> set[str]:
        """The lines "process|flow" in which something waits."""
        return {member.rsplit("|", 2)[0] for member in self.members["w"]}

    @property
    def in_order(self) -> set[str]:
        """Those whose heads are in the order."""
        heads = [member.rsplit("|", 3) for member in self.members["h"]]
        return {f"{process}|{flow}" for flow, _, process, _ in heads}

    @property
    def aside(self) -> set[str]:
        """Those that are set aside."""
        return self.members["s"]

    def lines(self) -> dict[str, list[list[Any]]]:
        """The tickets that wait, by their lines."""
        numbers = {name: queue[3] for name, queue in json.loads(self.fields.get("queues", "{}")).items()}
        found: dict[str, list[list[Any]]] = defaultdict(list)
        for name, ticket in self.queued.items():
            ticket[0] = name
            found[f"{ticket[1]}|{numbers[ticket[3]]}|{ticket[11]}|{ticket[12]}"].append(ticket)
        return found


class Story:
    """Processes of one pool, by chance; A lives to the end."""

    def __init__(self, seed: int, tenants: int) -> None:
        self.random, self.tenants = random.Random(seed), tenants
        self.rig = mini_rig(LIMITS, *PROCESSES, ttl_s=TTL_S)
        self.numbers = dict.fromkeys(PROCESSES, 0)
        self.asked: set[str] = set()
        self.over: set[str] = set()
        self.held: dict[str, set[str]] = {name: set() for name in PROCESSES}
        self.quiet: set[str] = set()
        self.gone: set[str] = set()
        self.granted: list[str] = []
        self.state = State(self.rig)

    # -- what happens ----------------------------------------------------------------------------

    def step(self, process: str, *operations: Wire) -> Answer | None:
        """A step of a process that reads its mailbox; it registers again when it is told to."""
        before = self.state
        answer = self.rig.step(process, *operations)
        if answer is None:
            self.rig.register(process, LIMITS, ttl_s=TTL_S)
            self.held[process] = set()  # some was taken back
            self.state = State(self.rig)
            return None
        fresh = [wire[1] for wire, said in zip(operations, answer.results, strict=True) if said[0] == "g"]
        self.held[process].update((*fresh, *(grant[0] for grant in answer.grants)))
        for reader in set(PROCESSES) - self.quiet - self.gone:
            self.held[reader].update(grant[0] for grant in self.rig.mailbox(reader).grants)
        self.state = State(self.rig)
        self.check(answer, before)
        return answer

    def until_done(self, process: str, *operations: Wire) -> None:
        """A step, and further ones at once for as long as somebody must call at once."""
        answer, steps = self.step(process, *operations) or self.step(process, *operations), 0
        while answer is None or answer.wakes[:1] == [["", "", 0]]:
            steps += 1
            assert steps < 100, "it never has enough"
            answer = self.step(process)

    def ask(self, process: str, count: int) -> list[Wire]:
        """New tickets of any tenants and bands."""
        wires = []
        for _ in range(count):
            self.numbers[process] += 1
            name = f"{process}-{self.numbers[process]:x}"
            self.asked.add(name)
            tenant, band = f"t{self.random.randrange(self.tenants)}", self.random.choice(BANDS)
            size = (self.random.randrange(50), self.random.randrange(1, 50))
            wires.append(enqueue(name, LIMITS, tokens=size, tenant=tenant, band=band, wait_ms=10**9))
        return wires

    def act(self) -> None:
        """One thing that happens."""
        present = sorted(set(PROCESSES) - self.quiet - self.gone)
        process = self.random.choice(present)
        match self.random.choice(KINDS):
            case "ask":
                self.until_done(process, *self.ask(process, self.random.choice((1, 5, 60))))
            case "end":
                ending = sorted(self.held[process])[: self.random.randrange(1, 4)]
                self.held[process] -= set(ending)
                self.until_done(process, *(settle(name, 1, 1) for name in ending))
            case "cancel":
                mine = sorted(name for name in self.state.queued if name.startswith(f"{process}-"))
                count = min(len(mine), self.random.choice((1, 10, 100)))
                self.until_done(process, *(cancel(name) for name in self.random.sample(mine, count)))
            case "still" if process != "A":
                self.quiet.add(process)
            case "back" if self.quiet | self.gone:
                self.come_back(self.random.choice(sorted(self.quiet | self.gone)))
            case "time":
                self.pass_time(self.random.choice((1, 60, 300, 300, 1_000)))
            case "long":
                for _ in range(4):
                    self.pass_time(1_000)
            case "leave" if process != "A" and self.random.random() < 0.3:
                self.gone.add(process)
                self.step(process, leave())
                self.beat_all()

    def come_back(self, process: str) -> None:
        """It calls: now and then with new tickets, or no longer wanting what it had asked for, or with nothing."""
        self.quiet.discard(process)
        self.gone.discard(process)
        match self.random.choice(("ask", "cancel", "nothing", "again")):
            case "ask":
                self.until_done(process, *self.ask(process, 40))
            case "cancel":
                mine = sorted(name for name in self.state.queued if name.startswith(f"{process}-"))
                self.until_done(process, *(cancel(name) for name in mine[:128]))
            case "nothing":
                self.until_done(process)
            case "again":  # one part, and silent again
                self.step(process)
                self.quiet.add(process)

    def pass_time(self, ms: int) -> None:
        """Who lives beats after it."""
        self.rig.advance(ms)
        self.beat_all()

    def beat_all(self) -> None:
        for process in sorted(set(PROCESSES) - self.quiet - self.gone):
            self.until_done(process, beat(*((name, 0) for name in sorted(self.held[process]))))

    # -- what must hold --------------------------------------------------------------------------

    def check(self, answer: Answer, before: State) -> None:
        state = self.state
        assert sums_written(state.fields, "flow", 1) == sums_of(state, 1)
        assert sums_written(state.fields, "line", 0) == sums_of(state, 0)
        assert state.in_order | state.aside == state.waiting
        assert not state.in_order & state.aside
        assert {line.split("|")[0] for line in state.aside} <= set(
            json.loads(state.fields.get("parked", "[]"))
        )
        self.over |= state.over
        assert not state.live & self.over
        assert self.asked == state.live | self.over
        self.check_order(before)
        if answer.wakes[:1] != [["", "", 0]]:
            self.check_work()

    def check_order(self, before: State) -> None:
        """What was granted of those that waited left nobody behind that came before it, but for lines set aside."""
        granted = self.state.live - set(self.state.queued)
        latest: dict[str, list[list[Any]]] = defaultdict(list)
        for line, tickets in before.lines().items():
            for ticket in tickets:
                if ticket[0] in granted:
                    latest[line.split("|", 1)[1]].append(ticket)
        for line, tickets in self.state.lines().items() if latest else ():
            is_aside = line in before.aside or line in self.state.aside
            for other in latest[line.split("|", 1)[1]]:
                assert other[4] < tickets[0][4] or (is_aside and other[1] != tickets[0][1])

    def check_work(self) -> None:
        """No ticket of a process that is there waits for what is free."""
        flying = self.state.members["f"]
        is_full = all(sum(m.startswith(f"d{i}|") for m in flying) >= SLOTS for i in range(2))
        full = {tenant for tenant in LIMITED if any(m.startswith(f"tenant:{tenant}|") for m in flying)}
        there = set(PROCESSES) - self.quiet - self.gone
        assert not {line for line in self.state.aside if line.split("|")[0] in there}
        could_go = [name for name, it in self.state.queued.items() if it[1] in there and it[12] not in full]
        assert is_full or not could_go or self.is_in_doubt(), could_go

    def is_in_doubt(self) -> bool:
        """Whether somebody is still given time to read its mailbox."""
        fields, client = self.state.fields, self.rig.client
        silent = [name for name in self.quiet | self.gone if f"process|{name}" in fields]
        return any(
            numbers_in(fields[f"process|{name}"])[2] == 0
            and client.lrange(self.rig.keys.mailbox(name), 0, -1)
            for name in silent
        )

    # -- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """All are gone but A, which waits for nothing any more."""
        self.gone = set(PROCESSES) - {"A"}
        mine = sorted(name for name in self.state.queued if name.startswith("A-"))
        for first in range(0, len(mine), 100):
            self.until_done("A", *(cancel(name) for name in mine[first : first + 100]))
        for _ in range(80):
            self.rig.advance(1_000)
            ends = sorted(self.held["A"])
            self.held["A"] = set()
            self.until_done("A", beat(), *(settle(name, 1, 1) for name in ends))
        self.rig.register("A", LIMITS, ttl_s=TTL_S)
        self.state = State(self.rig)


def nothing_left(story: Story) -> Sequence[str]:
    """What is still there of tickets, lines, flows and processes, but for A itself."""
    fields, members = story.state.fields, story.state.members
    kept = ("line|", "flow|", "process|B", "process|C", "process|D")
    left = [name for name in fields if name.startswith(kept)]
    left += [
        f"{name}={fields[name]}"
        for name in ("queues", "parked")
        if fields.get(name, "[]") not in ("{}", "[]")
    ]
    return [
        *left,
        *(kind + member for kind in members if kind for member in members[kind] if kind + member != "nA"),
        *story.state.live,
    ]
