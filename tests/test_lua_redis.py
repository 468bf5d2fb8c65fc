"""The mini Redis of the simulation and the mutations: it answers as a real server does, or refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.values import PoolLimits
from tests.lua_check import Bytecode
from tests.lua_redis import MiniRedis
from tests.lua_redis.rooms import HERE, compiled
from tests.oracle_pair import Pair
from tests.oracle_stories import MODEST, Act, acts, members, play, pools
from tests.pool_rig import FAKE, Rig, pool_of

ASK = """
local out = {}
for i, command in ipairs(cjson.decode(ARGV[1])) do
    local reply = redis.pcall(unpack(command))
    if type(reply) == "table" and (command[1] == "HKEYS" or command[1] == "HGETALL") then
        table.sort(reply)
    end
    out[i] = type(reply) == "table" and (reply.err and "an error" or reply.ok or { reply }) or { reply }
end
return cjson.encode(out)
"""
NAMES = st.sampled_from(("a", "b", "c", "a|b", "a|", "b|1|x", "a}", "é", ""))
KEYS = st.sampled_from(("hash", "list", "same", "scored", "text", "none"))
VALUES = st.sampled_from(("", "1", "x", '{"y":[1]}', "é"))
INDEX = st.sampled_from(("0", "1", "2", "5", "-1", "-2", "-9"))
SCORES = st.sampled_from(("0", "1", "-2", "2.5", "1800000000000", "inf", "-inf"))
LEX = st.one_of(
    st.sampled_from(("-", "+", "x")), NAMES.map(lambda name: "[" + name), NAMES.map(lambda name: "(" + name)
)
BOUNDS = st.one_of(SCORES, SCORES.map(lambda score: "(" + score), st.just("nan?"))
LIMIT = st.one_of(
    st.just(()), st.tuples(st.just("LIMIT"), st.sampled_from("012"), st.sampled_from(("-1", "0", "1", "3")))
)
WITH = st.sampled_from(((), ("WITHSCORES",), ("WITHSCORE",)))


def command(name: str, *parts: Any) -> st.SearchStrategy[list[Any]]:
    """A command; parts that are tuples are spread."""
    strategies = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*strategies).map(lambda found: [name, *_spread(found)])


def _spread(parts: Any) -> list[Any]:
    return [item for part in parts for item in (part if isinstance(part, (tuple, list)) else [part])]


MANY = st.lists(NAMES, min_size=1, max_size=3)
PAIRS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3).map(_spread)
SCORED = st.lists(st.tuples(SCORES, NAMES), min_size=1, max_size=3).map(_spread)
SAME = st.lists(st.tuples(st.just("0"), NAMES), min_size=1, max_size=3).map(_spread)
COMMANDS = st.one_of(
    command("HSET", KEYS, PAIRS), command("HGET", KEYS, NAMES), command("HMGET", KEYS, MANY), command("HDEL", KEYS, MANY),
    command("HLEN", KEYS), command("HKEYS", KEYS), command("HGETALL", KEYS), command("HEXISTS", KEYS, NAMES),
    command("HINCRBY", "counts", NAMES, INDEX), command("HSET", "hash", NAMES),
    command("RPUSH", KEYS, MANY), command("LLEN", KEYS), command("LRANGE", KEYS, INDEX, INDEX), command("LINDEX", KEYS, INDEX),
    command("LPOP", KEYS), command("LPOP", "list", st.sampled_from("123")),
    command("ZADD", "same", SAME), command("ZADD", "scored", SCORED), command("ZADD", "scored", "NX", SCORED),
    command("ZADD", KEYS.filter(lambda key: key != "same"), SCORED), command("ZREM", KEYS, MANY), command("ZCARD", KEYS),
    command("ZSCORE", "scored", NAMES), command("ZMSCORE", KEYS, MANY), command("ZRANK", "scored", NAMES), command("ZRANGE", KEYS, INDEX, INDEX, WITH),
    command("ZRANGEBYLEX", "same", LEX, LEX, LIMIT), command("ZREVRANGEBYLEX", "same", LEX, LEX, LIMIT),
    command("ZLEXCOUNT", "same", LEX, LEX), command("ZRANGEBYSCORE", "scored", BOUNDS, BOUNDS, WITH, LIMIT),
    command("ZCOUNT", "scored", BOUNDS, BOUNDS), command("ZREMRANGEBYRANK", "scored", INDEX, INDEX),
    command("SET", KEYS, VALUES), command("GET", KEYS), command("DEL", st.lists(KEYS, min_size=1, max_size=2)),
    command("UNLINK", KEYS), command("EXISTS", st.lists(KEYS, min_size=1, max_size=3)), command("TYPE", KEYS),
    command("PEXPIRE", KEYS, st.sampled_from(("100000", "-1", "x"))), command("HGET", "hash"), command("NOSUCH", "hash"),
)  # fmt: skip
MINI = MiniRedis()


@pytest.fixture(scope="module")
def client(server: PrivateServer) -> Any:
    """A real server's client, for all examples."""
    with redis.Redis.from_url(server.url, decode_responses=True) as opened:
        yield opened


@settings(MODEST, max_examples=150)
@given(story=st.lists(COMMANDS, min_size=20, max_size=120))
def test_mini_redis_answers_as_a_real_server(client: Any, story: list[list[str]]) -> None:
    """Whatever a script asks, in any order, both reply the same, errors included."""
    client.flushall()
    MINI.flushall()
    wire = json.dumps(story, ensure_ascii=False)
    expected, found = (json.loads(server.eval(ASK, 0, wire)) for server in (client, MINI))
    for asked, *replies in zip(story, expected, found, strict=True):
        assert replies[0] == replies[1], f"{asked}: a real server says {replies[0]}, the mini {replies[1]}"


PACK = """
local text = struct.pack(ARGV[1], unpack(cjson.decode(ARGV[2])))
local bytes, values = { string.byte(text, 1, -1) }, { struct.unpack(ARGV[1], text) }
return cjson.encode({ bytes, values })
"""
PARTS = st.one_of(
    st.tuples(st.just("s"), st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=5)),
    st.tuples(st.just("b"), st.integers(-128, 127)),
    st.tuples(st.just("h"), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just("H"), st.integers(0, 2**16 - 1)),
    st.tuples(st.just("l"), st.integers(1 - 10**14, 10**14 - 1)),
)


@settings(MODEST, max_examples=150)
@given(parts=st.lists(PARTS, min_size=1, max_size=12))
def test_mini_redis_and_the_fake_pack_as_struct(client: Any, parts: list[tuple[str, int | str]]) -> None:
    """To the byte, and what is unpacked is what was packed."""
    layout, values = "".join(option for option, _ in parts), json.dumps([value for _, value in parts])
    expected, *found = (json.loads(server.eval(PACK, 0, layout, values)) for server in (client, MINI, FAKE))
    assert found == [expected] * 2
    assert expected[1][:-1] == json.loads(values)


JSON = st.recursive(
    st.one_of(
        st.booleans(), st.none(), st.integers(-(10**15), 10**15), st.floats(-1e6, 1e6), st.text(max_size=6)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=1)
    ),
)
SPOILT = st.tuples(JSON, st.integers(0, 30), st.sampled_from(("", "]", "}", ",", '"', "x"))).map(
    lambda parts: (text := json.dumps(parts[0]))[: parts[1]] + parts[2] + text[parts[1] + 1 :]
)


@settings(MODEST, max_examples=300)
@given(text=st.one_of(JSON.map(lambda value: json.dumps(value, ensure_ascii=False)), SPOILT))
@example(text="")
@example(text='[{, "a": 1}]')
@example(text='"\\ud83d\\ude00 \\/ \\u00e9"')
def test_mini_redis_reads_and_writes_json_as_cjson(client: Any, text: str) -> None:
    """What cjson decodes and encodes again is the same text; what it refuses is refused."""
    script = "local ok, value = pcall(cjson.decode, ARGV[1]) return ok and cjson.encode(value) or 'refused'"
    assert MINI.eval(script, 0, text) == client.eval(script, 0, text)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.lua")), ids=lambda path: path.stem)
def test_rooms_of_the_mini_redis_set_no_global(path: Path) -> None:
    """All rooms of a server share one Lua: what they share is what they return, and nothing else."""
    code = compiled(path.read_text(encoding="utf-8"), path.stem)
    assert [word for _, is_set, word in Bytecode(code).globals() if is_set] == []


def test_mini_redis_keeps_order_in_large_sets() -> None:
    """Thousands of members in many chunks are in order, and found by rank, prefix and score."""
    mini, names = MiniRedis(), [f"m|{i * 7919 % 5000:04d}" for i in range(5000)]
    for name in names:
        mini.zadd("set", {name: 0})
    assert mini.zrange("set", 0, -1) == sorted(names)
    for name in names[::2]:
        mini.zrem("set", name)
    assert mini.zrange("set", 0, -1) == sorted(names[1::2])
    assert mini.zlexcount("set", "[m|1", "(m|2") == sum(name.startswith("m|1") for name in names[1::2])


@pytest.mark.parametrize(
    "source",
    ["redis.call('KEYS', '*')", "x = 1", "return y", "redis.call('SET', 'a', {})", "return os.time()", "not Lua",
     "return unpack({}, 1, 9000)"],
)  # fmt: skip
def test_mini_redis_refuses_what_a_script_may_not_do(client: Any, source: str) -> None:
    """Stray globals, other libraries and tables as arguments are errors here as on a real server; KEYS only here."""
    with pytest.raises(redis.exceptions.ResponseError):
        MINI.eval(source, 0)
    if "KEYS" not in source:
        with pytest.raises(redis.exceptions.ResponseError):
            client.eval(source, 0)


@pytest.mark.parametrize(
    "source", ["return {1.9, 'a', true, false, 'b', nil, 'c'}", "return {ok='fine'}", "return 2^40"]
)
def test_mini_redis_gives_a_client_what_redis_gives(client: Any, source: str) -> None:
    """Numbers are cut off, false is nil, and an array ends with its first nil."""
    assert MINI.eval(source, 0) == client.eval(source, 0)


def test_mini_redis_expires_keys_by_its_clock() -> None:
    """A key is there until its TTL has passed on the clock that the test moves, and no longer."""
    now_us = [1_000_000_000]
    mini = MiniRedis(lambda: now_us[0])
    mini.set("a", "1", "PX", 50)
    now_us[0] += 50_000
    assert mini.get("a") == "1"
    now_us[0] += 1_000
    assert (mini.get("a"), mini.exists("a"), mini.pttl("a")) == (None, 0, -2)
    assert mini.eval("return redis.call('TIME')", 0) == ["1000", "51000"]


def test_mini_redis_forgets_scripts_when_told() -> None:
    """After SCRIPT FLUSH a call by SHA1 raises NOSCRIPT, as redis-py has it."""
    mini = MiniRedis()
    sha = mini.script_load("return 1")
    mini.script_flush()
    with pytest.raises(redis.exceptions.NoScriptError):
        mini.evalsha(sha, 0)


def test_mini_redis_restores_what_it_dumped() -> None:
    """DUMP and RESTORE carry the state of a pool's keys, as far as a test needs it."""
    rig = Rig(MiniRedis())
    rig.register("A", pool_of(slots=2))
    before = rig.dump()
    rig.restore(before)
    assert rig.dump() == before
    assert rig.snapshot()["domains"]["d0"]["concurrency"] == 2


@settings(MODEST, max_examples=10)
@given(pools(), st.booleans(), st.lists(acts(), min_size=15, max_size=40))
def test_mini_redis_plays_the_oracles_stories(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """The pool's scripts agree with the oracle on it, as they do on a real server."""
    MINI.flushall()
    pair = Pair(Rig(MINI), members(pool, fewer))
    play(pair, story)
    pair.compare_overview()
