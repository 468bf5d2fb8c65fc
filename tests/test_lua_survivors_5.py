"""The stored state follows from the tickets alone, after every call; and at rest nothing of them is left."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import pytest

from tests.lua_ledger import Crew

SEEDS = range(12)
LASTING = {
    "accepted",
    "buckets", "config", "info", "key", "keyset", "limits", "meta", "order", "output", "outputs", "process",
    "queues", "ratio", "parked", "outages",
}  # fmt: skip


def busy(seed: int, calls: int = 45) -> Crew:
    """A crew after so many calls."""
    crew = Crew(seed)
    for _ in range(calls):
        crew.call()
    return crew


@pytest.mark.parametrize("seed", SEEDS)
def test_pool_at_rest_holds_nothing(seed: int) -> None:
    """When all has ended, no ticket, place, sum, slot or expiry is left, and only lasting records are."""
    crew = busy(seed)
    crew.rest()
    pool, tickets, index, expiries, *_ = crew.rig.keys.all()
    client = crew.rig.client
    assert client.hgetall(tickets) in ({}, {"": ""})
    assert [name for key in (index, expiries) for name in client.zrange(key, 0, -1) if name] == ["n|A", "n|B"]
    stored = client.hgetall(pool)
    assert {name.split("|")[0] for name in stored} <= LASTING
    assert json.loads(stored["queues"]) == {}
    assert all(held == 0 for buckets in crew.rig.units().values() for _, held, _ in buckets)


@pytest.mark.parametrize("seed", SEEDS)
def test_index_names_just_the_tickets_there_are(seed: int) -> None:
    """After every call each waiting ticket stands in one line, each lease in its process's list, and no other."""
    crew = Crew(seed)
    for _ in range(45):
        crew.call()
        queued, leases = crew.queued(), crew.leases()
        assert sorted(id for line in crew.lines().values() for id in line) == sorted(queued)
        assert sorted(member.split("|")[1] for member in crew.members("o")) == sorted(leases)
        assert sorted(queued) == sorted(id for ids in crew.waiting.values() for id in ids)
        assert sorted(leases) == sorted(id for ids in crew.held.values() for id in ids)
        assert all(held[0] == id[0] for id, held in leases.items())


@pytest.mark.parametrize(("seed", "calls"), [*((seed, 45) for seed in SEEDS), (40, 360), (43, 360)])
def test_sums_of_lines_and_flows_follow_from_their_tickets(seed: int, calls: int) -> None:
    """After every call the sums of a line and of a flow are those of the tickets in them, as predicted now."""
    crew = Crew(seed)
    for _ in range(calls):
        crew.call()
        queued, flows = crew.queued(), defaultdict[str, Counter[str]](Counter)
        for name, ids in crew.lines().items():
            sums = [sum(queued[id][5 + at] for id in ids) for at in range(3)]
            assert crew.records("line")[name][:4] == [len(ids), *sums], name
            flows[name.split("|", 1)[1]] += Counter(dict(zip("niop", [len(ids), *sums], strict=True)))
        assert set(crew.records("line")) == set(crew.lines())
        stored = {
            name: Counter(dict(zip("niop", flow[1:5], strict=True)))
            for name, flow in crew.records("flow").items()
        }
        assert {name: sums for name, sums in stored.items() if sums["n"]} == dict(flows)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_flow_has_one_place_and_every_line_one_head(seed: int) -> None:
    """After every call a flow that waits stands in one place, by its first ticket; a line in the order by its own."""
    crew = Crew(seed)
    for _ in range(45):
        crew.call()
        lines = crew.lines()
        heads = {}
        for member in crew.members("h"):
            flow, _order, process, id = member.rsplit("|", 3)
            heads[f"{process}|{flow}"] = id
        assert heads == {name: ids[0] for name, ids in lines.items()}
        places = [member.rsplit("|", 1)[1] for kind in "tp" for member in crew.members(kind)]
        first: dict[str, tuple[int, str]] = {}
        for name, ids in lines.items():
            entry = crew.queued()[ids[0]][4], ids[0]
            flow = name.split("|", 1)[1]
            first[flow] = min(first.get(flow, entry), entry)
        assert sorted(places) == sorted(id for _, id in first.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_are_counted_where_they_are_limited(seed: int) -> None:
    """After every call a lease fills a slot of each of its accounts and of its tenant, where slots are limited."""
    crew = Crew(seed)
    limited = {domain.name for domain in crew.limits.every_domain if domain.lanes[0].concurrency}
    for _ in range(45):
        crew.call()
        filled = Counter(member.split("|")[0] for member in crew.members("f"))
        expected = Counter(name for lease in crew.leases().values() for name in lease[1].split("|"))
        assert {name: filled[name] for name in limited} == {name: expected[name] for name in limited}
