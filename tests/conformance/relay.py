"""A line to the data servers that can stand still, and deliver late what it still holds."""

from __future__ import annotations

import contextlib
import socket
import threading

import urllib3

BLOCK = 64 << 10
SECONDS = 30


class Relay:
    """What this process connects to over HTTP it gets through here. The first to send `after` bytes comes to a halt."""

    def __init__(self, monkeypatch, after: int) -> None:
        self.late = 0
        """bytes that were delivered after the halt"""
        self._after = after
        self._halt = threading.Lock()  # for one connection
        self._released, self._over = threading.Event(), threading.Event()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._connect = urllib3.util.connection.create_connection
        monkeypatch.setattr(urllib3.util.connection, "create_connection", self._carry)

    def release(self) -> None:
        """Let go of the one that halts. Returns when the server has dealt with all that was under way."""
        assert self._halt.locked()
        self._released.set()
        assert self._over.wait(SECONDS)

    def close(self) -> None:
        self._released.set()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _carry(self, address, *args, **options):
        server = self._connect(address)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = self._connect(listener.getsockname(), *args, **options)
            far, _ = listener.accept()
        self._ends += (far, server)
        self._threads.append(threading.Thread(target=self._both_ways, args=(far, server)))
        self._threads[-1].start()
        return near

    def _both_ways(self, far, server) -> None:
        back = threading.Thread(target=carry, args=(server, far))
        back.start()
        halted = False
        try:
            halted = self._there(far, server)
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)  # and the server says that it is done by closing its end
            back.join()
            for end in (far, server):
                end.close()
            if halted:
                self._over.set()

    def _there(self, far, server) -> bool:
        """Whether this was the one that halted."""
        carried = carry(far, server, self._after)
        if carried < self._after or not self._halt.acquire(blocking=False):
            carry(far, server)
            return False
        self._released.wait()
        self.late = carry(far, server)
        return True


def carry(one, other, most=1 << 62) -> int:
    """How many bytes went from one to the other until the end, or until there were so many."""
    carried = 0
    with contextlib.suppress(OSError):
        while carried < most and (data := one.recv(min(BLOCK, most - carried))):
            other.sendall(data)
            carried += len(data)
    return carried
