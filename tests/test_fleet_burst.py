"""Many processes that ask at once, and do not wait: what is granted is the limit, not about the limit."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.fleets import line_of

pytestmark = pytest.mark.load


def open_member(url: str, namespace: str) -> subprocess.Popen[str]:
    """A process with 500 tasks, that begins when it is told to."""
    command = [sys.executable, "-m", "tests.burst_member", url, namespace, "500", "100"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def close_member(member: subprocess.Popen[str]) -> None:
    """End it, however it stands."""
    member.kill()
    member.wait()
    for pipe in (member.stdin, member.stdout):
        if pipe is not None:
            pipe.close()


async def test_a_day_limit_of_100_grants_exactly_100_of_2000(redis_url: str, namespace: str) -> None:
    """Four processes with 500 tasks each ask at once for 100 requests a day, and wait 0 s: exactly 100 are granted."""
    members = [open_member(redis_url, namespace) for _ in range(4)]
    try:
        assert [await line_of(member) for member in members] == ["ready"] * 4
        for member in members:
            assert member.stdin is not None
            member.stdin.write("go\n")
            member.stdin.flush()
        lines = await asyncio.gather(*(line_of(member) for member in members))
        granted, denied = (sum(int(line.split()[at]) for line in lines) for at in (0, 1))
        assert (granted, denied) == (100, 1_900)
    finally:
        for member in members:
            close_member(member)
