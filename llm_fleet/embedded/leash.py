"""Starts a server that lives exactly as long as somebody holds a lock file. Run as a script.

    python -I -S leash.py LOCK TRASH SERVER [ARGUMENT …]

The caller holds a shared flock on LOCK. This process splits into the server and a watcher, which
waits for the exclusive lock: the kernel grants it when the last holder is gone, however it went.
Then the watcher kills the server and removes TRASH (a directory with all in it, or one file).
The server's pid is written to standard output, which the server keeps open: end of file there
means that it has ended. Knows only the standard library, and nothing of the package.
"""

import fcntl
import os
import shutil
import signal
import sys


def watch(server_pid: int, lock_path: str, trash: str) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, sys.stdout.fileno())
    with open(lock_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.getppid() != server_pid:
            return  # it ended before; what lies there now belongs to another
        os.kill(server_pid, signal.SIGKILL)
        if os.path.isdir(trash):
            shutil.rmtree(trash, ignore_errors=True)
        elif os.path.exists(trash):
            os.unlink(trash)


def main(lock_path: str, trash: str, *server: str) -> None:
    if os.fork():
        return  # the caller is never the server's parent, so it never has to reap it
    os.setsid()
    server_pid = os.getpid()
    if os.fork() == 0:
        watch(server_pid, lock_path, trash)
        return
    os.write(sys.stdout.fileno(), f"{server_pid}\n".encode())
    os.execv(server[0], server)


if __name__ == "__main__":
    main(*sys.argv[1:])
