"""The store behind TLS, with Sentinel and on a cluster: real servers of each kind."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.errors import CoordinationError
from llm_fleet.store import Store
from tests.clusters import Cluster, cluster
from tests.fault_proxy import proxy_to
from tests.scripts import Echo
from tests.waiting import eventually

__all__ = ["cluster"]

Open = Callable[..., Store]
OwnServer = Callable[..., PrivateServer]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a certificate that nobody but its owner vouches for: cert.pem, key.pem."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost "
        f"-days 2 -addext subjectAltName=IP:127.0.0.1 -keyout {folder}/key.pem -out {folder}/cert.pem"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return folder


@pytest.fixture
async def tls_url(certificate: Path, server: PrivateServer) -> AsyncIterator[str]:
    """Url of a server behind TLS, with the options that make it trusted."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with proxy_to(server, tls) as proxy:
        yield proxy.url.replace("redis://", "rediss://") + f"?ssl_ca_certs={certificate}/cert.pem"


async def test_tls_with_a_trusted_certificate(tls_url: str, open_store: Open) -> None:
    """rediss:// with the authority's certificate works, for commands and for pops."""
    store = open_store(tls_url)
    await store.call("DEL", "list")
    await store.call("RPUSH", "list", "entry")
    assert await store.pop(["list"], 1) == ("list", "entry")


async def test_tls_with_an_unknown_certificate_is_told(tls_url: str, open_store: Open) -> None:
    """A certificate that nobody vouches for is refused, with the option that would."""
    with pytest.raises(CoordinationError, match=r"certificate that is not trusted.*\?ssl_ca_certs="):
        await open_store(tls_url.split("?")[0]).call("PING")


async def test_a_certificate_file_that_is_missing_is_told(tls_url: str, open_store: Open) -> None:
    """The options that name files are pointed at, not the server."""
    with pytest.raises(CoordinationError, match=r"the files of its ssl_… options cannot be used"):
        await open_store(tls_url.replace("cert.pem", "no-such.pem")).call("PING")


async def test_a_certificate_may_go_unchecked(tls_url: str, open_store: Open) -> None:
    """?ssl_cert_reqs=none trusts whoever answers."""
    assert await open_store(tls_url.split("?")[0] + "?ssl_cert_reqs=none").call("PING") == "PONG"


async def test_tls_to_a_server_without_is_told(redis_url: str, open_store: Open) -> None:
    """A server without TLS is silent to rediss://; the error names TLS as a possible cause."""
    store = open_store(redis_url.replace("redis://", "rediss://"), connect_timeout_s=0.2)
    with pytest.raises(CoordinationError, match=r"by TLS \(if it speaks that\) within 0.2 s"):
        await store.call("PING")


async def test_no_tls_to_a_server_with_it_is_told(tls_url: str, open_store: Open) -> None:
    """redis:// to a TLS port ends at once, with an error."""
    with pytest.raises(CoordinationError, match="cannot be reached"):
        await open_store(tls_url.split("?")[0].replace("rediss://", "redis://")).call("PING")


async def test_sentinel_names_the_master_after_a_failover(own_server: OwnServer, open_store: Open) -> None:
    """The store follows the service from one master to the next."""
    quick = {"repl-diskless-sync-delay": "0"}
    one = own_server(password="", settings=quick)
    other = own_server(password="", settings={**quick, "replicaof": f"127.0.0.1 {one.port}"})
    watched = {"sentinel monitor": f"fleet 127.0.0.1 {one.port} 1", "sentinel failover-timeout": "fleet 2000"}
    sentinel = own_server(password="", settings=watched, arguments=("--sentinel",))
    store = open_store(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/fleet")
    await store.call("SET", "a", "1")

    def failed_over() -> bool:
        with contextlib.suppress(redis.ResponseError):  # it has not met the replica yet, or is at it
            watch.execute_command("SENTINEL", "FAILOVER", "fleet")
        master = watch.execute_command("SENTINEL", "get-master-addr-by-name", "fleet")
        return int(master[1]) == other.port

    with redis.Redis(port=sentinel.port) as watch, redis.Redis(port=other.port) as replica:
        assert await asyncio.to_thread(eventually, lambda: replica.get("a") == b"1")
        assert await asyncio.to_thread(eventually, failed_over, within_s=15)
    one.kill()
    with pytest.raises(CoordinationError, match="cannot be reached"):
        await store.call("GET", "a")
    assert await store.call("GET", "a") == "1"


async def test_a_cluster_is_asked_by_slot(cluster: Cluster, open_store: Open) -> None:
    """Commands, scripts and pops go to the node that holds their hash tag."""
    store = open_store(cluster.url)
    for pool in ("{fleet:a}", "{fleet:b}", "{fleet:c}", "{fleet:d}"):
        await store.call("RPUSH", f"{pool}:list", "entry")
        assert await store.script(Echo(), [f"{pool}:x"], ["y"]) == [f"{pool}:x", "y", 1]
        assert await store.pop([f"{pool}:list", f"{pool}:other"], 1) == (f"{pool}:list", "entry")
    assert await store.call("PING") == "PONG"


async def test_pops_are_split_only_on_a_cluster(cluster: Cluster, open_store: Open) -> None:
    """One blocking pop covers all mailboxes of a server, but only one slot of a cluster."""
    keys = ["{fleet:a}:1", "{fleet:b}:1", "{fleet:a}:2"]
    assert open_store(cluster.nodes[0].url).groups(keys) == [keys]
    assert open_store(cluster.url).groups(keys) == [["{fleet:a}:1", "{fleet:a}:2"], ["{fleet:b}:1"]]


async def test_a_moved_slot_is_followed(cluster: Cluster, open_store: Open) -> None:
    """A store that knows an old map follows MOVED and ASK, and asks the right node next time."""
    store = open_store(cluster.url)
    key = "{fleet:a}:moved"
    to = (cluster.owner(key) + 1) % len(cluster.nodes)
    await store.call("GET", key)
    cluster.begin_move(key, to)
    assert await store.call("SET", key, "1") == "OK"  # by ASK
    cluster.end_move(key, to)
    assert await store.call("GET", key) == "1"  # by MOVED
    assert cluster.clients[to].get(key) == b"1"


async def test_a_cluster_behind_a_plain_url_is_told(cluster: Cluster, open_store: Open) -> None:
    """redis:// to a node of a cluster names the right scheme."""
    store = open_store(cluster.nodes[0].url)
    strange = next(key for key in "abcdefgh" if cluster.owner(key) > 0)
    with pytest.raises(CoordinationError, match=r"is a node of a cluster. Use redis\+cluster://"):
        await store.call("GET", strange)
