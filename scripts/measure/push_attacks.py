#!/usr/bin/env python3
"""Measures the cost of pushes that are small on the wire and large for the server.

    python3 scripts/measure/push_attacks.py target/release/netbit [--objects 1400000] [--json FILE]

Needs Linux, Python 3.9 and git. Each attack has a separate server on free ports of 127.0.0.1, under
3 GiB of address space (the limit of `ulimit -v`, so for each process). Measures time, and memory of
the server with its git children. Fails if a server ends, does not serve other users, is not ready
within 2 s after SIGKILL, or uses more than 512 MiB together with its children.
"""
import argparse
import base64
import hashlib
import http.client
import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib

MIB = 1024 * 1024
PASSWORD = "correct horse"
CEILING = 3 * 1024 * MIB
BOUND = 512 * MIB
COMMIT, TREE, BLOB = 1, 2, 3
ZERO = "0" * 40


def tree_bytes(pid):
    total = 0
    try:
        with open(f"/proc/{pid}/status") as status:
            found = re.search(r"VmRSS:\s+(\d+)", status.read())
        total += int(found.group(1)) * 1024 if found else 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                total += sum(tree_bytes(int(child)) for child in children.read().split())
    except OSError:
        pass
    return total


def header(code, size):
    out, byte = [], (code << 4) | (size & 15)
    size >>= 4
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    return bytes(out + [byte])


def number(value):
    out = []
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + [value])


def back(distance):
    out = [distance & 0x7F]
    while distance > 0x7F:
        distance = (distance >> 7) - 1
        out.append(distance & 0x7F | 0x80)
    return bytes(reversed(out))


def oid(kind, content):
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content).digest()


class Pack:
    """Builds a pack with a correct checksum."""

    def __init__(self):
        self.parts, self.count, self.size = [], 0, 12

    def add(self, code, size, base, deflated):
        entry = header(code, size) + base + deflated
        at = self.size
        self.parts.append(entry)
        self.count, self.size = self.count + 1, self.size + len(entry)
        return at

    def object(self, code, content):
        return self.add(code, len(content), b"", zlib.compress(content, 9))

    def delta(self, base_at, delta):
        return self.add(6, len(delta), back(self.size - base_at), zlib.compress(delta, 9))

    def bytes(self):
        body = b"PACK" + struct.pack(">II", 2, self.count) + b"".join(self.parts)
        return body + hashlib.sha1(body).digest()


def commit(tree, message=b"x"):
    who = b"A <a@example.org> 0 +0000"
    return b"tree %s\nauthor %s\ncommitter %s\n\n%s" % (tree.hex().encode(), who, who, message)


def copies(base_size, times):
    """Returns a delta that copies the whole base (below 64 KiB) `times` times."""
    copy = bytes([0x80 | 0x10 | 0x20, base_size & 0xFF, base_size >> 8])
    return number(base_size) + number(base_size * times) + copy * times


def huge_commit():
    pack, tree = Pack(), b""
    pack.object(TREE, tree)
    content = commit(oid(b"tree", tree), b"\xff" * 100_000_000)
    pack.object(COMMIT, content)
    return pack, oid(b"commit", content)


def delta_bomb():
    """Returns a pack of deltas on one small base, with results of 60 MB each."""
    pack = Pack()
    base = os.urandom(16) * 3750
    at = pack.object(BLOB, base)
    for n in range(50):
        pack.delta(at, copies(len(base), 1000 + n))
    return pack, b"\1" * 20


def wide_delta_commit():
    pack = Pack()
    base = commit(oid(b"tree", b""), b"x" * 50_000)
    at = pack.object(COMMIT, base)
    pack.delta(at, copies(len(base), 2000))
    return pack, b"\1" * 20


def many_objects(count):
    def make():
        pack = Pack()
        for n in range(count):
            content = b"%d" % n
            pack.add(BLOB, len(content), b"", zlib.compress(content, 1))
        pack.object(TREE, b"")
        content = commit(oid(b"tree", b""))
        pack.object(COMMIT, content)
        return pack, oid(b"commit", content)

    return make


def nested_tree():
    """Returns a pack with a tree of 10^10 files in 11 objects."""
    pack = Pack()
    pack.object(BLOB, b"x")
    inner, mode = oid(b"blob", b"x"), b"100644"
    for _ in range(10):
        tree = b"".join(b"%s %d\0" % (mode, n) + inner for n in range(10))
        pack.object(TREE, tree)
        inner, mode = oid(b"tree", tree), b"40000"
    content = commit(inner)
    pack.object(COMMIT, content)
    return pack, oid(b"commit", content)


class Server:
    def __init__(self, program, data):
        self.program, self.data = os.path.abspath(program), data
        self.start()

    def start(self):
        free = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
        environment = dict(os.environ, NETBIT_LOG__LEVEL="off")
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))
        begun = time.monotonic()
        self.process = subprocess.Popen([self.program, *free, "--data-dir", self.data], stdout=subprocess.PIPE,
                                        env=environment, text=True, preexec_fn=limit)
        text = ""
        while "/readyz" not in text:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the server ended before it was ready")
            text += line
        self.ready = time.monotonic() - begun
        self.base = re.search(r"(http://[\d.:]+)/api/", text).group(1)

    def call(self, path, body=None, token=None):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode() if body is not None else None)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def push(self, pack, new):
        command = f"{ZERO} {new.hex()} refs/heads/main\0report-status side-band-64k"
        body = f"{len(command) + 4:04x}{command}0000".encode() + pack
        request = urllib.request.Request(f"{self.base}/mallory/p/r/git-receive-pack", body)
        request.add_header("Content-Type", "application/x-git-receive-pack-request")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"mallory:{PASSWORD}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                said = answer.read()
        except (urllib.error.URLError, OSError) as error:
            return f"{error}"
        found = re.search(rb"ng refs/heads/main ([^\n]*)", said)
        return found.group(1).decode(errors="replace")[:100] if found else "accepted" if b"ok refs" in said else "?"

    def archive(self):
        try:
            with urllib.request.urlopen(f"{self.base}/api/projects/mallory/p/repos/r/archive/main.tar.gz", timeout=20) as answer:
                while answer.read(MIB):
                    pass
        except (OSError, ValueError, http.client.HTTPException):
            pass

    def clone(self):
        with tempfile.TemporaryDirectory() as place:
            subprocess.run(["git", "clone", "-q", "--mirror", f"{self.base}/mallory/p/r", place + "/c"],
                           capture_output=True, timeout=300, check=False)


def attack(program, name, make, pushes=1, then=None):
    with tempfile.TemporaryDirectory() as data:
        server = Server(program, data)
        for user in ("mallory", "alice"):
            server.call("/api/users/register", {"username": user, "password": PASSWORD})
        token = {user: server.call("/api/users/login", {"username": user, "password": PASSWORD})["token"]
                 for user in ("mallory", "alice")}
        for user, visibility in (("mallory", "public"), ("alice", "private")):
            server.call("/api/projects/create", {"name": "p", "visibility": visibility}, token[user])
            server.call(f"/api/projects/{user}/p/repos/create", {"name": "r"}, token[user])
        peak, over = [0], [False]

        def watch():
            while not over[0]:
                peak[0] = max(peak[0], tree_bytes(server.process.pid))
                time.sleep(0.01)

        threading.Thread(target=watch, daemon=True).start()
        pack, new = make()
        sent = pack.bytes()
        begun = time.monotonic()
        said = []
        threads = [threading.Thread(target=lambda: said.append(server.push(sent, new))) for _ in range(pushes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if then:
            threads = [threading.Thread(target=getattr(server, then)) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        took = time.monotonic() - begun
        alive = server.process.poll() is None
        served = False
        if alive:
            url = server.base.replace("http://", f"http://alice:{PASSWORD.replace(' ', '%20')}@") + "/alice/p/r"
            served = subprocess.run(["git", "ls-remote", url], capture_output=True, timeout=60).returncode == 0
            server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        over[0] = True
        try:
            server.start()
            ready = server.ready
            time.sleep(0.5)
            again = server.process.poll() is None
            server.process.kill()
            server.process.wait()
        except SystemExit:
            ready, again = float("inf"), False
        good = alive and served and again and ready < 2 and peak[0] < BOUND
        row = {"attack": name, "sent_bytes": len(sent) * pushes, "peak_mib": peak[0] // MIB, "seconds": round(took, 1),
               "alive": alive, "serves": served, "ready_s": round(ready, 2), "starts": again, "good": good,
               "answer": said[0] if said else ""}
        print(f"{'ok  ' if good else 'BAD '}{name}: {row['sent_bytes']} bytes, {row['peak_mib']} MiB, {row['seconds']} s, "
              f"alive {alive}, serves {served}, ready {row['ready_s']} s: {row['answer']}", flush=True)
        return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--objects", type=int, default=1_400_000)
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = [
        attack(options.program, "one commit of 100 MB", huge_commit),
        attack(options.program, "50 deltas of 60 MB each, 4 pushes at once", delta_bomb, pushes=4),
        attack(options.program, "a commit of 100 MB by delta", wide_delta_commit),
        attack(options.program, f"{options.objects} tiny objects", many_objects(options.objects)),
        attack(options.program, "a tree of 10^10 files, 16 archives", nested_tree, then="archive"),
        attack(options.program, "4 copies of 60 MB, 16 clones", four_copies, then="clone"),
    ]
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)
    sys.exit(0 if all(row["good"] for row in rows) else 1)


def four_copies():
    pack, entries = Pack(), b""
    for n in range(4):
        content = bytes([n]) * 60_000_000
        pack.object(BLOB, content)
        entries += b"100644 %d\0" % n + oid(b"blob", content)
    pack.object(TREE, entries)
    content = commit(oid(b"tree", entries))
    pack.object(COMMIT, content)
    return pack, oid(b"commit", content)


if __name__ == "__main__":
    main()
