#!/usr/bin/env python3
"""What vouchsafe-vsock-relay costs: processor time for each relayed release (two exchanges, each on
a connection of its own, of the sizes of a challenge and of a release), memory of each open
connection, and what socat takes for the same.  scripts/bench runs it; VOUCHSAFE_RELAY_BIN says which.
"""
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("VOUCHSAFE_SOURCE",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.append(os.path.join(SOURCE, "tests/e2e"))
from vsock_relay import Process, Verifier, read_all, read_some  # noqa: E402  pylint: disable=wrong-import-position

ROUNDS, RELEASES, OPEN = 7, 200, 200
EXCHANGES = ((300, 300), (7500, 2500))  # bytes there and back


def answer(connection):
    head = read_some(connection, 8)
    if not head:
        return  # one that was only held open
    read_some(connection, int(head[:4], 16) - 8)
    connection.sendall(bytes(int(head[4:], 16)))


def exchange(path, there, back):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"%04x%04x" % (there, back) + bytes(there - 8))
        assert len(read_all(connection)) == back


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1])


def open_many(path):
    opened = [socket.socket(socket.AF_UNIX) for _ in range(OPEN)]
    for one in opened:
        one.connect(path)
    time.sleep(1)
    return opened


def main():
    verifier = Verifier(answer)
    with tempfile.TemporaryDirectory(prefix="vr-", dir="/tmp") as folder:
        path = os.path.join(folder, "relay")
        relay = Process("--listen", f"unix:{path}", "--to", f"127.0.0.1:{verifier.port}")
        costs = []
        for _ in range(ROUNDS):
            before_s = relay.cpu_s()
            for _ in range(RELEASES):
                for there, back in EXCHANGES:
                    exchange(path, there, back)
            costs.append((relay.cpu_s() - before_s) / RELEASES * 1000)
        print(f"relayed release: {statistics.median(costs):.3f} ms "
              f"({min(costs):.3f}..{max(costs):.3f}) of the relay's processor time")
        before_kb = pss_kb(relay.process.pid)
        opened = open_many(path)
        grown_kb = pss_kb(relay.process.pid) - before_kb
        print(f"relay: {before_kb} KiB, and {grown_kb / OPEN:.2f} KiB for each open connection")
        for one in opened:
            one.close()
        relay.stop()
        path = os.path.join(folder, "socat")
        with subprocess.Popen(["socat", f"UNIX-LISTEN:{path},fork,backlog=1024",
                               f"TCP:127.0.0.1:{verifier.port}"]) as socat:
            time.sleep(0.5)
            opened = open_many(path)
            with open(f"/proc/{socat.pid}/task/{socat.pid}/children", encoding="ascii") as file:
                children = file.read().split()
            total_kb = sum(pss_kb(pid) for pid in children)
            print(f"socat: {total_kb / len(children):.0f} KiB for each of {len(children)} processes")
            for one in opened:
                one.close()
            socat.terminate()
    verifier.close()


if __name__ == "__main__":
    main()
