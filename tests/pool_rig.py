"""The pool scripts alone: on the fake server with the clock moved by hand, or on a real one.

The rig calls the scripts as a process would, and knows nothing of what they decide. What it
carries per process is what a process carries: the epoch and the highest fence that it has seen.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import fakeredis
import pytest
import redis

from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.packing import encode_call
from llm_fleet.engine.registration import Known, keyset_hash, offer
from llm_fleet.engine.scripts import load_script
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, Need, PoolLimits, TenantLimits
from tests.lua_redis import MiniRedis, numbers_in

__all__ = [
    "FAKE", "Answer", "Mail", "Rig", "beat", "cancel", "enqueue", "fake_rig", "leave", "mini_rig", "open_rig", "per_day", "pool_of",
    "real_server", "settle",
]  # fmt: skip

START_MS = 1_800_000_000_000
os.environ["LUA_PATH"] = str(Path(__file__).parent / "lua_redis" / "?.lua")  # of the fake's `struct`
FAKE = fakeredis.FakeRedis(
    server_type="redis",
    version=(7,),
    lua_modules={"struct"},
    decode_responses=True,
    encoding_errors="surrogateescape",
)
Wire = list[Any]


def pool_of(
    *buckets: Bucket, keys: int = 1, slots: int = 0, lanes: Sequence[LaneLimits] = (),
    tenants: Sequence[TenantLimits] = (), aging_ms: int = 30_000,
) -> PoolLimits:  # fmt: skip
    """A pool with keys k0, k1 … of one domain d0, d1 … each, all with the same limits."""
    limits = (LaneLimits("*", buckets, slots), *lanes)
    return PoolLimits(
        "p",
        tuple((f"k{i}", (f"d{i}",)) for i in range(keys)),
        tuple(DomainLimits(f"d{i}", limits) for i in range(keys)),
        tenants=tuple(tenants),
        aging_ms=aging_ms,
    )


def per_day(amount: int, resource: str = "requests") -> Bucket:
    """A limit per day."""
    return Bucket(resource, amount, period_ms=86_400_000, jitter_ms=0)


def enqueue(
    ticket: str, limits: PoolLimits, *, lane: str = "*", tokens: tuple[int, int] = (0, 0),
    wait_ms: int = 600_000, band: str = "normal", tenant: str = "default", tag: str = "", preferred: str = "",
    max_queued: int = 100_000,
) -> Wire:  # fmt: skip
    """Ask for a grant; `tokens` are input and max output."""
    place = [keyset_hash(limits), lane, *tokens, wait_ms]
    return ["e", ticket, *place, band, tenant, tag, preferred, max_queued]


def settle(
    ticket: str, input: int | None = None, output: int | None = None, *, pause_ms: int = -1, code: int = 0
) -> Wire:
    """End a lease; None is unknown; a pause says that the provider answered 429."""
    return ["s", ticket, -1 if input is None else input, -1 if output is None else output, pause_ms, code]


def cancel(ticket: str) -> Wire:
    """Withdraw a ticket, or undo a lease that was not sent."""
    return ["c", ticket]


def beat(*leases: tuple[str, int], asks: bool = False) -> Wire:
    """Report leases with the output tokens produced so far; where it asks, the answer tells the share of the process."""
    reported = [list(lease) for lease in leases]
    return ["h", reported, "", "", 1] if asks else ["h", reported]


def leave() -> Wire:
    """The process goes."""
    return ["b"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A step's reply: one result per operation, and what it brought beside them."""

    fence: int
    now: int
    results: list[list[Any]]
    grants: list[list[Any]]
    wakes: list[list[Any]]
    refusals: list[list[Any]]

    @property
    def result(self) -> list[Any]:
        """The result of the only operation."""
        assert len(self.results) == 1
        return self.results[0]


@dataclass(frozen=True, slots=True)
class Mail:
    """What lay in a mailbox, all messages together."""

    grants: list[list[Any]] = field(default_factory=list)
    wakes: list[list[Any]] = field(default_factory=list)
    refusals: list[list[Any]] = field(default_factory=list)


@dataclass(slots=True)
class Member:
    """What a process knows and holds."""

    limits: PoolLimits
    known: Known = field(default_factory=Known)


class Rig:
    """One pool on one server, and the processes that use it. `clock` is None where time is real."""

    def __init__(self, client: Any, *, namespace: str = "rig", pool: str = "p", is_fake: bool = True) -> None:
        self.client = client
        self.keys = PoolKeys(namespace, pool)
        self.members: dict[str, Member] = {}
        self.time_ms = START_MS if is_fake else 0
        self.is_fake = is_fake
        self.steps = 0
        self._epochs = 0

    # -- time ----------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Let time pass; on a real server by sleeping."""
        if self.is_fake:
            self.time_ms += ms
        else:
            time.sleep(ms / 1000)

    def timed(self, command: Callable[[], Any]) -> Any:
        """Carry out a command at the rig's time: the fake takes its TIME from `time.time`."""
        if not self.is_fake:
            return command()
        now = (self.time_ms + 0.25) / 1000
        with mock.patch("time.time", lambda: now):  # noqa: PT008  a Mock costs more than the command
            return command()

    # -- scripts -------------------------------------------------------------------------------

    def call(self, name: str, *arguments: str | bytes | int) -> Any:
        """Call a script, by its SHA1 as the engine does."""
        script, keys = load_script(name), self.keys.all()
        if name == "key_switch":
            keys = keys[:1]
        try:
            return self.timed(lambda: self.client.evalsha(script.sha, len(keys), *keys, *arguments))
        except redis.exceptions.NoScriptError:
            return self.timed(lambda: self.client.eval(script.source, len(keys), *keys, *arguments))

    def register(
        self, process: str, limits: PoolLimits, *, leases: Iterable[Lease] = (), ttl_s: float = 15.0,
        is_lost: bool = False, returns: Sequence[Wire] = (),
    ) -> list[Any]:  # fmt: skip
        """Make a process known, with what it knows, holds and has used by itself; gives the script's reply."""
        member = self.members.setdefault(process, Member(limits))
        member.limits = limits
        member.known.is_lost = is_lost
        self._epochs += 1
        epoch = f"{self.keys.pool}-epoch-{self._epochs}"
        text = offer(limits, member.known, ttl_s, leases)
        if returns:
            text = json.dumps({**json.loads(text), "returns": returns})
        reply = self.call("pool_register", process, epoch, text)
        member.known = Known(reply[1], reply[2])
        return list(reply)

    def step(self, process: str, *operations: Wire) -> Answer | None:
        """One step of a process; None when the script answers `register`."""
        self.steps += 1
        known = self.members[process].known
        reply = json.loads(
            self.call("pool_step", encode_call(process, known.epoch, known.fence, operations))
        )
        if reply[0] == "register":
            return None
        known.fence = reply[1]
        *said, refusals = reply[1:]
        return Answer(*said, [refusal[:2] for refusal in refusals])

    def taken(self, process: str, *operations: Wire) -> Answer:
        """A step that must not be answered with `register`."""
        answer = self.step(process, *operations)
        assert answer is not None, f"{process} was told to register"
        return answer

    def enqueue(self, process: str, ticket: str, **options: Any) -> list[Any]:
        """A step that enqueues one ticket; gives its result."""
        return self.taken(process, enqueue(ticket, self.members[process].limits, **options)).result

    def switch(self, key: str, action: str, pause_ms: int = 0) -> None:
        """Take a key out of service for the whole fleet, or put it back."""
        self.call("key_switch", key, action, pause_ms, "test")

    def lease(self, ticket: str, grant: Sequence[Any], **need: Any) -> Lease:
        """The lease that a process holds after a grant {key, fence, …}, for registering again."""
        need = {"lane": "*", "input_tokens": 0, "max_output_tokens": 0, **need}
        lease = Lease(None, ticket, Need(**need), None)  # type: ignore[arg-type]
        lease.key_id, lease.fence = grant[0], grant[1]
        return lease

    # -- what is there -------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """pool_snapshot as a dict; empty when there is no pool."""
        text = self.call("pool_snapshot")
        return dict(json.loads(text)) if text else {}

    def bucket(self, at: int = 0, *, domain: str = "d0", lane: str = "*") -> dict[str, Any]:
        """One bucket of the snapshot."""
        return dict(self.snapshot()["domains"][domain]["lanes"][lane][at])

    def units(self) -> dict[str, list[tuple[int, int, int]]]:
        """Per domain|lane its buckets as they were last written: (level, held, ms), in units."""
        fields = self.timed(lambda: self.client.hgetall(self.keys.all()[0]))
        stored = {}
        for name, text in fields.items():
            if name.startswith("buckets|"):
                _, at, *numbers = numbers_in(text)
                levels = zip(numbers[::2], numbers[1::2], strict=True)
                stored[name.removeprefix("buckets|")] = [(level, held, at) for level, held in levels]
        return stored

    def mailbox(self, process: str) -> Mail:
        """Read and empty a mailbox."""
        name, mail = self.keys.mailbox(process), Mail()
        texts = self.timed(lambda: self.client.lpop(name, 1000)) or []
        for text in texts:
            _, grants, wakes, refusals = json.loads(text)
            mail.grants.extend(grants)
            mail.wakes.extend(wakes)
            mail.refusals.extend(refusal[:2] for refusal in refusals)
        return mail

    def every_key(self) -> list[str]:
        """The Redis keys of this pool."""
        found = self.timed(lambda: self.client.keys("*"))
        return sorted(name for name in found if name.startswith(self.keys.prefix))

    def lifetimes(self) -> dict[str, int]:
        """Per Redis key of this pool its TTL in ms; -1 is for ever."""
        return {name: self.timed(lambda name=name: self.client.pttl(name)) for name in self.every_key()}

    def dump(self) -> dict[str, bytes]:
        """The state of every key, as a replica might have had it."""
        return {name: self.timed(lambda name=name: self.client.dump(name)) for name in self.every_key()}

    def contents(self) -> dict[str, Any]:
        """What every key holds: unlike its dump, the same however the server has laid it out."""
        index, expiries = self.keys.all()[2:4]

        def read(name: str) -> Any:
            if name in (index, expiries):
                return self.client.execute_command("ZRANGE", name, 0, -1, "WITHSCORES")
            is_mailbox = name.startswith(self.keys.mailbox(""))
            return self.client.lrange(name, 0, -1) if is_mailbox else self.client.hgetall(name)

        return {name: self.timed(lambda name=name: read(name)) for name in self.every_key()}

    def restore(self, state: dict[str, bytes]) -> None:
        """Put an older state back: all writes since are lost."""
        self.timed(self.client.flushall)
        for name, text in state.items():
            self.timed(lambda name=name, text=text: self.client.restore(name, 3_600_000, text))


def fake_rig(limits: PoolLimits, *processes: str, **options: Any) -> Rig:
    """An empty fake server with a pool, and these processes registered (default: A)."""
    FAKE.flushall()
    rig = Rig(FAKE)
    for process in processes or ("A",):
        rig.register(process, limits, **options)
    return rig


def mini_rig(limits: PoolLimits, *processes: str, **options: Any) -> Rig:
    """The same on a mini Redis of its own, for what takes many calls."""
    rig = Rig(MiniRedis())
    for process in processes or ("A",):
        rig.register(process, limits, **options)
    return rig


@contextmanager
def open_rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, for a fixture with the params "fake" and "real"."""
    if request.param == "fake":
        FAKE.flushall()
        yield Rig(FAKE)
    else:
        with real_server(request.getfixturevalue("server").url) as rig:
            yield rig


@contextmanager
def real_server(url: str) -> Iterator[Rig]:
    """A rig on an emptied real server, where time is real."""
    with redis.Redis.from_url(url, decode_responses=True, encoding_errors="surrogateescape") as client:
        client.flushall()
        yield Rig(client, is_fake=False)
