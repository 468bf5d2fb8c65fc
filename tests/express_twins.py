"""Two servers that get the same calls: one takes its steps the express way where it can, one never does."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from llm_fleet.engine.scripts import Script, load_script
from tests.lua_redis import MiniRedis
from tests.pool_rig import Rig

__all__ = ["Twins"]

_EXPRESS = ("return said\n", 'return "!" .. said\n')
_WHOLE = ("local said = express(", "local said = nil and express(")


@cache
def _changed(source: str, old: str, new: str) -> Script:
    """pool_step with some of its text replaced."""
    assert source.count(old) == 1, f"pool_step has {source.count(old)} times {old!r}"
    source = source.replace(old, new)
    return Script("pool_step", source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class Twins(Rig):
    """A rig that makes every call to both, and lets nothing differ: what they answer, and what they store."""

    def __init__(self) -> None:
        super().__init__(MiniRedis())
        self.whole = Rig(MiniRedis())
        self.express_steps = 0

    def call(self, name: str, *arguments: str | bytes | int) -> Any:
        """Call a script on both; gives what both replied."""
        self.whole.time_ms = self.time_ms
        replies = [self._call_one(rig, script, *arguments) for rig, script in self._twins(name)]
        if str(replies[0]).startswith("!"):
            self.express_steps += 1
            replies[0] = replies[0][1:]
        assert replies[0] == replies[1], f"{name} {arguments}"
        mine, others = self.contents(), self.whole.contents()
        assert mine == others, f"{name} {arguments}"
        return replies[0]

    def mailbox(self, process: str) -> Any:
        """Empties the mailbox of both."""
        self.whole.mailbox(process)
        return super().mailbox(process)

    def _twins(self, name: str) -> list[tuple[Rig, Script]]:
        script = load_script(name)
        if name != "pool_step":
            return [(self, script), (self.whole, script)]
        return [(rig, _changed(script.source, *how)) for rig, how in ((self, _EXPRESS), (self.whole, _WHOLE))]

    def _call_one(self, rig: Rig, script: Script, *arguments: str | bytes | int) -> Any:
        keys = rig.keys.all()[:1] if script.name == "key_switch" else rig.keys.all()
        return rig.timed(lambda: rig.client.eval(script.source, len(keys), *keys, *arguments))
