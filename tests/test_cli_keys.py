"""`llm-fleet keys`: lists, pauses and resumes on a real fleet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.values import Denial, DomainLimits, LaneLimits, PoolLimits
from tests.commands import Ran, run_command_beside
from tests.fleets import fleet, lease_of, take

KEYS = ("4fd2a1b2c300", "4fd2ffffffff")


@pytest.fixture
async def member(redis_url: str, namespace: str) -> AsyncIterator[Fleet]:
    """A process of a fleet with two keys."""
    domains = tuple(DomainLimits(key, (LaneLimits("*"),)) for key in KEYS)
    async with fleet(
        redis_url, namespace, PoolLimits("p", tuple((key, (key,)) for key in KEYS), domains)
    ) as opened:
        (await lease_of(opened)).cancel()
        yield opened


@pytest.fixture
def keys(capsys, redis_url: str, namespace: str) -> Any:
    """Runs `keys` on the test's namespace."""

    async def run(*arguments: str) -> Ran:
        return await run_command_beside(
            capsys, "keys", *arguments, "--redis", redis_url, "--namespace", namespace
        )

    return run


async def test_list_shows_every_key_with_its_state(member, keys):
    """Key ids with pool, account and state, as a table and as JSON."""
    ran = await keys("list")
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [[key, "p"] for key in KEYS]
    rows = json.loads((await keys("list", "--json")).out)
    assert rows[0] == {"key": KEYS[0], "pool": "p", "domains": [KEYS[0]], "state": "in service"}


async def test_a_paused_key_gets_no_grant_until_it_is_resumed(member, keys):
    """The beginning of the id is enough; the others serve, and when none is left calls are refused."""
    assert (await keys("pause", "4fd2a", "--reason", "leaked")).code == 0
    assert {(await lease_of(member)).key_id for _ in range(4)} == {KEYS[1]}
    assert "out of service until it is resumed: leaked" in (await keys("list")).out
    await keys("pause", KEYS[1])
    denial = await take(member)
    assert isinstance(denial, Denial)
    assert denial.reason == "no_key"
    assert (await keys("resume", KEYS[0])).out == f"key {KEYS[0]} of pool p is in service\n"
    assert (await lease_of(member)).key_id == KEYS[0]


async def test_a_pause_can_end_by_itself(member, keys):
    """`--for` says how long."""
    await keys("pause", KEYS[0], "--for", "3600")
    assert "out of service for 60 min more: paused by hand" in (await keys("list")).out


@pytest.mark.parametrize(("wanted", "word"), [("4fd2", "2 keys"), ("0000", "no keys"), ("zz", "hex")])
async def test_a_key_that_is_not_meant_clearly_is_not_switched(member, keys, wanted, word):
    """An ambiguous or unknown id ends with 2 and changes nothing."""
    ran = await keys("pause", wanted)
    assert ran.code == 2
    assert word in ran.err
    assert {row["state"] for row in json.loads((await keys("list", "--json")).out)} == {"in service"}
