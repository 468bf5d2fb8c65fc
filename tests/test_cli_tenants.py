"""How `status` shows bands and tenants: pure functions of a snapshot."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from llm_fleet.cli.fleet.tenants import bands_line, tenants_section

LIMITS = {"requests_per_minute": (1, 3), "input_tokens_per_minute": (9000, 12_300)}


def flow(tenant: str, waiting: int = 1, band: str = "normal", **fields: Any) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "waiting": waiting,
        "band": band,
        "waited_ms": 100,
        "is_parked": False,
        **fields,
    }


def pool(*flows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A pool with one queue, and a tenant `trials` whose limits are half used if `limited` says so."""
    bands = {
        name: sum(one["waiting"] for one in flows if one["band"] == name) for name in ("normal", "batch")
    }
    buckets = [{"resource": name, "level": level, "capacity": most} for name, (level, most) in LIMITS.items()]
    domain = {"lanes": {"*": buckets}, "concurrency": 2, "in_flight": 1}
    domains = {"tenant:trials": domain} if fields.pop("limited", False) else {}
    waiting = sum(one["waiting"] for one in flows)
    queue = {"flows": list(flows), "bands": bands}
    return {"queues": [queue], "domains": domains, "weights": {}, "waiting": waiting, **fields}


def shown(state: dict[str, Any], *, most: int | None = None, width: int = 120) -> list[str]:
    sheet = StringIO()
    for part in tenants_section(state, most, is_narrow=width < 76):
        Console(file=sheet, width=width).print(part)
    return [" ".join(line.split()) for line in sheet.getvalue().splitlines() if line.strip()]


def test_bands_are_told_where_there_are_several():
    """In their order; who all wait in one band need no word."""
    state = pool(flow("a", 1200), flow("a", 3, "batch"))
    assert bands_line(state) == "1,200 normal, 3 batch"
    assert bands_line(pool(flow("a", 5))) == ""


def test_one_tenant_without_limits_is_not_shown():
    """Who uses no tenants sees nothing of them."""
    assert shown(pool(flow("default", 9))) == []


def test_a_line_per_tenant_the_longest_wait_first():
    """Weight, what waits over all bands, the longest wait; listed tenants also while nothing of theirs waits."""
    flows = [flow("b", 2), flow("b", 3, "batch", waited_ms=9000), flow("a", 4, waited_ms=20)]
    lines = shown(pool(*flows, weights={"a": 2500, "idle": 500}))
    assert lines == [
        "tenant weight waiting longest limits state",
        "b 1 5 9 s ok",
        "a 2.5 4 20 ms ok",
        "idle 0.5 0 ok",
    ]


def test_limits_of_a_tenant_are_told_with_their_levels():
    """Parked by its own limit it is `at its limit`."""
    lines = shown(pool(flow("trials", 7, is_parked=True), limited=True))
    levels = "requests/min 1/3, input/min 9k/12.3k, in flight 1/2"
    assert lines[1] == f"trials 1 7 0.1 s {levels} at its limit"


def test_of_many_tenants_the_first_are_shown():
    """How many more there are is said, and how many tickets wait of those that no flow tells of."""
    lines = shown(pool(*(flow(f"t{i}") for i in range(9)), waiting=50), most=3)
    assert len(lines) == 1 + 3 + 2
    assert lines[-2:] == [
        "and 41 waiting of tenants whose turn comes later",
        "and 6 tenants more; --all shows them",
    ]


def test_it_fits_a_narrow_terminal():
    """Names and levels are folded, not cut off."""
    state = pool(flow("a-tenant-with-a-long-name"), flow("trials"), limited=True)
    lines = shown(state, width=50)
    assert "longest" not in lines[0]
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= 50
