"""SessionManager.open(): a conversation in Redis that any process can go on with."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import redis

from llm_fleet.errors import ConfigError, CoordinationError
from llm_fleet.models import Message, MessageRole
from llm_fleet.session import SessionManager
from tests.managers import entry, manager_of

POOLS = {"anthropic": entry("http://127.0.0.1:9")}


@pytest.fixture
async def manager(redis_url, namespace):
    """A manager; no provider is called."""
    async with manager_of(redis_url, namespace, **POOLS) as opened:
        yield opened


def texts(session: SessionManager) -> list[object]:
    return [message.content for message in session.get_messages()]


async def test_another_object_goes_on_where_the_first_was(manager):
    """What was added is there for whoever opens the conversation, blocks and all kinds of text too."""
    blocks = ({"type": "text", "text": "Grüße \ud83d 你好"},)
    first = await SessionManager.open("chat-1", manager)
    await first.add_message(MessageRole.USER, "My name is Alice")
    await first.add_message("assistant", blocks)
    second = await SessionManager.open("chat-1", manager)
    assert second.get_messages() == [
        Message(MessageRole.USER, "My name is Alice"),
        Message(MessageRole.ASSISTANT, list(blocks)),
    ]
    assert second.session_id == "chat-1"
    assert len(await SessionManager.open("chat-2", manager)) == 0


async def test_adding_and_refreshing_bring_what_others_added(manager):
    """get_messages is as of the last add or refresh; both see one order."""
    first, second = [await SessionManager.open("chat", manager) for _ in range(2)]
    await first.add_message("user", "one")
    assert texts(second) == []
    await second.add_message("user", "two")
    assert texts(second) == ["one", "two"]
    assert texts(first) == ["one"]
    await first.refresh()
    assert texts(first) == ["one", "two"]


async def test_tasks_of_one_process_share_one_object(manager):
    """Many adds at once: each counts once."""
    session = await SessionManager.open("chat", manager)
    await asyncio.gather(*(session.add_message("user", f"{i}") for i in range(50)))
    assert sorted(texts(session), key=lambda text: int(str(text))) == [f"{i}" for i in range(50)]
    other = await SessionManager.open("chat", manager)
    assert texts(other) == texts(session)


def run_writer(*arguments: str) -> subprocess.Popen[str]:
    """Another process: tests/session_writer.py."""
    command = [sys.executable, "-m", "tests.session_writer", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_two_processes_lose_nothing_and_see_one_order(manager, redis_url, namespace):
    """Both write as fast as they can: every message is there once, each writer's in its order."""
    writers = [run_writer(redis_url, namespace, "chat", name, "100") for name in "ab"]
    for writer in writers:
        assert await asyncio.to_thread(writer.stdout.readline) == "ready\n"
    seen = [await asyncio.to_thread(writer.communicate, "go\n", 20) for writer in writers]
    everything = texts(await SessionManager.open("chat", manager))
    assert len(everything) == 200
    for name, (out, _) in zip("ab", seen, strict=True):
        mine = [text for text in everything if str(text).startswith(name)]
        assert mine == [f"{name}{i}" for i in range(100)]
        assert out.split() == everything[: len(out.split())]


async def test_a_repeated_append_counts_once(manager):
    """A connection that breaks under an append: it is sent again, and stands there once."""
    session = await SessionManager.open("chat", manager)

    async def twice(store):
        entry_ = '["id", "user", "once"]'
        await session._exchange(store, entry_)
        session._messages.clear()  # its answer was lost
        await session._exchange(store, entry_)

    await manager.fleet.run(twice)
    assert texts(session) == ["once"]
    assert texts(await SessionManager.open("chat", manager)) == ["once"]


async def test_clear_forgets_for_everybody_and_what_follows_is_new(manager):
    """Who had seen the old turns sees only the new ones after a refresh."""
    first, second = [await SessionManager.open("chat", manager) for _ in range(2)]
    for text in ("one", "two"):
        await first.add_message("user", text)
    await second.refresh()
    await first.clear()
    assert texts(first) == []
    await first.add_message("user", "three")
    await second.add_message("user", "four")
    assert texts(second) == ["three", "four"]


async def test_an_untouched_conversation_expires(manager, redis_url, namespace):
    """Its key has a TTL, renewed by use; once expired it is empty for those who knew it too."""
    session = await SessionManager.open("chat", manager, ttl_s=60)
    await session.add_message("user", "one")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        (key,) = client.keys(f"*{namespace}*session*")
        assert 55 < client.ttl(key) <= 60
        client.expire(key, 10)
        await session.refresh()
        assert client.ttl(key) > 55
        client.delete(key)
    await session.refresh()
    assert texts(session) == []
    await session.add_message("user", "two")
    assert texts(session) == ["two"]


async def test_lost_writes_are_seen(manager, redis_url, namespace):
    """A failover that lost the last turns: after a refresh everybody has what Redis has."""
    session = await SessionManager.open("chat", manager)
    for text in ("one", "two", "three"):
        await session.add_message("user", text)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        (key,) = client.keys(f"*{namespace}*session*")
        client.rpop(key, 2)
    await session.refresh()
    assert texts(session) == ["one"]


async def test_a_status_does_not_take_a_conversation_for_a_pool(manager, redis_url, namespace):
    """Conversations stand beside the pools of a namespace, not among them."""
    from llm_fleet.engine.snapshot import list_pools

    await (await SessionManager.open("chat", manager)).add_message("user", "one")
    await manager.fleet_status()
    assert await manager.fleet.run(lambda store: list_pools(store, namespace)) == []


@pytest.mark.parametrize(("session_id", "ttl_s"), [("", 60), ("a}b", 60), ("chat", 0), ("chat", -1)])
async def test_what_cannot_be_is_refused(manager, session_id, ttl_s):
    """An id that no key may have, and a TTL of nothing."""
    with pytest.raises(ConfigError):
        await SessionManager.open(session_id, manager, ttl_s=ttl_s)


async def test_content_that_is_no_json_is_refused_by_name(manager):
    """An SDK's own object, say: nothing is stored."""
    session = await SessionManager.open("chat", manager)
    with pytest.raises(ConfigError, match="chat.*JSON"):
        await session.add_message("user", [{"type": "text", "text": object()}])
    assert texts(session) == []


async def test_redis_away_is_a_coordination_error(own_server, namespace):
    """The conversation as known stays readable; adding says where Redis is not."""
    server = own_server()
    async with manager_of(server.url, namespace, **POOLS) as manager:
        session = await SessionManager.open("chat", manager)
        await session.add_message("user", "one")
        server.kill()
        with pytest.raises(CoordinationError, match=str(server.port)):
            await session.add_message("user", "two")
        assert texts(session) == ["one"]
