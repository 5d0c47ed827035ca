#!/usr/bin/env python3
"""Measures floods of uploads, downloads, thumbnails, LFS requests and searches.

    python3 scripts/measure/floods_of_files.py target/release/netbit
    # only floods whose names contain one of these words:
    python3 scripts/measure/floods_of_files.py target/release/netbit uploads searches

Needs git and Python 3.9. Nine accounts attack; the server has its default limits, but no rates.
Prints for each flood the peak of the memory of the server (VmHWM) and of the server with its child
processes (sampled every 20 ms), and the 99th percentiles of the witnesses: well-behaved users that
post messages, read refs, search, upload and download a small file ten times a second.
Fails if the memory exceeds 512 MiB, if a witness is not served, or if the server has ended.
"""
import base64
import json
import os
import re
import shutil
import struct
import sys
import tempfile
import threading
import time
import zlib

from floods import MIB, PASSWORD, Flooded, Server, World, allow_many_files, many

# Memory of the server with its children, in MiB.
BOUND = 512
# Share of the requests of each witness that must be served.
SERVED = 0.9
LFS = [("Accept", "application/vnd.git-lfs+json"), ("Content-Type", "application/vnd.git-lfs+json")]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(side):
    """Returns a black square: small as a file, side * side * 3 bytes as pixels."""
    line, packer, packed = b"\0" * (1 + side * 3), zlib.compressobj(9), b""
    for _ in range(side):
        packed += packer.compress(line)
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed + packer.flush()) + chunk(b"IEND", b"")


class Files(World):
    """Adds tokens of the attackers, a chat of each, and a file of the witness."""

    def __init__(self, server, directory):
        super().__init__(server, directory)
        self.tokens = [self.login(name) for name in self.attackers]
        self.chats = [self.group(token) for token in self.tokens]
        self.file = self.upload(self.witness, self.own_chat, b"a line of a log\n" * 64)

    def login(self, name):
        login = self.server.ask("POST", "/api/users/login", {"username": name, "password": PASSWORD})[1]
        return json.loads(login)["token"]

    def announce(self, token, chat, size, name="flood.bin"):
        status, body = self.server.ask("POST", f"/api/chats/{chat}/files", {"name": name, "size": size}, token)
        return json.loads(body) if status == 201 else None

    def upload(self, token, chat, data, name="flood.bin"):
        """Returns the id of a file that a message shows, or None."""
        file = self.announce(token, chat, len(data), name)
        if not file:
            return None
        sent = self.server.ask("PUT", file["upload"], data, token, [("Content-Type", "application/octet-stream")])[0]
        shown = {"content": "", "files": [file["id"]]}
        posted = sent == 200 and self.server.ask("POST", f"/api/chats/{chat}/messages", shown, token)[0] == 201
        return file["id"] if posted else None

    def witnesses(self, server):
        found = super().witnesses(server)
        found["search"] = lambda: server.ask("GET", "/api/search?q=here&in=messages", token=self.witness)[0] == 200
        found["download"] = lambda: server.ask("GET", f"/api/files/{self.file}", token=self.witness)[0] == 200
        found["upload"] = lambda: self.upload(self.witness, self.own_chat, b"small") is not None
        return found

    def floods(self, server):
        def hold(connections, seconds=20):
            """Sends a byte on each connection twice a second, then closes all."""
            print(f"  ({len(connections):,} connections)", file=sys.stderr)
            end = time.time() + seconds
            while time.time() < end:
                for connection in connections:
                    try:
                        connection.send(b"\0")
                    except OSError:
                        pass
                time.sleep(0.5)
            for connection in connections:
                connection.close()

        def slow_uploads():
            connections = []

            def one(n):
                token, chat = self.tokens[n % 9], self.chats[n % 9]
                file = self.announce(token, chat, 50 * MIB)
                head = [f"PUT {file['upload']} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}",
                        f"Content-Length: {50 * MIB}"]
                connections.append(server.request(f"127.0.3.{1 + n % 9}", head, b"\0" * 65_536))

            many(9 * 40, one)
            hold(connections)

        def deaf_downloads():
            files = [self.upload(token, chat, os.urandom(20 * MIB)) for token, chat in zip(self.tokens, self.chats)]
            connections = []

            def one(n):
                head = [f"GET /api/files/{files[n % 9]} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.tokens[n % 9]}"]
                connections.append(server.request(f"127.0.3.{1 + n % 9}", head))

            many(9 * 60, one)
            hold(connections)

        def searches():
            texts = ["the quick brown fox needs a deploy of the server", "error in the build of the server", "the the the"]

            def fill(n):
                message = {"content": f"{texts[n % 3]} {n}"}
                server.ask("POST", f"/api/chats/{self.chats[n % 9]}/messages", message, self.tokens[n % 9])

            many(9_000, fill)
            queries = ["the", "%22of+the+server%22", "the+-the", "%22the+the+the+the%22", "+".join("abcdefghijklmnop"),
                       "server+-error", "th"]
            answers = []

            def one(n):
                path = f"/api/search?q={queries[n % len(queries)]}&limit=100"
                answers.append(server.ask("GET", path, token=self.tokens[n % 9])[0])

            many(6_000, one, 200)
            print(f"  ({answers.count(200):,} of {len(answers):,} searches were served)", file=sys.stderr)

        def thumbnails():
            bombs = [png(12_000), png(6_000), b"\x89PNG\r\n\x1a\n" + chunk(
                b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)) + os.urandom(10_000)]
            files = []
            for n in range(36):
                bomb = bombs[n % 3] + b"\0" * n
                files.append(self.upload(self.tokens[n % 9], self.chats[n % 9], bomb, "bomb.png"))
            answers = []

            def one(n):
                path = f"/api/files/{files[n % 36]}/thumbnail?size={(360, 1080)[n // 36 % 2]}"
                answers.append(server.ask("GET", path, token=self.tokens[n % 9])[0])

            many(720, one, 90)
            print(f"  (answers: { {status: answers.count(status) for status in sorted(set(answers))} })", file=sys.stderr)

        def lfs(name, token, path, body):
            basic = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
            return server.ask("POST", f"/{name}/p/r.git/info/lfs/{path}", body, headers=[*LFS, ("Authorization", f"Basic {basic}")])

        def lfs_batches():
            answers = []

            def one(n):
                objects = [{"oid": os.urandom(32).hex(), "size": 5 * MIB} for _ in range(1_000)]
                body = {"operation": ("upload", "download")[n % 2], "transfers": ["basic"], "objects": objects}
                answers.append(lfs(self.attackers[n % 9], None, "objects/batch", body)[0])

            many(900, one, 90)
            print(f"  (answers: { {status: answers.count(status) for status in sorted(set(answers))} })", file=sys.stderr)

        def lfs_slow_uploads():
            connections = []

            def one(n):
                name = self.attackers[n % 9]
                basic = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
                head = [f"PUT /{name}/p/r.git/info/lfs/objects/{os.urandom(32).hex()} HTTP/1.1", "Host: x",
                        f"Authorization: Basic {basic}", "Content-Type: application/octet-stream",
                        f"Content-Length: {1024 * MIB}"]
                connections.append(server.request(f"127.0.3.{1 + n % 9}", head, b"\0" * 65_536))

            many(9 * 40, one)
            hold(connections)

        return [("slow uploads: 360 connections of 9 accounts", slow_uploads),
                ("540 downloads of 20 MiB that are not read", deaf_downloads),
                ("6,000 searches of 9 accounts, 200 at once", searches),
                ("thumbnails of 36 bombs, 90 requests at once", thumbnails),
                ("LFS batches: 900 of 1,000 objects, 90 at once", lfs_batches),
                ("LFS slow uploads: 360 connections of 9 accounts", lfs_slow_uploads)]


class Tree:
    """Samples the resident memory of a process and of its children."""

    def __init__(self, pid):
        self.pid, self.peak, self.done = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.done.wait(0.02):
            self.peak = max(self.peak, self.now(self.pid))

    def now(self, pid):
        """Returns the proportional set size. A child that starts has the memory of its parent, and
        its command line, until it runs its program: it is not counted."""
        try:
            if pid != self.pid and self.command(pid) == self.command(self.pid):
                return 0
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total = int(re.search(r"Pss:\s+(\d+)", file.read()).group(1)) * 1024
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as file:
                    total += sum(self.now(int(child)) for child in file.read().split())
            return total
        except (OSError, AttributeError):
            return 0

    @staticmethod
    def command(pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()

    def stop(self):
        self.done.set()
        self.thread.join()
        return self.peak / MIB


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = os.path.abspath(sys.argv[1])
    allow_many_files()
    directory = tempfile.mkdtemp(prefix="netbit-floods-")
    server, failures = Server(program, directory), []
    try:
        world = Files(server, directory)
        names = list(world.witnesses(server))
        print(f"| Flood | Server | With children | {' | '.join(f'p99 of {name}' for name in names)} |")
        print("|---|---|---|" + "---|" * len(names))
        for what, flood in world.floods(server):
            if sys.argv[2:] and not any(word in what for word in sys.argv[2:]):
                continue
            tree = Tree(server.process.pid)
            flooded = Flooded(flood, [server], world.witnesses(server))
            peak = tree.stop()
            alone = server.memory("VmHWM") / MIB
            times = " | ".join(flooded.p99(name) for name in names)
            print(f"| {what} | {alone:.0f} MiB | {peak:.0f} MiB | {times} |", flush=True)
            if max(peak, alone) > BOUND:
                failures.append(f"{what}: {max(peak, alone):.0f} MiB")
            failures += flooded.refused(what, SERVED)
            if server.process.poll() is not None:
                sys.exit(f"{what}: the server has ended")
    finally:
        server.process.kill()
        server.process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
