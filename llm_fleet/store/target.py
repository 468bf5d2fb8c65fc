"""What a Redis url means. Opens nothing, and echoes nothing of a url that might be a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..errors import ConfigError

__all__ = ["Address", "Login", "Target", "parse_url"]

FORMS = (
    "redis://host:port/db, unix:///path?db=0, redis+sentinel://host:port,host:port/service/db, "
    "redis+cluster://host:port,host:port; rediss… in place of redis… for TLS; "
    "a password stands before the host as :PASSWORD@, percent-encoded"
)
KINDS = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
OPTIONS = ("db", "sentinel_username", "sentinel_password", *TLS_OPTIONS)


@dataclass(frozen=True, slots=True)
class Address:
    """Where one server listens: host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password; either may be empty."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A url, taken apart. `kind` is single, sentinel or cluster; `tls` is None without TLS."""

    kind: str
    scheme: str
    seeds: tuple[Address, ...]
    login: Login
    sentinel_login: Login
    db: int = 0
    service: str = ""
    tls: Mapping[str, Any] | None = None

    @property
    def description(self) -> str:
        """The url for people: without user name, password and options."""
        hosts = ",".join(map(str, self.seeds))
        if self.scheme == "unix":
            return f"unix://{hosts}" + (f"?db={self.db}" if self.db else "")
        tail = {"single": f"/{self.db}", "sentinel": f"/{self.service}/{self.db}", "cluster": ""}
        return f"{self.scheme}://{hosts}{tail[self.kind]}"


def parse_url(url: str) -> Target:
    """Take a Redis url apart.

    Raises:
        ConfigError: it cannot mean anything; the message lists the forms that do.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise _refusal("it is not a url") from None
    kind = KINDS.get(parts.scheme)
    if kind is None:
        raise _refusal("it does not begin with one of the known schemes")
    if parts.fragment or "@" in parts.query or ("@" in parts.path and parts.scheme != "unix"):
        raise _refusal("a '/', '?', '#' or '@' in a password must be percent-encoded")
    options = _options(parts.query)
    login, _, hosts = parts.netloc.rpartition("@")
    service, db = _service_and_db(parts, kind, options)
    return Target(
        kind=kind,
        scheme=parts.scheme,
        seeds=_seeds(parts, kind, hosts),
        login=_login(login),
        sentinel_login=Login(options.get("sentinel_username", ""), options.get("sentinel_password", "")),
        db=db,
        service=service,
        tls=_tls(options) if parts.scheme.startswith("rediss") else None,
    )


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"redis.url (REDIS_URL) cannot be used: {why}. Known forms: {FORMS}")


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise _refusal(f"it has the unknown option {unknown[0]!r} (known: {', '.join(OPTIONS)})")
    return options


def _login(text: str) -> Login:
    username, _, password = text.partition(":")
    return Login(unquote(username), unquote(password))


def _seeds(parts: SplitResult, kind: str, hosts: str) -> tuple[Address, ...]:
    if parts.scheme == "unix":
        if not parts.path or hosts:
            raise _refusal("a unix url is unix:// and the absolute path of the socket")
        return (Address(path=unquote(parts.path)),)
    seeds = tuple(_address(host, PORTS[kind]) for host in hosts.split(","))
    if kind == "single" and len(seeds) > 1:
        raise _refusal("several hosts need redis+sentinel:// or redis+cluster://")
    return seeds


def _address(text: str, default_port: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # no port: a name, or [an IPv6 address]
        host, port = text, str(default_port)
    host = unquote(host).removeprefix("[").removesuffix("]")
    if not host:
        raise _refusal("it names no host")
    return Address(host=host, port=_number(port, "the port", 65535))


def _service_and_db(parts: SplitResult, kind: str, options: Mapping[str, str]) -> tuple[str, int]:
    path = [] if parts.scheme == "unix" else [unquote(word) for word in parts.path.split("/") if word]
    service = ""
    if kind == "sentinel":
        if not path:
            raise _refusal("it names no service: redis+sentinel://host:port/SERVICE")
        service = path.pop(0)
    if len(path) > 1 or (path and "db" in options):
        raise _refusal("it names the database twice, or its path is too long")
    db = _number(path[0] if path else options.get("db", "0"), "the database", 1_000_000)
    if db and kind == "cluster":
        raise _refusal("a cluster has only database 0")
    return service, db


def _number(text: str, what: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= largest):
        raise _refusal(f"{what} is not a number up to {largest}")
    return int(text)


def _tls(options: Mapping[str, str]) -> dict[str, Any]:
    tls: dict[str, Any] = {name: options[name] for name in TLS_OPTIONS if name in options}
    check = options.get("ssl_check_hostname", "true").lower()
    if check not in ("true", "false"):
        raise _refusal("ssl_check_hostname is true or false")
    if options.get("ssl_cert_reqs", "none") not in ("none", "optional", "required"):
        raise _refusal("ssl_cert_reqs is none, optional or required")
    return {**tls, "ssl_check_hostname": check == "true"}
