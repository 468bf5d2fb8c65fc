"""What a process asks of a step arrives in Lua as it was: names of any letters, numbers of any size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.engine.packing import encode_operations
from llm_fleet.engine.scripts import lua_folder
from llm_fleet.engine.values import Bucket
from tests.lua_redis import MiniRedis
from tests.pool_rig import Rig, pool_of, real_server

NAMES = st.text(st.characters(exclude_characters='|"\\', exclude_categories=("Cs", "Cc")), max_size=12)
NUMBERS = st.integers(-1, 2**52)
ENQUEUES = st.tuples(
    st.just("e"), NAMES, NAMES, NAMES, NUMBERS, NUMBERS, NUMBERS, NAMES, NAMES, NAMES, NAMES, NUMBERS
)
SETTLES = st.tuples(st.just("s"), NAMES, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 4))
OTHERS = st.one_of(st.tuples(st.just("c"), NAMES), st.just(("b",)))
DECODED = """
local out = {}
for i = 1, #calls do
    for j = 1, #calls[i] - 1 do
        out[#out + 1] = type(calls[i][j]) == "number" and string.format("%.0f", calls[i][j]) or calls[i][j]
    end
end
return out
"""


def decoded(client: Any, wires: list[Any]) -> list[str]:
    """What lib/calls makes of operations: the parts of all of them, as texts."""
    calls = (lua_folder() / "lib" / "calls.lua").read_text()
    for name in ("opening", "opened"):
        library = (lua_folder() / "lib" / f"{name}.lua").read_text()
        calls = calls.replace(f"--@include lib/{name}", library)
    return list(client.eval(calls + DECODED, 1, "{p}pool", "process", "", "", 0, encode_operations(wires)))


def told(wires: list[Any]) -> list[str]:
    """The same parts as they were asked; a leave has an empty one."""
    return [str(part) for wire in wires for part in (*wire, *([""] if wire[0] == "b" else []))]


@given(st.lists(st.one_of(ENQUEUES, SETTLES, OTHERS), max_size=6))
def test_operations_arrive_as_they_were_asked(wires) -> None:
    """Every part of every operation, in order, in Lua 5.1."""
    assert decoded(MiniRedis(), wires) == told(wires)


def test_operations_arrive_on_a_real_server(server) -> None:
    """The same in the Lua of a real server; a heartbeat's part is its JSON."""
    with real_server(server.url) as rig:
        wires = [
            ("e", "a-1", "set", "große Spur", 0, 2**52, 1, "batch", "mandant 雪", "", "k", 100_000),
            ("s", "a-1", -1, 2**40, -1, 0),
            ("c", "a-2"),
            ("b",),
        ]
        assert decoded(rig.client, wires) == told(wires)
        kind, said = decoded(rig.client, [["h", [["a-1", 7]], "", "a-9"]])
        assert (kind, json.loads(said)) == ("h", [[["a-1", 7]], "", "a-9"])


def test_more_than_a_step_carries_is_refused() -> None:
    """128 operations are taken; one more ends the step before anything is done."""
    limits = pool_of(Bucket("requests", 1_000))
    rig = Rig(MiniRedis())
    rig.register("A", limits)
    assert len(rig.taken("A", *(["c", f"A-{i:x}"] for i in range(128))).results) == 128
    with pytest.raises(Exception, match="more than 128 operations"):
        rig.taken("A", *(["c", f"A-{i:x}"] for i in range(129)))
