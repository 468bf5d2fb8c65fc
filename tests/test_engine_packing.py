"""What a process asks of a step arrives in Lua as it was: names of any letters, numbers of any size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.engine.packing import encode_call
from llm_fleet.engine.scripts import lua_folder
from llm_fleet.engine.values import Bucket
from llm_fleet.models import BANDS
from tests.lua_redis import MiniRedis
from tests.pool_rig import Rig, pool_of, real_server

NAMES = st.text(st.characters(exclude_characters='|"\\', exclude_categories=("Cs", "Cc")), max_size=12)
NUMBERS = st.integers(-1, 2**52)
BAND = st.sampled_from(BANDS)
ENQUEUES = st.tuples(
    st.just("e"), NAMES, NAMES, NAMES, NUMBERS, NUMBERS, NUMBERS, BAND, NAMES, NAMES, NAMES, NUMBERS
)
SETTLES = st.tuples(st.just("s"), NAMES, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 4))
OTHERS = st.one_of(st.tuples(st.just("c"), NAMES), st.just(("b",)))
DECODED = """
local out = { caller, known_epoch, string.format("%.0f", known_fence) }
for i = 1, #calls do
    for j = 1, #calls[i] - 1 do
        out[#out + 1] = type(calls[i][j]) == "number" and string.format("%.0f", calls[i][j]) or calls[i][j]
    end
end
return out
"""


def decoded(client: Any, wires: list[Any]) -> list[str]:
    """What lib/calls makes of a call: who asks, and the parts of all operations, as texts."""
    opening, calls, opened = (
        (lua_folder() / "lib" / f"{name}.lua").read_text() for name in ("opening", "calls", "opened")
    )
    source = f"{opening}local calls = {{}}\n{calls.replace('--@include lib/opened', opened)}{DECODED}"
    return list(client.eval(source, 1, "{p}pool", encode_call("ä-1", "epoch", 2**52, wires)))


def told(wires: list[Any], *numbers: int) -> list[str]:
    """The same parts as they were asked, bands and the numbers of tickets as numbers; a leave has an empty part."""
    counted = iter(numbers)
    parts: list[Any] = ["ä-1", "epoch", 2**52]
    for wire in wires:
        parts += [BANDS.index(part) if at == 7 else part for at, part in enumerate(wire)]
        parts += [next(counted, 0)] if wire[0] in "ec" else [""] if wire[0] == "b" else []
    return [str(part) for part in parts]


@given(st.lists(st.one_of(ENQUEUES, SETTLES, OTHERS), max_size=6))
def test_operations_arrive_as_they_were_asked(wires) -> None:
    """Every part of every operation, in order, in Lua 5.1."""
    assert decoded(MiniRedis(), wires) == told(wires)


def test_operations_arrive_on_a_real_server(server) -> None:
    """The same in the Lua of a real server; a heartbeat's part is its JSON."""
    with real_server(server.url) as rig:
        wires = [
            ("e", "ä-1-a1", "set", "große Spur", 0, 2**52, 1, "batch", "mandant 雪", "", "k", 100_000),
            ("s", "ä-1-a1", -1, 2**40, -1, 0),
            ("c", "ä-1-b"),
            ("b",),
        ]
        assert decoded(rig.client, wires) == told(wires, 0xA1, 0xB)
        *_, kind, said = decoded(rig.client, [["h", [["a-1", 7]], "", "a-9"]])
        assert (kind, json.loads(said)) == ("h", [[["a-1", 7]], "", "a-9"])


@pytest.mark.parametrize(
    ("ticket", "number"),
    [
        ("ä-1-1", 1),
        (f"ä-1-{2**50 - 1:x}", 2**50 - 1),
        (f"ä-1-{2**50:x}", 0),
        ("ä-1--1", 0),
        ("ä-1-", 0),
        ("ä-1-x", 0),
        ("ä-11", 0),
        ("b-ä-1-1", 0),
    ],
)
def test_a_ticket_has_the_number_that_its_process_counted(ticket, number) -> None:
    """The hex digits behind the id of the process; 0 of an id that another made, or made otherwise."""
    wires: list[Any] = [("c", ticket)]
    assert decoded(MiniRedis(), wires) == told(wires, number)


def test_more_than_a_step_carries_is_refused() -> None:
    """128 operations are taken; one more ends the step before anything is done."""
    limits = pool_of(Bucket("requests", 1_000))
    rig = Rig(MiniRedis())
    rig.register("A", limits)
    assert len(rig.taken("A", *(["c", f"A-{i:x}"] for i in range(128))).results) == 128
    with pytest.raises(Exception, match="more than 128 operations"):
        rig.taken("A", *(["c", f"A-{i:x}"] for i in range(129)))
