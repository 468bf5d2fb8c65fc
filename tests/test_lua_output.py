"""lib/output: how long answers are, learned by the whole fleet (ENGINE.md §3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.lua_library import Library, examples

LIBRARY = Library("texts", "learning")
PACKED, QUANTILE_OF, MOVES = LIBRARY.several("packed", "quantile_of", "moves")

outputs = st.integers(1, 10**12)


def ring(values: list[int]) -> str:
    """Outputs as they are stored."""
    return PACKED(LIBRARY.table(values))


@examples
@given(st.lists(outputs, min_size=1, max_size=50))
def test_one_output_in_ten_is_larger_than_predicted(values) -> None:
    """Of 50 outputs the 5th largest, of 20 the 2nd: the 0.9 quantile. Of fewer than 20 the largest."""
    assert QUANTILE_OF(ring(values)) == sorted(values, reverse=True)[max(0, len(values) // 10 - 1)]


@examples
@given(st.lists(st.integers(1, 30), min_size=51, max_size=60))
def test_what_moves_no_quantile_leaves_it(values) -> None:
    """Small outputs in place of small ones are not worth another look: the quantile is what it was."""
    before = sorted(values[:50], reverse=True)[4]
    after = sorted(values[-50:], reverse=True)[4]
    came, went = ring(values[50:]), ring(values[:-50])
    assert MOVES(before, came, went) or after == before
