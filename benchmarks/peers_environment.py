"""A virtual environment per limiter, made once and kept outside git; or the reason why there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Peer", "Unavailable", "python_of", "version_of"]

FOLDER = Path(__file__).resolve().parent.parent / ".venv" / "peers"
INSTALL_TIMEOUT_S = 300


class Unavailable(Exception):
    """A limiter that cannot be compared here: says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A limiter: its adapter, what to install (nothing: this very environment), and what it can do."""

    name: str
    adapter: str
    packages: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)
    module: str = ""
    resources: tuple[int, ...] = (1,)


CLIENT = ("redis==8.1.0", "hiredis")
PEERS = (
    Peer("llm_fleet", "ours", resources=(1, 3)),
    Peer("throttled-py", "throttled_py", ("throttled-py==3.5.0", *CLIENT), module="throttled"),
    Peer("limits", "limits_lib", ("limits==5.8.0", *CLIENT), module="limits"),
    Peer(
        "LLMRateLimiter", "llmratelimiter_lib", ("llmratelimiter==0.3.2", *CLIENT),
        (3, 12), "llmratelimiter", (1, 3),
    ),
    Peer(
        "token-throttle", "token_throttle_lib", ("token-throttle[redis]==14.0.0", *CLIENT),
        (3, 12), "token_throttle", (1, 3),
    ),
)  # fmt: skip


def version_of(python: str) -> str:
    """The version of an interpreter."""
    return subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]


def is_new_enough(python: str, version: tuple[int, int]) -> bool:
    """Whether an interpreter runs, and is at least of this version."""
    ask = f"import sys; sys.exit(sys.version_info[:2] < {version})"
    return subprocess.run([python, "-c", ask], capture_output=True).returncode == 0


def find_python(version: tuple[int, int]) -> str:
    """An interpreter of at least this version.

    Raises:
        Unavailable: there is none.
    """
    named = [shutil.which(f"python3.{minor}") for minor in range(version[1], 20)]
    managed = sorted(Path.home().glob(".pyenv/versions/*/bin/python3"), reverse=True)
    for python in [sys.executable, *filter(None, named), *map(str, managed)]:
        if is_new_enough(python, version):
            return python
    raise Unavailable(f"it needs Python {version[0]}.{version[1]}, and there is none here")


def install(peer: Peer, folder: Path) -> None:
    """Make the environment.

    Raises:
        Unavailable: a package cannot be installed.
    """
    python = find_python(peer.python)
    if python == sys.executable:
        venv.create(folder, with_pip=True, clear=True)
    else:
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
    command = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *peer.packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"pip did not finish within {INSTALL_TIMEOUT_S} s") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: No")]
        raise Unavailable("pip cannot install it" + (f": {said[-1][7:]}" if said else ""))


def python_of(peer: Peer) -> str:
    """The interpreter in which a limiter can be imported.

    Raises:
        Unavailable: it cannot be installed, or not be imported.
    """
    if not peer.packages:
        return sys.executable
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = FOLDER / peer.packages[0].replace("[redis]", "").replace("==", "-")
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        install(peer, folder)
    tried = subprocess.run([python, "-c", f"import {peer.module}"], capture_output=True, text=True)
    if tried.returncode:
        raise Unavailable(f"it cannot be imported: {tried.stderr.strip().splitlines()[-1]}")
    (folder / "ready").touch()
    return str(python)
