#!/usr/bin/env python3
"""Measures the CPU time of a delivery on one node, and on each of three nodes of a database.

    python3 scripts/measure/deliveries_of_nodes.py target/release/netbit postgres://… [sessions] [messages] [rounds]

The URL names an empty database (`scripts/check/postgres.sh start` starts a server). Needs Linux and
Python 3.9. A chat has three times as many members as a node has sessions (default: 300). A round
posts messages (default: 300, 20 in a second) to the chat twice: while one node runs with its
sessions, and while three nodes run with as many sessions each.

Prints the CPU time of each node (schedstat in proc(5)) for each delivered message: the median of
the rounds, the smallest and the largest. Fails if a session did not receive all messages.
"""
import json
import os
import re
import resource
import selectors
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PASSWORD = "correct horse"
PER_SECOND = 20
NAMES = ("first", "second", "third")


class Node:
    def __init__(self, program, place, name, database):
        listeners = [part for kind in ("http", "tcp", "udp", "ops") for part in (f"--{kind}-listen", "127.0.0.1:0")]
        environment = dict(os.environ, NETBIT_LOG__LEVEL="error", NETBIT_LIMITS__RATES="false",
                           NETBIT_DATABASE=database, NETBIT_CLUSTER__ENABLED="true", NETBIT_CLUSTER__NAME=name)
        self.process = subprocess.Popen([program, "--data-dir", f"{place}/{name}", *listeners], stdout=subprocess.PIPE,
                                        env=environment, text=True)
        text = ""
        while "/readyz" not in text:
            text += self.process.stdout.readline() or sys.exit("a node ended before it was ready")
        self.http = re.search(r"http://([\d.:]+)/api/", text).group(1)
        host, port = re.search(r"tcp://([\d.:]+)", text).group(1).rsplit(":", 1)
        self.tcp = host, int(port)

    def cpu(self):
        """Returns the CPU seconds of all threads."""
        total, tasks = 0, f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                pass
        return total / 1e9

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Sessions:
    """Connected sessions of a node; counts the messages that each receives."""

    def __init__(self, node, tokens):
        self.node, self.counts, self.tails = node, {}, {}
        self.selector = selectors.DefaultSelector()
        for token in tokens:
            connection = socket.create_connection(node.tcp, timeout=30)
            body = b"\x82\xabpacket_type\xa5Hello\xa5token" + b"\xda" + struct.pack(">H", len(token)) + token.encode()
            connection.sendall(struct.pack(">I", len(body)) + body)
            connection.recv(1 << 16)
            self.counts[connection], self.tails[connection] = 0, b""
            self.selector.register(connection, selectors.EVENT_READ)
        self.marker, self.stopped = b"", False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while not self.stopped:
            for key, _ in self.selector.select(0.2):
                data = self.tails[key.fileobj] + key.fileobj.recv(1 << 18)
                marker = self.marker
                if marker:
                    self.counts[key.fileobj] += data.count(marker)
                    # Less than a marker, so that no marker is counted twice.
                    self.tails[key.fileobj] = data[-(len(marker) - 1):]

    def expect(self, marker):
        for connection in self.counts:
            self.counts[connection], self.tails[connection] = 0, b""
        self.marker = marker

    def close(self):
        self.stopped = True
        self.thread.join()
        for connection in self.counts:
            connection.close()


def post(node, token, content):
    request = urllib.request.Request(f"http://{node.http}/api/chats/1/messages", json.dumps({"content": content}).encode(),
                                     {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})
    urllib.request.urlopen(request).read()


def measure(nodes, tokens, sessions, count, name):
    """Returns the CPU microseconds of a delivery on each node."""
    groups = [Sessions(node, tokens[at * sessions:(at + 1) * sessions]) for at, node in enumerate(nodes)]
    time.sleep(3)
    marker = f"<{name}>".encode()
    for group in groups:
        group.expect(marker)
    before = [node.cpu() for node in nodes]
    begun = time.monotonic()
    for n in range(count):
        time.sleep(max(0.0, begun + n / PER_SECOND - time.monotonic()))
        post(nodes[0], tokens[0], marker.decode() + f" message {n} of a delivery, about as long as a sentence")
    deadline = time.monotonic() + 30
    while any(counted < count for group in groups for counted in group.counts.values()):
        if time.monotonic() > deadline:
            sys.exit("a session did not receive all messages")
        time.sleep(0.02)
    spent = [node.cpu() - at for node, at in zip(nodes, before)]
    if any(counted != count for group in groups for counted in group.counts.values()):
        sys.exit("a session received a message twice")
    for group in groups:
        group.close()
    return [seconds / (sessions * count) * 1e6 for seconds in spent]


def main():
    program, database = os.path.abspath(sys.argv[1]), sys.argv[2]
    sessions, count, rounds = (int(sys.argv[at]) if len(sys.argv) > at else default
                               for at, default in ((3, 300), (4, 300), (5, 5)))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    place = tempfile.mkdtemp(prefix="netbit-nodes-")
    running, figures = [], {}
    try:
        environment = dict(os.environ, NETBIT_DATABASE=database)
        subprocess.run([program, "seed", "--data-dir", f"{place}/first", "--users", str(3 * sessions), "--chats", "1",
                        "--members", str(3 * sessions), "--messages", "0", "--password", PASSWORD, "--tokens", f"{place}/tokens"],
                       env=environment, check=True, stdout=subprocess.DEVNULL)
        with open(f"{place}/tokens") as file:
            tokens = [line.split()[1] for line in file]
        running.append(Node(program, place, NAMES[0], database))
        for n in range(rounds):
            [alone] = measure(running, tokens, sessions, count, f"alone{n}")
            figures.setdefault("one node", []).append(alone)
            running += [Node(program, place, name, database) for name in NAMES[1:]]
            for at, cost in enumerate(measure(running, tokens, sessions, count, f"three{n}")):
                figures.setdefault(f"{NAMES[at]} of three", []).append(cost)
            while len(running) > 1:
                running.pop().stop()
        print(f"{sessions} sessions on a node, {count} messages; CPU microseconds of a delivery on a node "
              f"(median of {rounds} rounds, smallest to largest):")
        for what, costs in figures.items():
            print(f"  {what}: {statistics.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})")
    finally:
        for node in running:
            node.stop()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
