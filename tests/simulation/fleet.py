"""Puts a scenario together and lets it happen."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from tests.simulation.desk import Desk
from tests.simulation.provider import Account
from tests.simulation.report import Report, spread_of
from tests.simulation.scenario import Scenario
from tests.simulation.server import Server
from tests.simulation.ticket import TTL_S, Ticket
from tests.simulation.worker import Caller, Process
from tests.simulation.world import MS, S, World

__all__ = ["Fleet"]

STARTS_S = 0.2
QUIET_S = 2.5 * TTL_S
REMAIN = 2


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant that a caller was told of: by which key, by the pool's clock (ms), and by ours."""

    key: str
    pool_ms: int
    band: str
    tenant: str
    tokens: int
    asked_at: int
    at: int


class Fleet:
    """Everybody who takes part, and what they have seen."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.chance, self.world = scenario, Random(scenario.seed), World()
        self.server = Server(self.world)
        names = [f"account{i}" for i in range(scenario.accounts)]
        self.accounts = {name: Account(self.world, scenario.enforced, scenario.slots) for name in names}
        self.pools = [scenario.pool(group) for group in range(scenario.key_groups)]
        self.processes: list[Process] = []
        self.is_over = False
        self.served = 0
        self.denials = Counter[str]()
        self.grants: list[Grant] = []
        self.tickets: Counter[str] = Counter()

    # -- what happens ----------------------------------------------------------------------------

    def run(self) -> Report:
        """Let it all happen, then come to rest; gives what was seen."""
        scenario, world = self.scenario, self.world
        for _ in range(scenario.processes):
            world.later(self.chance.random() * STARTS_S * S, self.start_process)
        for at_s, count in scenario.kills:
            world.later(at_s * S, self.kill, count)
        for at_s, seconds in scenario.throttles:
            world.later(at_s * S, self.throttle, seconds)
        for at_s, jump_ms in scenario.jumps_ms:
            world.later(at_s * S, self.server.jump, jump_ms * MS)
        world.run(int(scenario.seconds * S))
        report = self.report()
        self.come_to_rest()
        report.left, report.lost = self.left(), self.lost()
        return report

    def start_process(self) -> None:
        """One more process, with its callers."""
        number, scenario = len(self.processes), self.scenario
        pool = self.pools[number % len(self.pools)]
        desk = Desk(self.world, self.server, f"process{number}", pool, self.chance, scenario.trip_us)
        process = Process(self, desk)
        self.processes.append(process)
        desk.open()
        for task in range(scenario.tasks):
            place = number * scenario.tasks + task
            band = scenario.bands[place % len(scenario.bands)]
            tenant = scenario.tenants[place // len(scenario.bands) % len(scenario.tenants)]
            Caller(process, band, tenant).ask()

    def kill(self, count: int) -> None:
        """kill -9 so many processes; others start in their place, when the scenario says so."""
        alive = [process for process in self.processes if process.desk.is_alive]
        for process in self.chance.sample(alive, min(count, len(alive) - 1)):
            process.desk.kill()
            if self.scenario.restart_s:
                self.world.later(self.scenario.restart_s * S, self.start_process)

    def throttle(self, seconds: float) -> None:
        """For so long some account answers 429, whatever its limits."""
        self.chance.choice(list(self.accounts.values())).throttled_until = self.world.now + int(seconds * S)

    def come_to_rest(self) -> None:
        """Nobody asks any more; most processes leave, the others beat on until all leases have ended."""
        self.is_over = True
        alive = [process.desk for process in self.processes if process.desk.is_alive]
        for desk in alive:
            desk.withdraw()
        self.world.run(self.world.now + (self.scenario.call_ms[1] + 2_000) * MS)
        for desk in alive[REMAIN:]:
            desk.close()
        self.world.run(self.world.now + int(QUIET_S * S))

    # -- what is seen ----------------------------------------------------------------------------

    def note_grant(self, caller: Caller, ticket: Ticket) -> None:
        """A caller was told of its grant."""
        told = sum(ticket.tokens), ticket.asked_at, self.world.now
        self.grants.append(Grant(ticket.key, ticket.granted_ms, *caller.place, *told))
        self.tickets[ticket.id] += 1

    def report(self) -> Report:
        """What was seen up to now."""
        calls, grants = self.server.calls, len(self.grants)
        steps = calls["work"] + calls["timer"] + calls["beat"]
        used = [account.use(self.world.now / S) for account in self.accounts.values()]
        resources = [limit.resource for limit in self.scenario.limits]
        refused = sum((account.refused for account in self.accounts.values()), Counter[str]())
        return Report(
            seconds=self.world.now / S,
            grants=grants,
            served=self.served,
            use={name: sum(use[name] for use in used) / len(used) for name in resources},
            least_use={name: min(use[name] for use in used) for name in resources},
            refused=dict(refused),
            denials=dict(self.denials),
            steps={**calls, "per_request": round(steps / max(1, grants), 3)},
            beatless=round((calls["work"] + calls["timer"]) / max(1, grants), 3),
            waits={place: spread_of(waits) for place, waits in sorted(self.waits().items())},
            waiting=sum(len(process.desk.waiting) for process in self.processes if process.desk.is_alive),
            granted_in_pauses=self.granted_in_pauses(),
            granted_twice=sum(count > 1 for count in self.tickets.values()),
            peak=max(account.peak for account in self.accounts.values()),
            longest_gap_s=self.longest_gap_s(),
        )

    def waits(self) -> dict[str, list[int]]:
        """By band and tenant how long those who were granted had waited."""
        waits: dict[str, list[int]] = defaultdict(list)
        for grant in self.grants:
            waits[f"{grant.band}|{grant.tenant}"].append(grant.at - grant.asked_at)
        return waits

    def granted_in_pauses(self) -> int:
        """Grants by the key of an account that the pool knew to be paused."""
        pauses = [pause for process in self.processes for pause in process.desk.pauses]
        return sum(
            grant.key == key and at < grant.pool_ms < at + pause_ms
            for key, at, pause_ms in pauses
            for grant in self.grants
        )

    def longest_gap_s(self) -> float:
        """The longest time in which nobody was granted anything."""
        times = sorted(grant.at for grant in self.grants)
        return max((after - before for before, after in pairwise(times)), default=0) / S

    def lost(self) -> int:
        """Grants that nobody was told of: they went to the dead."""
        return int(self.server.snapshot()["fence"]) - len(self.grants)

    def left(self) -> dict[str, int]:
        """What is still there when all is over."""
        shown = self.server.snapshot()
        lanes = [bucket for d in shown["domains"].values() for lane in d["lanes"].values() for bucket in lane]
        return {
            "leases": shown["leases"],
            "waiting": shown["waiting"],
            "held": sum(bucket["held"] for bucket in lanes),
            "slots": sum(domain["in_flight"] for domain in shown["domains"].values()),
        }
