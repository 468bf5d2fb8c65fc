"""benchmarks/engine.py: every part runs, and what it prints is what it says."""

from __future__ import annotations

import json

import pytest

from benchmarks.engine import PARTS, main
from benchmarks.engine_report import Section


def figures(capsys: pytest.CaptureFixture[str], *parts: str) -> dict[str, float]:
    """The figures of some parts, in their quick form."""
    status = main(["--quick", "--json", "--only", ",".join(parts)])
    found = json.loads(capsys.readouterr().out)
    assert (status, found["failed"]) == (0, {})
    return {figure["name"]: figure["value"] for figure in found["figures"]}


def test_lives_cost_less_together_than_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """A life in a batch of 32 costs Redis less than one alone, and more than an empty script."""
    found = figures(capsys, "cost")
    alone = [us for name, us in found.items() if "per life, one at a time: " in name]
    assert len(alone) == 3
    assert found["Redis CPU of `EVALSHA return 1`"] < found["Redis CPU per life, batches of 32"] < min(alone)


def test_times_are_judged_by_the_speed_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that has a target in time brings the readings by which its figures are scaled."""
    assert main(["--quick", "--json", "--only", "dropping"]) == 0
    found = json.loads(capsys.readouterr().out)
    longest, scale = found["figures"][0], found["scales"]["dropping"]
    assert min(scale["readings"]) == scale["bare_us"] > 0
    assert longest["slowness"] == scale["slowness"] >= 1
    assert longest["scaled"] == pytest.approx(longest["value"] / longest["slowness"], abs=0.01)


def test_tickets_and_leases_have_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    """A queued ticket takes some bytes, and fewer than promised."""
    found = figures(capsys, "memory")
    assert 50 < found["memory per queued ticket"] <= 450
    assert found["memory per lease"] > 50


def test_a_burst_takes_exactly_the_day(capsys: pytest.CaptureFixture[str]) -> None:
    """A burst of two processes that do not wait is granted exactly what a day allows."""
    assert list(figures(capsys, "day").values()) == [100]


def test_wake_ups_are_counted_from_the_push(capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting tasks are woken, ours and the bare ones."""
    found = figures(capsys, "waking")
    assert found["wake-up, p50, with the whole step that pushes"] > found["Redis CPU of such a step"]
    assert found["bare LPUSH → BLPOP, p50"] > 0


def test_curves_have_their_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Each curve says how its last point compares with its first."""
    found = figures(capsys, "keys", "queue", "processes")
    assert len(found) == 5
    assert all(ratio > 0 for ratio in found.values())


def test_speed_is_of_processes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Lives are counted from both processes, and many share a step."""
    found = figures(capsys, "speed")
    assert found["lives/s, 2 processes x 32 tasks"] > 0
    together, alone = (
        found[f"steps per life, {who}"] for who in ("2 processes x 32 tasks", "one task alone")
    )
    assert together < 0.6 < alone <= 2


def test_an_unknown_part_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt part is named, with those that there are."""
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "costs"])
    assert stopped.value.code == 2
    assert "costs: there are cost, speed" in capsys.readouterr().err


def test_a_part_that_fails_says_why_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one part finds wrong costs no other part its figures, and is the exit code."""

    def fail(url: str, client: object, is_quick: bool) -> Section:
        raise AssertionError("a slot was free")

    monkeypatch.setitem(PARTS, "keys", fail)
    assert main(["--quick", "--only", "keys,memory"]) == 1
    said = capsys.readouterr()
    assert "keys failed: AssertionError: a slot was free" in said.err
    assert "memory per queued ticket" in said.out
