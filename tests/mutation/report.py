"""What became of the mutants: the list of accepted survivors, the results so far, and the report."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutation.bench import Verdict
from tests.mutation.mutants import KINDS, Mutant

__all__ = ["Journal", "Report", "digest", "read_reasons", "write_reasons"]

WANTED = 0.95
NO_REASON = "?"
HEADER = """\
# Mutants of lua/ that no test notices (`./dev mutate`), each with the reason why that is no gap.
# A line names the file, the kind of change and the line of code; the indented lines below are the reason.
"""


def digest(texts: Iterable[str]) -> str:
    """Short name of these texts."""
    return hashlib.sha1("\0".join(texts).encode(), usedforsecurity=False).hexdigest()[:12]


class Journal:
    """The verdicts so far, one a line, so that a run can be taken up where it stopped; nowhere, without a path.

    A mutant that was noticed counts as long as its own file is the same; that nobody noticed, for the same tests.
    """

    def __init__(self, path: Path | None, texts: Mapping[str, str], tests: str) -> None:
        self._path, self._tests = path, tests
        self._lua = {file: digest([text]) for file, text in texts.items()}

    def verdicts(self) -> dict[str, Verdict]:
        """What still holds."""
        found: dict[str, Verdict] = {}
        path = self._path
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        for row in map(json.loads, lines):
            file = row["name"].split(" | ")[0]
            if row["lua"] == self._lua.get(file) and (row["by"] or row["tests"] == self._tests):
                found[row["name"]] = Verdict(row["by"], row["seconds"], row["looked"])
        return found

    def note(self, mutant: Mutant, verdict: Verdict) -> None:
        row: dict[str, Any] = {
            "lua": self._lua[mutant.file],
            "tests": self._tests,
            "name": mutant.name,
            "by": verdict.by,
        }
        row |= {"seconds": round(verdict.seconds, 2), "looked": verdict.looked}
        if self._path:
            with self._path.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(row) + "\n")

    def forget(self) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)


def read_reasons(path: Path) -> dict[str, str]:
    """The accepted survivors by name, and why."""
    reasons: dict[str, str] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.startswith(" "):
            reasons[name] = f"{reasons[name]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            name = line
            reasons[name] = ""
    return reasons


def write_reasons(path: Path, names: Sequence[str], reasons: Mapping[str, str]) -> None:
    """Put down the survivors with the reasons that are known; the others get a question mark."""
    rows = [f"{name}\n    {reasons.get(name) or NO_REASON}\n" for name in names]
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Report:
    """All mutants with their verdicts, beside the accepted survivors."""

    verdicts: Mapping[Mutant, Verdict]
    reasons: Mapping[str, str]
    is_whole: bool
    seconds: float

    @property
    def survivors(self) -> list[Mutant]:
        return [mutant for mutant, verdict in self.verdicts.items() if not verdict.by]

    @property
    def share(self) -> float:
        return 1 - len(self.survivors) / max(1, len(self.verdicts))

    @property
    def unexplained(self) -> list[Mutant]:
        return [m for m in self.survivors if self.reasons.get(m.name, NO_REASON) in ("", NO_REASON)]

    @property
    def outdated(self) -> list[str]:
        """Accepted survivors that are noticed, or are no mutants any more."""
        names = {mutant.name for mutant in self.survivors}
        known = {mutant.name for mutant in self.verdicts}
        return [name for name in self.reasons if name not in names and (self.is_whole or name in known)]

    @property
    def is_good(self) -> bool:
        return self.share >= WANTED and not self.unexplained

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        total, left = (Counter(mutant.kind for mutant in which) for which in (self.verdicts, self.survivors))
        return {
            "mutants": len(self.verdicts),
            "noticed": len(self.verdicts) - len(self.survivors),
            "share": round(self.share, 4),
            "kinds": {kind: {"mutants": total[kind], "noticed": total[kind] - left[kind]} for kind in KINDS},
            "seconds": round(self.seconds, 1),
            "survivors": [self._row(mutant) for mutant in self.survivors],
            "outdated": self.outdated,
        }

    def _row(self, mutant: Mutant) -> dict[str, Any]:
        reason = self.reasons.get(mutant.name, NO_REASON)
        looked = self.verdicts[mutant].looked
        row = {"place": f"lua/{mutant.file}.lua:{mutant.line}", "kind": mutant.kind, "was": mutant.was}
        return {**row, "tests": looked, "reason": reason}

    def lines(self) -> Iterable[str]:
        """For people."""
        for row in map(self._row, self.survivors):
            reach = f"{row['tests']} tests reach it" if row["tests"] else "no test reaches it"
            yield f"{row['place']}: {row['kind']} {row['was']}: {reach}; {row['reason']}"
        for name in self.outdated:
            yield f"outdated in the list of survivors: {name}"
        said = self.as_json()
        kinds = ", ".join(f"{kind} {n['noticed']}/{n['mutants']}" for kind, n in said["kinds"].items())
        yield (
            f"{said['mutants']} mutants, {said['noticed']} noticed ({said['share']:.1%}; {kinds}), "
            f"{len(self.unexplained)} survivors without a reason, {said['seconds']:.0f} s"
        )
