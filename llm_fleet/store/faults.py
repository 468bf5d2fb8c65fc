"""One table from everything that Redis and the network say to one clear `CoordinationError`."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from ..errors import CoordinationError

__all__ = ["code_of", "coordination_error", "what_happened"]

URL = "redis.url (REDIS_URL)"
REACHING = f"Start it, or correct {URL}."
MASTER = f"Name the master in {URL}, or use redis+sentinel://."
UNEXPECTED = "That should not happen (6.2 is the oldest version that will do): please report it."
CLUSTER = f"Use redis+cluster:// in {URL}."

ANSWERS = {
    "BUSY": ("is busy with a script that does not end", "`redis-cli SCRIPT KILL` ends it."),
    "CLUSTERDOWN": ("says that its cluster is down", "`redis-cli --cluster check` says what is missing."),
    "CROSSSLOT": ("is a cluster, and one command named keys of different slots", CLUSTER),
    "DENIED": ("is in protected mode and refuses other hosts", f"Give it a password, also in {URL}."),
    "LOADING": ("is still loading its data", "It will answer when that is done."),
    "MASTERDOWN": ("is a replica that has lost its master", MASTER),
    "MISCONF": ("refuses writes because it cannot save to disk", "Its log says why."),
    "MOVED": ("is a node of a cluster", CLUSTER),
    "NOPERM": ("does not permit this user to run {command}", "Grant it (ACL SETUSER), or use another user."),
    "OOM": ("is full", "Raise its `maxmemory`; keep `maxmemory-policy noeviction`."),
    "READONLY": ("is a read-only replica", MASTER),
    "TRYAGAIN": ("is moving these keys to another node", "It will answer when that is done."),
    "UNBLOCKED": ("has just become a replica", MASTER),
}
"""By the server's word: what that means, and what to do."""

NETWORK: tuple[tuple[type[OSError], str, str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "has a certificate that is not trusted ({said})",
        f"Name its authority in {URL}: ?ssl_ca_certs=/path/to/ca.pem.",
    ),
    (ssl.SSLError, "does not speak TLS with us ({said})", f"In {URL}, rediss:// means TLS."),
    (socket.gaierror, "has a host name that is not known ({said})", f"Correct {URL}, or the name service."),
    (ConnectionRefusedError, "cannot be reached: nobody listens there", REACHING),
    (FileNotFoundError, "cannot be reached: there is no such socket", REACHING),
    (PermissionError, "cannot be reached: this user may not use the socket", "Change its `unixsocketperm`."),
)
"""By the error below: what it means, and what to do; the first that fits."""


def code_of(error: BaseException) -> str:
    """The server's own word for an error, such as READONLY; "" without one."""
    found = re.match(r"([A-Z]{3,})\b", str(error))
    return found[1] if found else ""


def coordination_error(error: BaseException, where: str, command: str) -> CoordinationError:
    """What happened, where, and what to do about it; none of it is a secret."""
    what, remedy = _what_and_remedy(error, command)
    return CoordinationError(f"Redis at {where} {what}. {remedy}")


def what_happened(error: BaseException) -> str:
    """The same in a few words, to go on after the name of a server."""
    return _what_and_remedy(error, "the question")[0]


def _what_and_remedy(error: BaseException, command: str) -> tuple[str, str]:
    if isinstance(error, AuthenticationError):
        return _login(str(error))
    if answer := ANSWERS.get(code_of(error)):
        return answer[0].replace("{command}", command), answer[1]
    if isinstance(error, ResponseError):
        return f"answered {command} with an error: {_one_line(error)}", UNEXPECTED
    if isinstance(error, RedisTimeout):
        return _one_line(error), "It is overloaded, frozen or cut off; see `redis-cli --latency`."
    return _unreachable(error)


def _login(said: str) -> tuple[str, str]:
    if "without any password" in said or "no password is set" in said:
        return "has no password, but the url holds one", f"Take it out of {URL}."
    if "required" in said.lower():
        return "asks for a password", f"Put it into {URL}: redis://:PASSWORD@host:port/db."
    return "refused the user name or password", f"Correct them in {URL}; reserved characters percent-encoded."


def _unreachable(error: BaseException) -> tuple[str, str]:
    for cause in _causes(error):
        for kind, what, remedy in NETWORK:
            if isinstance(cause, kind):
                return what.replace("{said}", _one_line(cause)), remedy
    if "Connect call failed" in str(error):  # several addresses of a name, none of them open
        return "cannot be reached: nobody listens there", REACHING
    if "max number of clients" in str(error):
        return "has no connection left for us", "Raise its `maxclients`, or run fewer processes."
    return f"cannot be reached: {_one_line(error)}", REACHING


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and the one it was made from; further down may lie a caller's own."""
    yield error
    if below := error.__cause__ or error.__context__:
        yield below


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
