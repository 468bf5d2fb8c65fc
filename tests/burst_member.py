"""A process of a fleet, for tests: asks for many leases at once and waits for none.

python -m tests.burst_member URL NAMESPACE TASKS PER_DAY    begins with a line on stdin; prints granted, denied
"""

from __future__ import annotations

import asyncio
import sys

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Settlement
from tests.fleets import fleet, limits, take
from tests.pool_rig import per_day


async def burst(url: str, namespace: str, tasks: int, amount: int) -> None:
    async with fleet(url, namespace, limits(per_day(amount))) as member:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(*(take(member, timeout_s=0) for _ in range(tasks)))
        leases = [answer for answer in answers if isinstance(answer, Lease)]
        for lease in leases:
            lease.settle(Settlement(1, 1))
        print(len(leases), len(answers) - len(leases), flush=True)


if __name__ == "__main__":
    asyncio.run(burst(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
