"""Why a ticket is where it is: one plain sentence for the person at 3 a.m. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .explain import Binding, Explanation

__all__ = ["time_text", "why"]

NOT_PROJECTED = {
    "slots": "slots free up when calls end: not projected",
    "holds": "what running calls hold comes back when they end: not projected",
}
ENDS = {
    "settled": "its call has ended, and what it used is charged",
    "cancelled": "it ended without a call: its caller gave it up or its deadline came, or it was refused",
    "expired": "its lease expired: its process {process} did not renew it, and what it held is charged",
    "unknown": "it was never asked for, or ended more than a minute or two ago",
}


def why(ticket: Explanation, view: Mapping[str, Any]) -> str:
    """The sentence; `view` is the script's answer."""
    if ticket.state == "queued":
        return _queued(ticket, view) + _deadline(ticket)
    if ticket.state == "granted":
        held = f"process {ticket.process} has held key {ticket.key_id} for {time_text(ticket.granted_s)}"
        return held + _charged(ticket)
    return ENDS[ticket.state].format(process=ticket.process)


def time_text(seconds: float | None) -> str:
    """20.5 s, 3.4 min, 2.5 h."""
    seconds = seconds or 0.0
    for size, unit in ((7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds / (3600 if unit == 'h' else 60):.1f}".removesuffix(".0") + f" {unit}"
    digits = 1 if seconds >= 1 else 3
    return f"{seconds:.{digits}f}".rstrip("0").removesuffix(".") + " s" if seconds else "0 s"


def _queued(ticket: Explanation, view: Mapping[str, Any]) -> str:
    binding, process = ticket.binding, f"its process {ticket.process}"
    match view:
        case {"silence": "absent"}:
            gone = "nothing is granted to it, and its tickets are dropped soon"
            return f"{process} is not seen any more: {gone}"
        case {"silence": _}:
            return f"{process} does not read its mailbox: nothing is granted to it until it calls"
        case {"refusal": "no_key"}:
            return f"no key of its queue is in service: {len(ticket.keys)} of {len(ticket.keys)} are out"
        case {"refusal": _} if binding:
            needs = f"it needs {binding.need:,} of {binding.limit:,}"
            return f"it is larger than {_limit(binding)}: {needs}, and is refused"
    if ticket.position == 0 and ticket.is_exact:
        return f"it is the head of its queue and {_head(ticket, view)}"
    return f"it waits {_behind(ticket, view)}{_for(ticket, view)}; {_start(ticket, view)}"


def _head(ticket: Explanation, view: Mapping[str, Any]) -> str:
    binding = ticket.binding
    if binding is None:
        return "can go now: it is granted with the next step"
    match binding.resource:
        case "pause":
            return f"waits for {_owner(binding)}, which the provider has paused; {_start(ticket, view)}"
        case "key":
            return (
                f"waits for {_owner(binding)}, whose key is out of service for a time; {_start(ticket, view)}"
            )
        case "concurrency":
            return f"waits for a slot of {_owner(binding)}; {_start(ticket, view)}"
    there = f"it needs {binding.need:,}, {binding.level:,} are there"
    return f"waits for {_limit(binding)}: {there}; {_start(ticket, view)}"


def _behind(ticket: Explanation, view: Mapping[str, Any]) -> str:
    ahead = ticket.ahead
    parts = {
        "its tenant": ahead.own,
        "other tenants": ahead.tenants,
        "a higher band": ahead.higher,
        "lower bands that have waited too long": ahead.lower,
        "other queues of the same accounts": view.get("others", 0),
    }
    parts = {name: count for name, count in parts.items() if count}
    total = sum(parts.values())
    if not total:
        return ""
    text = f"behind {total:,} {'ticket' if total == 1 else 'tickets'}"
    if len(parts) == 1:
        return f"{text} of {next(iter(parts))} "
    return f"{text} ({', '.join(f'{count:,} of {name}' for name, count in parts.items())}) "


def _for(ticket: Explanation, view: Mapping[str, Any]) -> str:
    if view.get("opens_ms", 0) > 0:
        closed = "out of service or paused by the provider" if view["outages"] else "paused by the provider"
        return f"while every account is {closed} for {time_text(view['opens_ms'] / 1000)} more"
    if not ticket.binding:
        return "for a slot" if view.get("calls") == "slots" else "for its turn"
    return f"for {_limit(ticket.binding)}"


def _limit(binding: Binding) -> str:
    if binding.is_tenants:
        return f"its tenant's own limit of {binding.resource}"
    return f"{binding.resource} of {_owner(binding)}"


def _owner(binding: Binding) -> str:
    if len(binding.accounts) == 1:
        return f"account {binding.accounts[0]}"
    return f"its {len(binding.accounts):,} accounts"


def _start(ticket: Explanation, view: Mapping[str, Any]) -> str:
    starts = time_text(ticket.starts_in_s)
    if ticket.waits_for_calls:
        return NOT_PROJECTED[view["calls"]] + (f", so not before {starts}" if ticket.starts_in_s else "")
    if ticket.starts_in_s:
        earlier = ", or earlier beside larger ones" if view.get("is_small") else ""
        return f"starts in {'' if ticket.is_exact else 'about '}{starts}{earlier}"
    return "starts at once" if ticket.starts_in_s == 0 else "not in years"


def _deadline(ticket: Explanation) -> str:
    left, starts = ticket.deadline_s, ticket.starts_in_s
    if left is None or starts is None or starts <= left:
        return ""
    return f", but its deadline is in {time_text(max(0.0, left))}"


def _charged(ticket: Explanation) -> str:
    charged = [f"{charge.charged:,} {charge.resource}" for charge in ticket.charges if charge.charged]
    held = [f"{charge.held:,} {charge.resource}" for charge in ticket.charges if charge.held]
    parts = [f"charged {', '.join(charged)}"] if charged else []
    parts += [f"holds {', '.join(held)}"] if held else []
    return f"; it {' and '.join(parts)}" if parts else ""
