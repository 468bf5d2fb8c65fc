"""Whether a key's calls reach the provider: a verdict from their outcomes, nothing is sent for it.

Pure: time is an argument. Knows nothing of clients or loops.
"""

from __future__ import annotations

__all__ = ["ERRORS_IN_A_ROW", "Health"]

ERRORS_IN_A_ROW = 3
_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 60.0


class Health:
    """What the calls of one key tell about the way to the provider; time is an argument."""

    __slots__ = ("_out_until", "errors", "in_a_row", "trial")

    def __init__(self) -> None:
        self.errors = 0
        self.in_a_row = 0
        self.trial = False
        self._out_until = float("-inf")

    def admit(self, now: float) -> bool | None:
        """False: go on. True: go on, as the one trial. None: out of service."""
        if self.in_a_row < ERRORS_IN_A_ROW:
            return False
        if self.trial or self.out_for(now) > 0:
            return None
        self.trial = True
        return True

    def out_for(self, now: float) -> float:
        """Seconds until a trial may be made; 0 in service."""
        return max(0.0, self._out_until - now)

    def failed(self, now: float) -> None:
        self.errors += 1
        self.in_a_row += 1
        if self.in_a_row >= ERRORS_IN_A_ROW and self.out_for(now) == 0:
            rounds = self.in_a_row - ERRORS_IN_A_ROW
            self._out_until = now + min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2.0 ** min(rounds, 10))

    def succeeded(self) -> None:
        self.in_a_row = 0
        self._out_until = float("-inf")
