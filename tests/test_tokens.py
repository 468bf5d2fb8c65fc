"""Bytes of an input, and the tokens that they will probably be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.models import Call, Content, Message, MessageRole
from llm_fleet.tokens import COLD_RATIO, IMAGE_BYTES, MESSAGE_BYTES, InputEstimator, input_bytes


def bytes_of(*contents: Content, **fields: Any) -> int:
    messages = tuple(Message(MessageRole.USER, content) for content in contents)
    return input_bytes(Call("anthropic", "claude-haiku-5-5", messages, 100, **fields))


def test_text_counts_in_bytes() -> None:
    """UTF-8 bytes, not characters, and a little for each message."""
    assert bytes_of("abc", "größe") == 3 + 7 + 2 * MESSAGE_BYTES


def test_blocks_count_their_text() -> None:
    """A list of content blocks counts about as much as its text."""
    assert 300 < bytes_of([{"type": "text", "text": "a" * 300}]) < 340


def test_system_and_tools_count() -> None:
    """What is sent beside the messages counts too."""
    tool = {"name": "look", "description": "d" * 100, "input_schema": {"type": "object", "required": ["a"]}}
    assert bytes_of("a", system="s" * 50) == bytes_of("a") + 50
    assert bytes_of("a", tools=[tool]) > bytes_of("a") + 100


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}},
    ],
    ids=["anthropic", "openai"],
)
def test_an_image_counts_by_its_area(block: dict[str, Any]) -> None:
    """A megabyte of encoded image is no megabyte of text."""
    assert bytes_of([block]) < IMAGE_BYTES + 200


def test_a_document_counts_less_than_text() -> None:
    """An encoded PDF counts an eighth of its length."""
    source = {"type": "base64", "media_type": "application/pdf", "data": "A" * 80_000}
    assert 10_000 < bytes_of([{"type": "document", "source": source}]) < 10_200


def test_odd_content_is_counted_somehow() -> None:
    """Numbers, None and halves of surrogate pairs do no harm."""
    assert bytes_of([{"type": "x", "n": 12, "none": None, "text": "\ud800"}]) > 0


def test_the_cold_estimate_is_above_prose() -> None:
    """Before anything was learned a byte is a third of a token; never less than one token in all."""
    estimator = InputEstimator()
    assert estimator.estimate("*", "", 3000) == round(3000 * COLD_RATIO)
    assert estimator.estimate("*", "", 0) == 1


def test_it_learns_the_ratio_of_each_tag() -> None:
    """Two tags with different texts keep their own ratios."""
    estimator = InputEstimator()
    for _ in range(50):
        estimator.learn("*", "prose", 4000, 1000)
        estimator.learn("*", "code", 3000, 1200)
    assert estimator.estimate("*", "prose", 4000) == pytest.approx(1000, abs=1)
    assert estimator.estimate("*", "code", 3000) == pytest.approx(1200, abs=1)


def test_a_new_tag_goes_by_its_lane() -> None:
    """What the lane has shown is better than the cold ratio; other lanes know nothing of it."""
    estimator = InputEstimator()
    estimator.learn("haiku*", "known", 4000, 800)
    assert estimator.ratio("haiku*", "new") == pytest.approx(0.2)
    assert estimator.ratio("opus*", "new") == COLD_RATIO


def test_the_sum_of_estimates_is_unbiased() -> None:
    """Over calls of very different size the sum of the estimates is within 1 % of the usage."""
    rng, estimator = random.Random(7), InputEstimator()
    calls = [
        (size, round(size * rng.uniform(0.2, 0.3)))
        for size in (int(rng.lognormvariate(7, 1)) for _ in range(3000))
    ]
    estimated = actual = 0
    for count, (size, tokens) in enumerate(calls):
        if count >= 100:
            estimated, actual = estimated + estimator.estimate("*", "", size), actual + tokens
        estimator.learn("*", "", size, tokens)
    assert estimated == pytest.approx(actual, rel=0.01)


def test_it_follows_a_change() -> None:
    """A hundred calls of another kind replace what was learned before."""
    estimator = InputEstimator()
    for tokens in [250] * 1000 + [500] * 100:
        estimator.learn("*", "", 1000, tokens)
    assert estimator.ratio("*", "") == pytest.approx(0.5, rel=0.01)


def test_the_number_of_tags_is_bounded() -> None:
    """Tags used long ago are forgotten, the lane is not."""
    estimator = InputEstimator(max_entries=10)
    for number in range(1000):
        estimator.learn("*", f"tag-{number}", 1000, 100 if number < 995 else 300)
    assert len(estimator._averages) == 10
    assert estimator.ratio("*", "tag-999") == pytest.approx(0.3)
    assert estimator.ratio("*", "tag-0") != COLD_RATIO


samples = st.lists(st.tuples(st.integers(-5, 10**9), st.integers(-5, 10**9)), max_size=30)


@given(samples=samples, n_bytes=st.integers(0, 10**9))
def test_estimates_stay_within_what_was_seen(samples: Sequence[tuple[int, int]], n_bytes: int) -> None:
    """The ratio lies between the smallest and the largest seen; an estimate is an int from 1 up."""
    estimator = InputEstimator()
    for size, tokens in samples:
        estimator.learn("*", "", size, tokens)
    seen = [tokens / size for size, tokens in samples if size > 0 and tokens >= 0] or [COLD_RATIO]
    assert min(seen) * 0.999 <= estimator.ratio("*", "") <= max(seen) * 1.001
    assert estimator.estimate("*", "", n_bytes) >= 1


def test_threads_lose_nothing() -> None:
    """Many threads that learn at once leave a sound ratio."""
    estimator = InputEstimator()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: estimator.learn("*", f"t{number % 50}", 1000, 250), range(4000)))
    assert estimator.ratio("*", "t1") == pytest.approx(0.25)
