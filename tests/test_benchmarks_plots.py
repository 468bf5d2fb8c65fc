"""benchmarks/plots.py and engine_report.py: pictures and verdicts of results that are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.engine_report import Figure, table
from benchmarks.plots import main
from benchmarks.plots_svg import Axis, apart, step_of

MACHINE = {"server": "redis 7.0.15", "python": "3.11.7", "cores": 2}
POINTS = [{"x": 4, "us": 50.0}, {"x": 1000, "us": 60.0}]
ENGINE = {
    "batches": {"bare_us": 1.0, "lives": [{"x": 1, "us": 55.0}, {"x": 8, "us": 20.0}]},
    "keys": {"unblocked": POINTS, "slots full": [{"x": 4, "us": 70.0}, {"x": 1000, "us": 9000.0}]},
    "queue": {"grant": POINTS},
    "processes": {"unblocked": POINTS},
    "speed": {"life": [9_000, 8_000], "acquire": [9_500], "evalsha": [10_000], "ping": [12_000]},
    "waking": {"ours_us": [300, 400, 500], "bare_us": [200, 250, 260]},
}
ONE = {"per_second": 9_000, "times_bare": 0.9, "client_us": 40, "redis_us": 30}
PEERS = {"llm_fleet": {"resources_1": ONE, "resources_3": ONE}, "other <&>": {"skipped": "no such package"}}


def words(path: Path) -> str:
    """All words of a picture; it must be well-formed."""
    return " ".join(ElementTree.parse(path).getroot().itertext())


def write(path: Path, **found: Any) -> None:
    path.write_text(json.dumps({"environment": MACHINE, **found}))


def test_every_curve_becomes_a_picture(tmp_path: Path) -> None:
    """Each part of the results has a picture with its title, its names and the machine."""
    write(tmp_path / "engine.json", data=ENGINE)
    main([str(tmp_path)])
    pictures = {path.stem: words(path) for path in tmp_path.glob("*.svg")}
    assert set(pictures) == {f"engine_{name}" for name in ENGINE}
    assert all("redis 7.0.15" in said for said in pictures.values())
    assert "slots full" in pictures["engine_keys"]
    assert "8,500/s" in pictures["engine_speed"]


def test_parts_that_were_not_run_have_no_picture(tmp_path: Path) -> None:
    """Results of some parts alone are drawn, and nothing else."""
    write(tmp_path / "engine.json", data={"queue": ENGINE["queue"]})
    main([str(tmp_path)])
    assert [path.name for path in tmp_path.glob("*.svg")] == ["engine_queue.svg"]


def test_peers_that_were_skipped_have_no_bar(tmp_path: Path) -> None:
    """A limiter that could not be installed is left out of the picture."""
    write(tmp_path / "peers.json", peers=PEERS)
    main([str(tmp_path)])
    said = words(tmp_path / "peers.svg")
    assert "llm_fleet, 3 resources" in said
    assert "other" not in said


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [(("≤", 60), 60, "met"), (("≤", 60), 61, "missed"), (("≥", 0.8), 0.8, "met"), (("=", 100), 99, "missed")],
)
def test_a_target_has_a_verdict(target: tuple[str, float], value: float, verdict: str) -> None:
    """A bound counts as met; a figure without one has no verdict."""
    assert Figure("a", value, "µs", target).verdict == verdict
    assert Figure("a", value).verdict == ""


def test_a_table_lines_up() -> None:
    """Every line of the table begins its values at the same place."""
    lines = table([Figure("short", 5, "µs", ("≤", 60)), Figure("a longer name", 12_345)]).splitlines()
    assert lines[2].split() == ["short", "5", "µs", "≤", "60", "met"]
    assert lines[2].index("µs") + 2 == lines[3].index("12,345") + 6


def test_axes_are_round() -> None:
    """A linear axis begins at 0 and ends above the most; a logarithmic one spans whole powers."""
    assert Axis.around([3, 370]).ticks() == [0, 100, 200, 300, 400]
    assert Axis.around([30, 9000], is_log=True).ticks() == [10, 100, 1000, 10_000]
    assert [step_of(most) for most in (1, 7, 60, 95)] == [0.2, 2, 10, 20]


def test_labels_do_not_cover_each_other() -> None:
    """Labels of lines that end at one place stand below each other."""
    assert [y for y, *_ in apart([(10, "a", ""), (12, "b", ""), (90, "c", "")])] == [10, 26, 90]
