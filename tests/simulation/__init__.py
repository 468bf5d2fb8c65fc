"""A whole fleet in virtual time: many processes, the real scripts on the mini Redis, strict providers.

The same seed gives the same run, to the millisecond. `python -m tests.simulation --help`.
"""

from __future__ import annotations

from tests.simulation.fleet import Fleet
from tests.simulation.report import Report
from tests.simulation.scenario import Limit, Scenario

__all__ = ["Fleet", "Limit", "Report", "Scenario"]
