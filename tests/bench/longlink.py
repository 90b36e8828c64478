"""A long link on one machine: two network namespaces, and a small forwarder between them that delays packets.

Packets are as large as a device takes, so that the forwarder is not what limits, and TCP is the kernel's own. Where a
router has no more room, it drops. For machines whose kernel has no netem.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path

NEAR, FAR = "10.77.0.1", "10.77.0.2"
DELAY = 0.025  # seconds each way
RATE = 1e9 / 8  # bytes a second each way
ROOM = int(RATE * 2 * DELAY)  # what waits at most: the product of bandwidth and delay, as a router has it
MTU = 65_000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000


class NoLongLink(Exception):
    """It cannot be made here; the message says why."""


class LongLink(contextlib.ExitStack):
    """`near` and `far` are what to put before a command, so that it runs on that side."""

    def __enter__(self):
        super().__enter__()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            raise NoLongLink("/dev/net/tun is missing, or not ours to open")
        root = os.geteuid() == 0
        user = [] if root else ["-U", "--preserve-credentials"]
        near = self._holder(["unshare", "-n" if root else "-rn"])
        self.near = ["nsenter", "-t", str(near), "-n", *user]
        far = self._holder([*([] if root else self.near), "unshare", "-n"])
        self.far = ["nsenter", "-t", str(far), "-n", *user]
        inside = [] if root else ["nsenter", "-t", str(near), *user]
        command = [*inside, sys.executable, str(Path(__file__).resolve()), str(near), str(far)]
        forwarder = self._keep(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        if forwarder.stdout.readline() != b"ready\n":
            raise NoLongLink("the forwarder between two network namespaces did not start")

    def _holder(self, command: list[str]) -> int:
        """A process that keeps a namespace, until our end of its pipe is closed."""
        holder = self._keep(subprocess.Popen([*command, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        holder.stdin.write(b"ready\n")
        holder.stdin.flush()
        if holder.stdout.readline() != b"ready\n":
            raise NoLongLink("this kernel, or this user, may make no network namespaces (unshare)")
        return holder.pid

    def _keep(self, process: subprocess.Popen) -> subprocess.Popen:
        self.callback(process.wait)
        self.callback(process.kill)
        self.callback(process.stdout.close)
        self.callback(process.stdin.close)
        return process


class Direction:
    """One way: packets that were read wait here until it is their time."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self._waiting: collections.deque[tuple[float, bytes]] = collections.deque()
        self._size = 0
        self._free = 0.0  # when the wire is free again

    def take(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(self.source, MTU + 100)
                if self._size + len(packet) > ROOM + DELAY * RATE:
                    continue
                self._free = max(self._free, now) + len(packet) / RATE
                self._size += len(packet)
                self._waiting.append((self._free + DELAY, packet))

    def give(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            packet = self._waiting.popleft()[1]
            self._size -= len(packet)
            with contextlib.suppress(OSError):  # a device that is full drops
                os.write(self.sink, packet)

    @property
    def next(self) -> float:
        return self._waiting[0][0] if self._waiting else float("inf")


def forward(near: int, far: int) -> None:
    ways = Direction(near, far), Direction(far, near)
    while True:
        pause = min(way.next for way in ways) - time.monotonic()
        wanted = None if pause == float("inf") else max(pause, 0)
        readable, _, _ = select.select([near, far, 0], [], [], wanted)
        if 0 in readable:  # who started us has closed it, or is gone
            return
        now = time.monotonic()
        for way in ways:
            if way.source in readable:
                way.take(now)
            way.give(time.monotonic())


def device(pid: int, ours: str, theirs: str) -> int:
    """A TUN device in the network namespace of a process; what is sent to `theirs` comes out of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"bench0", IFF_TUN | IFF_NO_PI))
    for words in (
        "link set lo up",
        f"addr add {ours} peer {theirs} dev bench0",
        f"link set bench0 mtu {MTU} txqueuelen 1000 up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return fd


def main(near: int, far: int) -> None:
    devices = device(near, NEAR, FAR), device(far, FAR, NEAR)
    print("ready", flush=True)
    forward(*devices)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
