"""What a process asks of a step as the bytes that `pool_step` reads (lua/lib/calls).

First who asks: the highest fence that it has seen, its id, the epoch that it knows. Then operations, each
beginning with the letter of its kind; texts end with a zero byte, which no name has; integers have 8 bytes,
the lowest first. Decoding that costs Redis a third of what JSON does, one argument less than several. A
heartbeat, which is rare and long, stays JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from struct import pack
from typing import Any

from ..models import BANDS

__all__ = ["Wire", "encode_call"]

Wire = Sequence[Any]
MOST_COUNTED = 2**50

_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_bands = {band: bytes((place,)) for place, band in enumerate(BANDS)}


def _number_of(ticket: str, counted: str) -> int:
    """The number in the id of a ticket that its process counted, `counted` and hex digits; 0 of any other."""
    if not ticket.startswith(counted):
        return 0
    try:
        number = int(ticket[len(counted) :], 16)
    except ValueError:
        return 0
    return number if 0 < number < MOST_COUNTED else 0


def _bytes_of(wire: Wire, counted: str) -> bytes:
    kind = wire[0]
    if kind == "s":
        return f"s{wire[1]}\0".encode() + pack("<4q", *wire[2:])
    if kind == "e":
        _, ticket, keyset, lane, tokens_in, tokens_out, wait_ms, band, tenant, tag, preferred, most = wire
        return b"".join(
            (
                f"e{ticket}\0{keyset}\0{lane}\0".encode(),
                pack("<3q", tokens_in, tokens_out, wait_ms),
                _bands[band],
                f"{tenant}\0{tag}\0{preferred}\0".encode(),
                pack("<2q", most, _number_of(ticket, counted)),
            )
        )
    if kind == "c":
        return f"c{wire[1]}\0".encode() + pack("<q", _number_of(wire[1], counted))
    return f"{kind}{_json(wire[1:]) if kind == 'h' else ''}\0".encode()


def encode_call(process: str, epoch: str, fence: int, wires: Iterable[Wire]) -> bytes:
    """One step of a process that knows so much of the pool.

    `wires`: the operations, as `Operation.wire` has them: `["e", …]`, `["s", …]`, `["c", id]` …
    """
    caller, counted = pack("<q", fence) + f"{process}\0{epoch}\0".encode(), f"{process}-"
    return caller + b"".join([_bytes_of(wire, counted) for wire in wires])
