"""The store: one clear error for every way to fail: what, where, and what to do about it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.errors import ConfigError, CoordinationError
from llm_fleet.store import Store, StoreOptions
from llm_fleet.store.target import Address, parse_url
from llm_fleet.store.wire import Wire

Open = Callable[..., Store]
OwnServer = Callable[..., PrivateServer]


async def error_of(store: Store, *command: str) -> str:
    with pytest.raises(CoordinationError) as caught:
        await store.call(*(command or ("PING",)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:1", "cannot be reached: nobody listens there. Start it, or correct redis.url"),
        ("redis://no-such-host.invalid", "has a host name that is not known"),
        ("unix:///no/such/socket", "there is no such socket"),
        ("redis+sentinel://127.0.0.1:1/fleet", "No sentinel of .* names a master .127.0.0.1:1 cannot be"),
        ("redis+cluster://127.0.0.1:1", "No node of .* gives a map of its slots .127.0.0.1:1 cannot be"),
    ],
)
async def test_nobody_there_is_told_with_place_and_remedy(url: str, words: str, open_store: Open) -> None:
    """An unreachable server is one sentence: what, where, and what to do."""
    with pytest.raises(CoordinationError, match=words):
        await open_store(url).call("PING")


async def test_passwords(own_server: OwnServer, open_store: Open) -> None:
    """A missing, a wrong and a needless password are told apart, and none is shown."""
    server, place = own_server(), "127.0.0.1"
    said = await error_of(open_store(f"redis://{place}:{server.port}"))
    assert "asks for a password. Put it into redis.url" in said
    said = await error_of(open_store(f"redis://:not-it@{place}:{server.port}"))
    assert "refused the user name or password" in said
    assert "not-it" not in said
    opened = own_server(password="")
    said = await error_of(open_store(f"redis://:needless@{place}:{opened.port}"))
    assert "has no password, but the url holds one" in said
    assert "needless" not in said


async def test_a_user_without_permission_is_told_the_command(own_server: OwnServer, open_store: Open) -> None:
    """NOPERM names the command that the ACL forbids."""
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "reader", "on", ">pw", "~*", "+ping", "+client|setname", "+select"
        )
    store = open_store(f"redis://reader:pw@127.0.0.1:{server.port}/0")
    assert await store.call("PING") == "PONG"
    assert "does not permit this user to run GET. Grant it" in await error_of(store, "GET", "a")


async def test_a_full_server_is_told(own_server: OwnServer, open_store: Open) -> None:
    """OOM says that the server is full, and how to mend it."""
    store = open_store(own_server().url)
    await store.call("CONFIG", "SET", "maxmemory", "1")
    assert "is full. Raise its `maxmemory`" in await error_of(store, "SET", "a", "1")


async def test_a_crowded_server_is_told(own_server: OwnServer, open_store: Open) -> None:
    """A server at its `maxclients` says so before it is asked anything; so do we."""
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxclients", 1)
        for _ in range(5):
            said = await error_of(open_store(server.url))
            assert "has no connection left for us. Raise its `maxclients`" in said


async def test_a_replica_is_told(own_server: OwnServer, open_store: Open) -> None:
    """A write to a replica names the master or Sentinel as the remedy."""
    store = open_store(own_server().url)
    await store.call("REPLICAOF", "127.0.0.1", "1")
    assert "is a read-only replica. Name the master" in await error_of(store, "SET", "a", "1")


async def test_no_server_that_is_no_redis(open_store: Open) -> None:
    """Something else that listens on the port is an error, not a hang."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        said = await error_of(open_store(f"redis://127.0.0.1:{port}", command_timeout_s=0.5))
    assert "cannot be reached" in said


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("redis://:hidden@host", "redis://host:6379/0"),
        ("rediss://user:hidden@host:1/3", "rediss://host:1/3"),
        ("redis://[::1]:7/0", "redis://[::1]:7/0"),
        ("unix://:hidden@/run/redis.sock?db=4", "unix:///run/redis.sock?db=4"),
        ("redis+sentinel://:hidden@a,b:2/fleet/5", "redis+sentinel://a:26379,b:2/fleet/5"),
        ("rediss+cluster://:hidden@a:1,b:2", "rediss+cluster://a:1,b:2"),
    ],
)
def test_a_description_is_the_url_without_secrets(url: str, description: str) -> None:
    """Every kind of url is described by what it connects to, never by its password."""
    assert Store(StoreOptions(url)).description == description
    assert "hidden" not in repr(StoreOptions(url)) + repr(parse_url(url))


def test_a_password_is_percent_decoded() -> None:
    """Reserved characters in a user name or password are written as in any url."""
    login = parse_url("redis://us%3Aer:p%40ss%2Fw%23rd@host:1").login
    assert (login.username, login.password) == ("us:er", "p@ss/w#rd")


def test_tls_options_and_the_sentinels_own_login_are_options() -> None:
    """`ssl_…` and `sentinel_…` stand behind the question mark."""
    url = "rediss+sentinel://a/fleet?ssl_ca_certs=/ca.pem&ssl_check_hostname=false&sentinel_password=s"
    target = parse_url(url)
    assert target.tls == {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}
    assert (target.seeds, target.sentinel_login.password) == ((Address("a", 26379),), "s")
    assert replace(target, tls=None).description == "rediss+sentinel://a:26379/fleet/0"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "does not begin with one of the known schemes"),
        ("http://:hidden@host", "does not begin with one of the known schemes"),
        ("redis://:hid#den@host", "in a password must be percent-encoded"),
        ("redis://:hid/den@host", "in a password must be percent-encoded"),
        ("redis://:hid?den@host", "in a password must be percent-encoded"),
        ("redis://", "names no host"),
        ("redis://host:port", "the port is not a number up to 65535"),
        ("redis://a,b", r"several hosts need redis\+sentinel:// or redis\+cluster://"),
        ("redis://host/zero", "the database is not a number"),
        ("redis://host/0?db=1", "names the database twice"),
        ("redis+sentinel://host:1", "names no service"),
        ("redis+cluster://host/1", "a cluster has only database 0"),
        ("redis://host?retries=1", "has the unknown option"),
        ("rediss://host?ssl_cert_reqs=maybe", "ssl_cert_reqs is none, optional or required"),
        ("unix://socket", "unix:// and the absolute path"),
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str, why: str) -> None:
    """The message says why and lists the forms; it echoes nothing that might be a password."""
    with pytest.raises(ConfigError, match=rf"REDIS_URL\) cannot be used: .*({why}).*Known forms") as caught:
        Store(StoreOptions(url))
    assert "hid" not in str(caught.value)


async def test_last_words_are_heard_when_our_own_write_meets_the_reset() -> None:
    """A crowded server closes before it reads: the reset that our login draws must not hide why."""

    def ask_who_refuses(listening: socket.socket, wire: Wire) -> asyncio.Future[object]:
        connection, _ = listening.accept()
        connection.sendall(b"-ERR max number of clients reached\r\n")
        connection.close()
        answer = wire.ask(("AUTH", "secret"), 1.0)
        time.sleep(0.05)  # the reset is here before the loop has read anything
        return answer

    loop, listening = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0))
    with listening:
        wire = Wire(loop)
        await loop.create_connection(lambda: wire, *listening.getsockname())
        first = ask_who_refuses(listening, wire)
        said = await asyncio.gather(first, wire.ask(("PING",), 1.0), return_exceptions=True)
    assert str(said[0]) == "ERR max number of clients reached"
    assert isinstance(said[1], redis.exceptions.ConnectionError)
