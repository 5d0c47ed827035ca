#!/usr/bin/env python3
"""Measures floods of one node of two on a PostgreSQL database, next to the bound of the memory.

    python3 scripts/measure/floods_of_nodes.py target/release/netbit postgres://…
    # only floods whose names contain one of these words:
    python3 scripts/measure/floods_of_nodes.py target/release/netbit postgres://… clones

The URL names an empty database (`scripts/check/postgres.sh start` starts a server). Needs git and
Python 3.9.

First, all repositories are on one node, and the floods are sent to the other, which forwards.
Then the flooded node loses its connection to PostgreSQL, which goes through a relay in this script,
and receives more floods. Witnesses send requests to both nodes; while a node is without PostgreSQL
only to the other. Fails if the memory of a node grows beyond the bound, if a witness is not served,
or if a node has ended.
"""
import os
import re
import selectors
import shutil
import socket
import sys
import tempfile
import threading
import time

from floods import PROXY, Flooded, Server, World, allow_many_files, many

# Floods of a forwarded repository, by the names of their functions.
OF_REPOSITORIES = ["pages", "visitors", "dripping_pushes", "gzip_bomb", "clones"]
# Floods of a node without PostgreSQL.
WITHOUT_DATABASE = ["pages", "page_logins", "invalid_cookies", "strangers", "hostile_frames", "large_bodies",
                    "connects", "clones"]


class Relay:
    """Forwards TCP connections to a server, until it is cut."""

    def __init__(self, target):
        self.target, self.pairs, self.open = target, {}, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj in self.pairs:
                    self.forward(key.fileobj)
            if not self.open:
                for one in list(self.pairs):
                    self.close(one)

    def accept(self):
        client, _ = self.listener.accept()
        if not self.open:
            client.close()
            return
        server = socket.create_connection(self.target)
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs[one] = other
            self.selector.register(one, selectors.EVENT_READ)

    def forward(self, one):
        try:
            data = one.recv(1 << 16)
            if data:
                self.pairs[one].sendall(data)
                return
        except OSError:
            pass
        self.close(one)

    def close(self, one):
        other = self.pairs.pop(one, None)
        if other is not None:
            del self.pairs[other]
            for end in (one, other):
                self.selector.unregister(end)
                end.close()


def node(program, directory, name, database):
    # The nodes forward for each other from 127.0.0.1.
    settings = {"NETBIT_DATABASE": database, "NETBIT_CLUSTER__ENABLED": "true", "NETBIT_CLUSTER__NAME": name,
                "NETBIT_HTTP__TRUSTED_PROXIES": f"{PROXY},127.0.0.1"}
    return Server(program, os.path.join(directory, name), settings)


def messages(server, world):
    """4,000 posted messages, 200 at once."""
    path = f"/api/chats/{world.chat}/messages"
    body = {"content": "x" * 4_000}
    many(4_000, lambda _: server.ask("POST", path, body, world.token), 200)


def without_database(world, flooded):
    """Returns the floods of a node that has no database."""
    named = {flood.__name__: entry for entry in world.floods(flooded) for flood in entry[3:]}
    extra = ("4,000 posted messages, 200 at once", 64, "connections x a message", lambda: messages(flooded, world))
    return [named[name] for name in WITHOUT_DATABASE] + [extra]


def main():
    program, database, words = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    allow_many_files()
    directory = tempfile.mkdtemp(prefix="netbit-floods-")
    host, port = re.search(r"@?([\w.]+):(\d+)/", database.split("://", 1)[1]).groups()
    relay = Relay((host, int(port)))
    through = database.replace(f"{host}:{port}/", f"127.0.0.1:{relay.port}/")
    nodes, failures = [], []
    try:
        nodes.append(node(program, directory, "storage", database))
        storage = nodes[0]
        world = World(storage, directory)
        nodes.append(node(program, directory, "flooded", through))
        flooded = nodes[1]

        def measure(state, entries, witnesses, share):
            for what, bound, why, flood in entries:
                if words and not any(word in what for word in words):
                    continue
                result = Flooded(flood, nodes, witnesses)
                at_storage, at_flooded = result.grown
                times = " | ".join(f"{name}: {result.p99(name)}" for name in witnesses)
                print(f"| {state} | {what} | {at_flooded:.0f} and {at_storage:.0f} MiB | {bound} MiB | {why} | {times} |",
                      flush=True)
                for where, grown in (("flooded", at_flooded), ("storage", at_storage)):
                    if grown > bound:
                        failures.append(f"{state}, {what}: {grown:.0f} MiB on the {where} node")
                failures.extend(result.refused(f"{state}, {what}", share(flood.__name__)))
                for server in nodes:
                    if server.process.poll() is not None:
                        sys.exit(f"{what}: a node has ended")

        both = {f"{name} at {where}": ask for where, server in (("flooded", flooded), ("storage", storage))
                for name, ask in world.witnesses(server).items()}
        entries = [entry for entry in world.floods(flooded) if entry[3].__name__ in OF_REPOSITORIES]
        measure("forwarded", entries, both, lambda name: 1 if name in ("visitors", "dripping_pushes") else 0.5)

        relay.open = False
        deadline = time.time() + 30
        while flooded.ask("GET", "/readyz")[0] == 200 or flooded.ask("GET", "/api/chats", token=world.token)[0] != 503:
            if time.time() > deadline:
                sys.exit("the node did not notice that PostgreSQL is away")
            time.sleep(0.2)
        neighbour = {f"{name} at storage": ask for name, ask in world.witnesses(storage).items()}
        measure("without PostgreSQL", without_database(world, flooded), neighbour, lambda _: 1)

        relay.open = True
        deadline = time.time() + 60
        while flooded.ask("GET", "/api/chats", token=world.token)[0] != 200:
            if time.time() > deadline:
                sys.exit("the node did not return after PostgreSQL was back")
            time.sleep(0.2)
    finally:
        for server in nodes:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
