"""What ends first is short: samples teach when nine in ten of what was begun have ended."""

from __future__ import annotations

from dataclasses import replace

from llm_fleet.engine.values import Bucket
from tests.pool_rig import Rig, enqueue, mini_rig, pool_of, settle
from tests.simulation import Fleet, Limit, Scenario

COLD_START = Scenario(
    limits=(Limit("requests", 1_000), Limit("output_tokens", 8_000, rule="as_produced")),
    seconds=9.0, delay_ms=(1, 10), output_tokens=(200, 200), output_sigma=0.5, max_output_tokens=4_096,
    call_ms=(500, 500), token_us=5_000,
)  # fmt: skip


def sixty_begun() -> Rig:
    """Sixty calls in flight, of which twenty have ended with 100 tokens each."""
    limits = pool_of(Bucket("output_tokens", 10**6, jitter_ms=0, rule="as_produced"))
    rig = mini_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(0, 1_000)) for i in range(60)))
    rig.taken("A", *(settle(f"t{i}", 0, 100) for i in range(20)))
    return rig


def held_for(rig: Rig, ticket: str, tag: str = "") -> int:
    """What is held for one more call."""
    before = rig.bucket()["held"]
    rig.enqueue("A", ticket, tokens=(0, 1_000), tag=tag)
    return int(rig.bucket()["held"] - before)


def test_the_first_to_end_teach_nothing_yet() -> None:
    """Twenty short answers of sixty calls that began together do not lower what is held for the next."""
    assert held_for(sixty_begun(), "next") == 256


def test_long_answers_tell_at_once_that_they_are_long() -> None:
    """As long as nothing is known for certain, the hold is no less than what one in ten exceeded so far."""
    rig = sixty_begun()
    rig.taken("A", *(settle(f"t{i}", 0, 400) for i in range(20, 26)))
    assert held_for(rig, "next") == 400


def test_samples_count_when_nine_in_ten_have_ended() -> None:
    """Of 61 that were begun 53 are too few; of 61 that were begun 55 are enough."""
    rig = sixty_begun()
    rig.taken("A", *(settle(f"t{i}", 0, 100) for i in range(20, 53)))
    assert held_for(rig, "next") == 256
    rig.taken("A", settle("next", 0, 100), settle("t53", 0, 100))
    assert held_for(rig, "another") == 100


def test_a_rare_tag_is_known_though_the_fleet_is_busy() -> None:
    """Only calls of its own count: forty others in flight do not keep it from being known after twenty."""
    rig = sixty_begun()
    for at in range(20):
        assert held_for(rig, f"rare{at}", "rare") == 256
        rig.taken("A", settle(f"rare{at}", 0, 100))
    assert held_for(rig, "next", "rare") == 100


def test_calls_that_failed_are_not_waited_for() -> None:
    """Thirty of fifty end without an answer: that they ended is enough."""
    limits = pool_of(Bucket("output_tokens", 10**6, jitter_ms=0, rule="as_produced"))
    rig = mini_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(0, 1_000)) for i in range(50)))
    rig.taken("A", *(settle(f"t{i}") for i in range(30)))
    rig.taken("A", *(settle(f"t{i}", 0, 100) for i in range(30, 50)))
    assert held_for(rig, "next") == 100


def test_cold_start_draws_no_429_where_answers_differ_in_length() -> None:
    """Ten fleets that begin with full buckets and know nothing of their answers see no 429."""
    refused = []
    for seed in range(10):
        fleet = Fleet(replace(COLD_START, seed=seed))
        fleet.run()
        refused.append(sum(account.refused.total() for account in fleet.accounts.values()))
    assert refused == [0] * 10
