"""The operations of a step as the bytes that `pool_step` reads (lua/lib/calls).

Each begins with the letter of its kind; texts end with a zero byte, which no name has; integers have
8 bytes, the lowest first. Decoding that costs Redis a third of what JSON does. A heartbeat, which is rare
and long, stays JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from struct import pack
from typing import Any

__all__ = ["Wire", "encode_operations"]

Wire = Sequence[Any]

_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _bytes_of(wire: Wire) -> bytes:
    kind = wire[0]
    if kind == "s":
        return f"s\0{wire[1]}\0".encode() + pack("<4q", *wire[2:])
    if kind == "e":
        _, ticket, keyset, lane, tokens_in, tokens_out, wait_ms, band, tenant, tag, preferred, most = wire
        return b"".join(
            (
                f"e\0{ticket}\0{keyset}\0{lane}\0".encode(),
                pack("<3q", tokens_in, tokens_out, wait_ms),
                f"{band}\0{tenant}\0{tag}\0{preferred}\0".encode(),
                pack("<q", most),
            )
        )
    if kind == "h":
        return f"h\0{_json(wire[1:])}\0".encode()
    return f"{kind}\0{wire[1] if len(wire) > 1 else ''}\0".encode()


def encode_operations(wires: Iterable[Wire]) -> bytes:
    """The operations of one step, as `Operation.wire` has them: `["e", …]`, `["s", …]`, `["c", id]` …"""
    return b"".join(map(_bytes_of, wires))
