"""What `doctor` finds: a fact, how grave it is, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table
from rich.text import Text

__all__ = ["Finding", "Grade", "findings_table", "verdict"]

Grade = Literal["ok", "note", "warning", "problem"]

STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. `remedy` is empty only where nothing is to be done."""

    grade: Grade
    about: str
    text: str
    remedy: str = ""


def findings_table(findings: Sequence[Finding]) -> Table:
    """One under the other; the remedy in a line of its own."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, min_width=len("warning"))
    table.add_column(no_wrap=True, min_width=len("scripts"))
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(finding.text)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", "bold")
        table.add_row(Text(finding.grade, STYLES[finding.grade]), Text(finding.about, "dim"), text)
    return table


def verdict(findings: Sequence[Finding]) -> Text:
    """All of it in a line."""
    problems, warnings = (
        sum(finding.grade == grade for finding in findings) for grade in ("problem", "warning")
    )
    if problems:
        return Text(f"{problems} to mend, {warnings} to look at", "bold red")
    return Text(f"well, {warnings} to look at" if warnings else "all is well", "bold green")
