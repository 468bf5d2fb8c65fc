"""benchmarks/overhead.py: it runs, and what it prints is what it says."""

from __future__ import annotations

import json

import pytest

from benchmarks.overhead import TARGET_MS, TASKS, Load, main
from benchmarks.overhead_ways import KINDS, VENDORS, WAYS

LOADS = [(vendor.kind, kind, tasks) for vendor in VENDORS for kind in KINDS for tasks in TASKS]


def test_every_load_is_measured_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    """One turn: CPU of each way, a verdict on what is above the SDK's own, steps, and how slow the machine is."""
    assert main(["--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(load["vendor"], load["kind"], load["tasks"]) for load in found["data"]] == LOADS
    assert all(set(load["cpu_ms"]) == set(WAYS) for load in found["data"])
    assert all(spent > 0 for load in found["data"] for way in WAYS for spent in load["cpu_ms"][way])
    assert found["scales"]["overhead"]["slowness"] >= 1
    judged = [figure for figure in found["figures"] if figure["target"]]
    assert [figure["target"] for figure in judged] == [f"≤{TARGET_MS}"] * (len(LOADS) // 2)
    assert all(figure["scaled"] is not None and figure["verdict"] for figure in judged)
    steps = [figure["value"] for figure in found["figures"] if figure["name"].endswith("steps per call")]
    assert len(steps) == len(LOADS)
    assert all(each > 0 for each in steps)


def test_what_is_above_the_sdk_is_judged_turn_by_turn() -> None:
    """The median of the differences, each within one turn; and the difference of the best rounds."""
    load = Load(
        "anthropic", "complete", 1, {"sdk": [1.0, 3.0, 2.0], "evalsha": [1.0] * 3, "fleet": [1.5, 3.4, 9.0]}
    )
    assert (load.above("fleet"), load.least_above("fleet")) == (0.5, 0.5)
    assert load.above("evalsha") == -1.0
