"""benchmarks/engine_cost.py: it runs, and what it prints is what it says."""

from __future__ import annotations

import json

import pytest

from benchmarks.engine_cost import main


def test_engine_cost_measures_lives_in_batches(capsys: pytest.CaptureFixture[str]) -> None:
    """Every batch size costs something, and together lives cost fewer commands than apart."""
    main(["--rounds", "64", "--keys", "2", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["bare_us"] > 0
    assert all(life["us"] > 0 for life in said["lives"].values())
    assert said["lives"]["1"]["commands"] > 2 * said["lives"]["8"]["commands"]
    assert 0 < said["queued_bytes"] < 450
