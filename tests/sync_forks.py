"""A process that calls, forks, and calls again on both sides: python -m tests.sync_forks CHILDREN."""

from __future__ import annotations

import os
import sys

from llm_fleet import sync
from tests.managers import HELLO


def main(children: int) -> None:
    client = sync.get_llm_manager().get_client()
    assert client.complete(HELLO).content
    pids = []
    for _ in range(children):
        if (pid := os.fork()) == 0:
            assert client.complete(HELLO).content  # inherited
            assert sync.get_llm_manager().get_client().complete(HELLO).content  # the child's own
            sync.close_all()
            print("child", flush=True)
            os._exit(0)
        pids.append(pid)
    assert client.complete(HELLO).content
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    assert statuses == [0] * children, statuses
    print("parent")


if __name__ == "__main__":
    main(int(sys.argv[1]))
