"""Draws what the benchmarks found: benchmarks/results/*.json become *.svg beside them.

python -m benchmarks.plots [FOLDER]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.plots_svg import Chart, Series, bars, step_of

Json = dict[str, Any]
RESULTS = Path(__file__).parent / "results"
SHOWN = 0.95  # of the wake-ups; the rest is other work on the machine
CPU, FLAT = "µs of Redis CPU", 1.5
SPREAD = 8.0  # lines that differ by more are drawn on a logarithmic axis
LOADS = {
    "life": "lives (llm_fleet)",
    "acquire": "acquires (llm_fleet)",
    "evalsha": "bare EVALSHA return 1",
    "ping": "bare PING",
}


def described(found: Json) -> str:
    """What a run was made on, in a line."""
    machine = found["environment"]
    return f"{machine['server']}, Python {machine['python']}, {machine['cores']} cores; read as ratios"


def of_curves(found: Json, name: str, title: str, x_name: str) -> str:
    """One chart of the curves of a name."""
    curves: Json = found["data"][name]
    series = [Series(label, [(p["x"], p["us"]) for p in points]) for label, points in curves.items()]
    ys = [y for each in series for _, y in each.points]
    ticks = sorted({x for each in series for x, _ in each.points})
    bounds = {f"{FLAT:g} x of the first": FLAT * ys[0]} if len(series) == 1 else {}
    is_log = max(ys) / min(ys) > SPREAD
    chart = Chart(title, described(found), x_name, CPU, series, ticks, is_log_y=is_log, bounds=bounds)
    return chart.svg()


def batches(found: Json) -> str:
    lives = found["data"]["batches"]["lives"]
    series = [Series("a life", [(p["x"], p["us"]) for p in lives])]
    bounds = {"target, alone": 60.0, "target, from 8 on": 25.0}
    ticks = [p["x"] for p in lives]
    title = "Redis CPU per life (enqueue and settle), 4 keys, 3 resources"
    return Chart(title, described(found), "lives per step", CPU, series, ticks, bounds=bounds).svg()


def waking(found: Json) -> str:
    data, series = found["data"]["waking"], []
    for name, label in (("ours_us", "llm_fleet, whole step"), ("bare_us", "LPUSH to BLPOP")):
        values = data[name][: round(len(data[name]) * SHOWN)]
        series.append(Series(label, [(x, 100 * (i + 1) / len(data[name])) for i, x in enumerate(values)]))
    step = step_of(max(x for each in series for x, _ in each.points))
    ticks = [step * i for i in range(8) if step * (i - 1) < max(each.points[-1][0] for each in series)]
    title = "From the push to the task that waits"
    return Chart(title, described(found), "µs", "% within", series, ticks, is_log_x=False).svg()


def speed(found: Json) -> str:
    rates = found["data"]["speed"]
    rows = [(label, median(rates[name]), f"{median(rates[name]):,.0f}/s") for name, label in LOADS.items()]
    return bars("2 processes x 32 tasks, never blocked", described(found), rows, "(llm_fleet)")


def peers(found: Json) -> str:
    rows = []
    for name, peer in found["peers"].items():
        for resources in (1, 3):
            if one := peer.get(f"resources_{resources}"):
                words = f"{one['times_bare']:g} x  ({one['per_second']:,}/s)"
                rows.append(
                    (f"{name}, {resources} resource{'s' * (resources > 1)}", one["times_bare"], words)
                )
    return bars(
        "Acquires/s against bare EVALSHA/s of the same environment", described(found), rows, "llm_fleet"
    )


ENGINE: dict[str, Callable[[Json], str]] = {
    "batches": batches,
    "keys": lambda found: of_curves(found, "keys", "Redis CPU over API keys", "keys"),
    "queue": lambda found: of_curves(
        found, "queue", "Redis CPU per grant over queued tickets", "queued tickets"
    ),
    "processes": lambda found: of_curves(
        found, "processes", "Redis CPU per life over processes", "registered processes"
    ),
    "speed": speed,
    "waking": waking,
}


def drawn(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each picture for which there are results."""
    engine, compared = folder / "engine.json", folder / "peers.json"
    if engine.exists():
        found = json.loads(engine.read_text(encoding="utf-8"))
        for name, draw in ENGINE.items():
            if name in found["data"]:
                yield f"engine_{name}", draw(found)
    if compared.exists():
        yield "peers", peers(json.loads(compared.read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw everything."""
    given = sys.argv[1:] if arguments is None else arguments
    folder = Path(given[0]) if given else RESULTS
    for name, picture in drawn(folder):
        path = folder / f"{name}.svg"
        path.write_text(picture, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
