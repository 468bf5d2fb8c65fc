"""benchmarks/peers.py: the comparison runs, and what cannot be compared is skipped with a reason."""

from __future__ import annotations

import pytest

from benchmarks import peers
from benchmarks.peers_environment import PEERS, Peer, Unavailable, find_python, python_of


def test_ours_is_compared_with_bare_calls() -> None:
    """Lives with one and with three resources are counted, and the large task is served among the small."""
    found = peers.run(["llm_fleet"], is_quick=True)["peers"]["llm_fleet"]
    assert found["resources_1"]["times_bare"] > 0
    assert found["resources_3"]["redis_us"] > 0
    assert found["large_served"] >= 1


def test_a_limiter_that_fails_is_skipped_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that does not even start is no end of the comparison."""
    monkeypatch.setattr(peers, "PEERS", (Peer("broken", "no_such_adapter"),))
    found = peers.run(["broken"], is_quick=True)
    assert found["peers"] == {"broken": {"skipped": "its process died"}}
    assert "broken            skipped: its process died" in "\n".join(peers.lines_of(found))


def test_a_python_that_is_not_there_is_a_reason() -> None:
    """A limiter that needs a newer Python than there is says so."""
    with pytest.raises(Unavailable, match=r"needs Python 3\.99"):
        find_python((3, 99))


def test_ours_needs_no_environment_of_its_own() -> None:
    """llm_fleet runs in the environment of the comparison; the others are pinned."""
    ours, *others = PEERS
    assert python_of(ours).endswith(("python", "python3", "python3.11", "python3.12", "python3.13"))
    assert all("==" in peer.packages[0] for peer in others)
