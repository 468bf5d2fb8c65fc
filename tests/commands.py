"""Runs `llm-fleet` commands: in this process for its answer, or in one of its own to be signalled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_fleet.cli import main

__all__ = ["Ran", "command_in_background", "run_command", "run_command_beside"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """Run a command in this process, which must end by `SystemExit` and nothing else."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    written = capsys.readouterr()
    return Ran(int(ended.value.code or 0), written.out, written.err)


async def run_command_beside(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """The same in a thread: the loop of the caller goes on."""
    return await asyncio.to_thread(run_command, capsys, *arguments)


def command_in_background(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command in a process group of its own; its output is text."""
    code = "from llm_fleet.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )
