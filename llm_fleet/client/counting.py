"""How many input tokens a call has: the provider's own count, or the estimate made here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..engine.values import Need
from ..errors import LLMFleetError, ManagerClosed, RequestRefused
from ..models import Call
from ..pool import ClientPool
from ..providers.adapter import Adapter
from .estimates import Estimates

__all__ = ["InputCounter"]

log = logging.getLogger(__name__)

COUNT_TIMEOUT_S = 10.0
"""A call does not wait longer than this for its count."""

PAUSE_S = 30.0
"""How long nothing is counted by a provider that has just failed to."""

LARGE_SHARE = 0.1
"""From this part of a limit on, `count: auto` asks the provider."""


@dataclass(eq=False)
class InputCounter:
    """Counts for one provider entry. Native counts cost a request; they have limits of their own.

    `mode` is `settings.count`: `estimate`, `native`, or `auto`, which counts natively only what
    would take a tenth of a limit or more.
    """

    adapter: Adapter
    clients: ClientPool
    estimates: Estimates
    mode: str = "estimate"
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._keys = list(self.clients.keys)
        self._turn = 0
        self._resumes_at = float("-inf")
        self._has_warned = False

    async def need(self, call: Call) -> Need:
        """What a call needs, counted as the settings say."""
        need = self.estimates.need(call)
        if self.mode == "estimate" or (self.mode == "auto" and self.estimates.share(need) < LARGE_SHARE):
            return need
        count = await self._native(call)
        return need if count is None else replace(need, input_tokens=count)

    async def count(self, call: Call) -> int:
        """The provider's own count where it gives one, else the estimate."""
        count = await self._native(call)
        return self.estimates.input_tokens(call) if count is None else count

    async def _native(self, call: Call) -> int | None:
        if self.clock() < self._resumes_at:
            return None
        key_id = self._keys[self._turn % len(self._keys)]
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_S), self.clients.client(key_id) as sdk:
                count = await self.adapter.count_tokens(sdk, call)
        except ManagerClosed:
            raise
        except RequestRefused as error:
            self._warn(call, str(error))
            return None
        except (LLMFleetError, TimeoutError) as error:
            self._turn += 1
            self._resumes_at = self.clock() + PAUSE_S
            self._warn(call, str(error) or f"no count within {COUNT_TIMEOUT_S:g} s")
            return None
        if count is None:
            self._warn(call, "it has no count for such calls")
        return count

    def _warn(self, call: Call, reason: str) -> None:
        """Said once per provider entry: the estimates that take over are good enough to go on."""
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "llm_fleet.count.estimated: provider %s did not count input tokens, they are estimated: %s."
                " If it never does, write `count: estimate` into its settings",
                call.provider,
                reason,
            )
