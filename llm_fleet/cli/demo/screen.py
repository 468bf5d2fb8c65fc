"""The demo while it runs: bars on a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..render import Bar, amount, plain_table, short_amount
from .report import use_of
from .scenario import TASKS, account_keys
from .show import Scene
from .workers import Worker

__all__ = ["LiveScreen", "PlainLines"]

PLAIN_EVERY_S = 2.0
WHILE = "from_first_to_last_accepted"


class PlainLines:
    """A line now and then, for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._due_s = console, PLAIN_EVERY_S

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""

    def show(self, scene: Scene) -> None:
        if scene.elapsed_s >= self._due_s:
            self._due_s += PLAIN_EVERY_S
            self._console.print(f"{scene.elapsed_s:5.1f} s  {_summary(scene)}")


class LiveScreen:
    """Bars that move."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveScreen:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, scene: Scene) -> None:
        self._live.update(_view(scene), refresh=True)


def _summary(scene: Scene) -> str:
    accounts, live = scene.books["accounts"], sum(not worker.is_killed for worker in scene.workers)
    return (
        f"{sum(account['accepted'] for account in accounts.values())} requests accepted,"
        f" {use_of(accounts, WHILE):.0%} of what is permitted,"
        f" {sum(account['rejected'] for account in accounts.values())} 429s,"
        f" {scene.pool.get('waiting', 0)} waiting, {scene.pool.get('leases', 0)} in flight, {live} processes"
    )


def _view(scene: Scene) -> RenderableType:
    elapsed_s = min(scene.elapsed_s, scene.seconds)
    time_bar = Bar(elapsed_s / scene.seconds, 0, 30, f"{elapsed_s:.1f} of {scene.seconds:g} s", "cyan")
    head = (time_bar, Text(_summary(scene)))
    return Group("", *head, "", _keys(scene), "", _processes(scene), "", _news(scene))


def _keys(scene: Scene) -> Table:
    """Per key what the provider has seen of what it permits so far; the bar is requests."""
    table = plain_table("key", "requests", "input tokens", "output tokens", "in flight", "429s")
    for account, key_id in account_keys().items():
        page = scene.books["accounts"][account]
        uses = [
            (page["used"][resource], page["permitted"][resource][WHILE])
            for resource in ("requests", "input_tokens", "output_tokens")
        ]
        (used, permitted), *tokens = uses
        label = f"{amount(used)}/{amount(permitted)}"
        shares = [f"{part / max(1, whole):4.0%} of {short_amount(whole)}" for part, whole in tokens]
        rejected = Text(str(page["rejected"]), "red" if page["rejected"] else "green")
        bar = Bar(used / max(1, permitted), 0, 12, label)
        table.add_row(key_id, bar, *shares, str(page["in_flight"]), rejected)
    return table


def _processes(scene: Scene) -> Table:
    table = plain_table("process", "pid", "served", "in flight", "waiting", "", right=["pid", "served"])
    for worker in scene.workers:
        known = scene.record_of(worker)
        queued = known.get("queued", 0)
        waiting = Bar(queued / TASKS, 0, 10, str(queued), "blue")
        counts = [
            str(number) for number in (worker.number, worker.pid, worker.served, known.get("leases", 0))
        ]
        table.add_row(*counts, waiting, _state(worker))
    return table


def _state(worker: Worker) -> Text:
    if worker.is_killed:
        return Text("killed", "bold red")
    return Text("done" if worker.done.is_set() else "live", "green")


def _news(scene: Scene) -> Text:
    kill = scene.kill
    if kill is None:
        return Text("")
    back = "not yet back" if kill.slots_back_s is None else f"back after {kill.slots_back_s:.1f} s"
    return Text(f"kill -9 of process {kill.worker.number}: it held {kill.leases} leases, {back}", "yellow")
