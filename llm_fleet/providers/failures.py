"""How a vendor's failure becomes one of ours: shared by the adapters, each of which has its own table.

A table turns the vendor's exception into an `Answer` (what the provider said), `judge` finds
what that means, and `translated` raises it. No message holds a key or the text of a prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import (
    KeyRefused,
    LLMFleetError,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    StreamInterrupted,
    Throttled,
)
from ..models import Call, Usage
from ..profiles import Profile
from .adapter import Emission

__all__ = ["Answer", "Fault", "incomplete", "judge", "refused_arguments", "translated", "unreadable"]

_QUOTED = 300
_KEY_LIKE = re.compile(r"\b(?:sk|pk|gsk|xai|key|Bearer)[-_ ][\w*.-]{6,}")
