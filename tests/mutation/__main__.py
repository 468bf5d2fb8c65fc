"""Mutates lua/, one change at a time, and tells which changes no test notices: `./dev mutate`.

Every comparison is flipped and every statement dropped, with --edges also every edge of an order moved
(see mutants.py). The tests of the scripts run in forks of this process on the mini Redis, until one fails.
Verdicts are kept in .mutation.jsonl: a run goes on where one stopped, and looks again at
files that have changed, and at survivors when tests have. Survivors need a reason in tests/mutation/survivors.txt.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from llm_fleet.engine.scripts import lua_folder
from tests.mutation.bench import Bench, Verdict, use_mini_redis
from tests.mutation.mutants import Mutant, mutants_of, script_places
from tests.mutation.report import Journal, Report, digest, read_reasons, write_reasons

ROOT = Path(__file__).parent.parent.parent
SURVIVORS = Path(__file__).parent / "survivors.txt"
JOURNAL = ROOT / ".mutation.jsonl"
WATCHERS = ("test_engine_*.py", "test_lua_*.py", "test_simulation*.py")
NOT_WATCHERS = {
    "test_lua_headers.py",
    "test_lua_redis.py",
    "test_lua_mutants.py",
    "test_engine_cost.py",
    "test_engine_thread.py",
}
PYTEST = (
    "-o",
    "addopts=",
    "-p",
    "no:terminal",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:valkey",
    "--assert=plain",
)
MARKS = ("-m", "not slow and not load")


def watcher_files(named: Sequence[str]) -> list[Path]:
    """The tests that look at mutants."""
    if named:
        return [Path(name) for name in named]
    found = {path for pattern in WATCHERS for path in (ROOT / "tests").glob(pattern)}
    return sorted(path for path in found if path.name not in NOT_WATCHERS)


def chosen(texts: dict[str, str], options: argparse.Namespace) -> list[Mutant]:
    """The mutants of this run."""
    only = {name.removeprefix("lua/").removesuffix(".lua") for name in options.only}
    unknown = only - set(texts)
    if unknown:
        raise SystemExit(f"no such file below lua/: {', '.join(sorted(unknown))}")
    wanted = [file for file in texts if not only or file in only]
    found = [m for file in wanted for m in mutants_of(file, texts[file]) if options.edges or m.kind != "edge"]
    if options.sample and options.sample < len(found):
        found = random.Random(options.seed).sample(found, options.sample)
    return found


class Run:
    """One run of the command, inside pytest's."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.texts = dict(script_places(lua_folder()))
        self.mutants = chosen(self.texts, options)
        tests = digest(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))
        self.journal = Journal(None if options.tests else JOURNAL, self.texts, tests)
        self.verdicts: dict[Mutant, Verdict] = {}
        self.failing: list[str] = []
        self.started = time.monotonic()

    def work(self, bench: Bench) -> None:
        """Look at every mutant whose verdict is not known."""
        known = {} if self.options.fresh else self.journal.verdicts()
        self.verdicts = {mutant: known[mutant.name] for mutant in self.mutants if mutant.name in known}
        todo = [mutant for mutant in self.mutants if mutant not in self.verdicts]
        self.say(f"{len(self.mutants)} mutants, {len(todo)} to look at; first every test as it is ...")
        failing = bench.get_to_know(self.options.workers) if todo else []
        self.failing = [] if self.options.ignore_failing else failing
        for name in failing:
            self.say(f"fails without any mutation: {name}")
        if self.failing:
            return
        for mutant, verdict in self.verdicts.items():
            bench.remember(mutant.file, verdict.by.split(" (")[0])
        for count, (mutant, verdict) in enumerate(bench.show(todo, self.options.workers), 1):
            self.verdicts[mutant] = verdict
            self.journal.note(mutant, verdict)
            if not verdict.by or count % 50 == 0:
                place, what = f"lua/{mutant.file}.lua:{mutant.line}", verdict.by or "NOT NOTICED"
                self.say(f"{count}/{len(todo)} {place} {mutant.kind} {mutant.was}: {what}")

    def say(self, text: str) -> None:
        """Progress goes to standard error."""
        print(f"[{time.monotonic() - self.started:6.0f} s] {text}", file=sys.stderr, flush=True)

    def report(self) -> Report:
        verdicts = {mutant: self.verdicts[mutant] for mutant in self.mutants if mutant in self.verdicts}
        is_whole = self.options.edges and not self.options.only and not self.options.sample
        return Report(verdicts, read_reasons(SURVIVORS), is_whole, time.monotonic() - self.started)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./dev mutate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="FILE", help="lua/lib/pump.lua, say; may be repeated"
    )
    parser.add_argument(
        "--tests", action="append", default=[], metavar="FILE", help="other tests than all of the scripts'"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="only so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument(
        "--edges", action="store_true", help="move the edges of orders too: < is <=, and so on"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--patience",
        type=float,
        default=12.0,
        metavar="S",
        help="tests of so many seconds per mutant, at most",
    )
    parser.add_argument("--ignore-failing", action="store_true", help="leave out tests that fail as lua/ is")
    parser.add_argument("--fresh", action="store_true", help="forget the verdicts of earlier runs")
    parser.add_argument(
        "--write", action="store_true", help="write the survivors of a whole run into survivors.txt"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code says whether at least 95 % were noticed and every survivor has a reason."""
    options = options_of(arguments)
    run = Run(options)
    if options.fresh:
        run.journal.forget()
    use_mini_redis()
    code = pytest.main(
        [*PYTEST, *MARKS, *map(str, watcher_files(options.tests))],
        plugins=[Bench(run.texts, run.work, options.patience)],
    )
    if run.failing or code:
        print("tests fail without any mutation, or cannot be collected", file=sys.stderr)
        return 2
    report = run.report()
    if options.write and not options.only and not options.sample:
        kept = [] if options.edges else [name for name in report.reasons if " | edge" in name]
        write_reasons(SURVIVORS, sorted({*kept, *(m.name for m in report.survivors)}), report.reasons)
    print(json.dumps(report.as_json(), indent=2) if options.json else "\n".join(report.lines()))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
