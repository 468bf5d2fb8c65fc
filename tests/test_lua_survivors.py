"""The small scripts alone on the mini Redis: conversations, and keys out of service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_fleet.engine.scripts import load_script
from llm_fleet.engine.values import Bucket
from tests.lua_redis import MiniRedis
from tests.pool_rig import START_MS, Rig, fake_rig, pool_of

HOUR_MS = 3_600_000


class Conversation:
    """One conversation, as processes call its scripts; every generation that begins has a name of its own."""

    def __init__(self) -> None:
        self.now_us = 1_000_000
        self.mini = MiniRedis(lambda: self.now_us)
        self.generations = 0

    def call(self, name: str, *arguments: str | int) -> list[Any]:
        return list(self.mini.eval(load_script(name).source, 1, "talk", *arguments))

    def append(self, message: str, generation: str = "", known: int = 0) -> list[Any]:
        self.generations += 1
        return self.call("session_append", generation, known, HOUR_MS, f"g{self.generations}", message)

    def clear(self, generation: str) -> int:
        return int(self.call("session_clear", generation, HOUR_MS)[0])


def test_conversation_begins_with_its_first_message() -> None:
    """The first append begins a generation; a later one keeps it, and both tell only what was not seen."""
    talk = Conversation()
    assert talk.append("a") == ["g1", 0, ["a"]]
    assert talk.append("b", "g1", 1) == ["g1", 1, ["b"]]
    assert talk.append("c", "g1", 1) == ["g1", 1, ["b", "c"]]
    assert talk.mini.lrange("talk", 0, -1) == ["g1", "a", "b", "c"]


def test_nothing_is_appended_by_who_only_asks() -> None:
    """An empty message appends nothing and begins nothing."""
    talk = Conversation()
    assert talk.append("") == ["", 0, []]
    assert talk.mini.exists("talk") == 0
    talk.append("a")
    assert talk.append("", "g2", 0) == ["g2", 0, ["a"]]
    assert talk.append("", "g2", 1) == ["g2", 1, []]


def test_message_counts_once() -> None:
    """An append that is repeated, by who has not seen its message yet, changes nothing."""
    talk = Conversation()
    for message in ("a", "b", "a"):
        talk.append(message)
    assert talk.append("b", "g1", 0) == ["g1", 0, ["a", "b"]]
    assert talk.append("c", "g1", 1) == ["g1", 1, ["b", "c"]]


@pytest.mark.parametrize(("generation", "known"), [("other", 1), ("g1", 3), ("g1", 9)])
def test_who_knows_another_conversation_is_told_everything(generation: str, known: int) -> None:
    """Who knows another generation, or more than there is (Redis lost writes), sees it from the start."""
    talk = Conversation()
    talk.append("a")
    talk.append("b")
    assert talk.append("c", generation, known) == ["g1", 0, ["a", "b", "c"]]


def test_who_has_seen_all_is_told_nothing_again() -> None:
    """Who has seen just what there is, is told only what is new."""
    talk = Conversation()
    talk.append("a")
    talk.append("b")
    assert talk.append("", "g1", 2) == ["g1", 2, []]
    assert talk.append("c", "g1", 2) == ["g1", 2, ["c"]]


def test_clear_forgets_and_begins_anew() -> None:
    """After a clear nothing is left; the same clear again forgets nothing that came after the first."""
    talk = Conversation()
    talk.append("a")
    assert talk.clear("new") == 1
    assert talk.append("b", "g1", 1) == ["new", 0, ["b"]]
    assert talk.clear("new") == 0
    assert talk.append("", "new", 0) == ["new", 0, ["b"]]
    assert talk.clear("newer") == 1
    assert talk.mini.lrange("talk", 0, -1) == ["newer"]


@pytest.mark.parametrize("touch", ["append", "ask", "clear"])
def test_conversation_lives_an_hour_after_it_was_touched(touch: str) -> None:
    """Every call gives a conversation its whole lifetime again."""
    talk = Conversation()
    talk.append("a")
    talk.now_us += 2_000_000_000
    {"append": lambda: talk.append("b"), "ask": lambda: talk.append(""), "clear": lambda: talk.clear("x")}[
        touch
    ]()
    assert talk.mini.pttl("talk") == HOUR_MS


def outages(rig: Rig) -> dict[str, list[Any]]:
    """The keys that are stored as out of service."""
    return dict(json.loads(rig.timed(lambda: rig.client.hget(rig.keys.all()[0], "outages"))))


def test_outages_that_are_over_are_forgotten() -> None:
    """A switch keeps the outages that still last, to the millisecond, and drops the others."""
    rig = fake_rig(pool_of(keys=4))
    rig.switch("k0", "pause", 1_000)
    rig.switch("k1", "pause")
    rig.switch("k2", "pause", 1_001)
    rig.advance(1_000)
    rig.switch("k3", "pause", 5)
    assert outages(rig) == {
        "k1": [0, "test"], "k2": [START_MS + 1_001, "test"], "k3": [START_MS + 1_005, "test"],
    }  # fmt: skip


def test_switch_tells_how_many_keys_are_out() -> None:
    """It answers the number of keys out of service; resuming is no outage."""
    rig = fake_rig(pool_of(keys=3))
    told = [rig.call("key_switch", key, action, 0, "test") for key, action in
            (("k0", "pause"), ("k1", "pause"), ("k0", "resume"), ("k0", "resume"))]  # fmt: skip
    assert told == [[1], [2], [1], [1]]
    assert outages(rig) == {"k1": [0, "test"]}


def test_switch_before_any_process_is_kept() -> None:
    """A key may be taken out of service before a pool exists; it then is out, and the pool's key lives 30 days."""
    rig = fake_rig(pool_of(Bucket("requests", 60)))
    rig.client.flushall()
    rig.switch("k0", "pause", 60_000)
    assert outages(rig) == {"k0": [START_MS + 60_000, "test"]}
    assert rig.lifetimes() == {rig.keys.all()[0]: 30 * 24 * HOUR_MS}
    rig.register("B", pool_of(Bucket("requests", 60)))
    assert rig.enqueue("B", "t1") == ["q"]


def test_switch_keeps_time_as_the_pool_has_it() -> None:
    """A pause lasts by the pool's clock, which does not go back when the server's does."""
    rig = fake_rig(pool_of())
    rig.advance(10_000)
    rig.taken("A")
    rig.advance(-8_000)
    rig.switch("k0", "pause", 1_000)
    assert outages(rig)["k0"][0] == START_MS + 11_000
    rig.taken("A")
    rig.advance(-1_000)
    rig.switch("k0", "pause", 1_000)
    assert outages(rig)["k0"][0] == START_MS + 11_000


def test_switch_before_the_pool_renews_its_lifetime() -> None:
    """Every switch gives the pool's key its 30 days again."""
    rig = fake_rig(pool_of())
    rig.advance(100_000)
    rig.switch("k0", "pause")
    assert rig.lifetimes()[rig.keys.all()[0]] == 30 * 24 * HOUR_MS
