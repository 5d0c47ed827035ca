#!/usr/bin/env python3
"""What each flood costs the server in memory, beside the bound that it is meant to keep.

    python3 tests/floods.py target/release/netbit
    python3 tests/floods.py --datagrams 127.0.0.1:8082 8    # only these, to a server that runs already

Needs Python 3.9 and git; nothing else. Starts a server of its own on free ports of 127.0.0.1 with the limits that it has
by itself, but without rates, which would refuse most of this before it costs anything. Each flood begins when the memory of the one before was measured; what
is told is by how much the peak grew (VmHWM, proc(5)). Fails when a bound is broken, when somebody who behaves is not
served meanwhile, or when the server has ended.
"""
import base64
import gzip
import json
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

MIB = 1024 * 1024
PASSWORD = "correct horse"


def pack(value):
    """MessagePack, as far as it is needed here."""
    if value is True:
        return b"\xc3"
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    if isinstance(value, str):
        text = value.encode()
        return b"\xda" + struct.pack(">H", len(text)) + text
    return bytes([0x80 | len(value)]) + b"".join(pack(key) + pack(item) for key, item in value.items())


def frame(body):
    return struct.pack(">I", len(body)) + body


class Server:
    def __init__(self, program, directory):
        free = [option for name in ("http", "tcp", "udp", "ops") for option in (f"--{name}-listen", "127.0.0.1:0")]
        environment = dict(os.environ, NETBIT_LOG__LEVEL="error", NETBIT_LIMITS__RATES="false")
        self.process = subprocess.Popen(
            [program, *free, "--data-dir", directory], stdout=subprocess.PIPE, env=environment, text=True
        )
        text = ""
        while "/readyz" not in text:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server ended")
            text += line
        self.http = re.search(r"http://([\d.:]+)/api/", text).group(1)
        self.tcp = self.split(re.search(r"tcp://([\d.:]+)", text).group(1))

    @staticmethod
    def split(address):
        host, port = address.rsplit(":", 1)
        return host, int(port)

    def memory(self, key):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(key + r":\s+(\d+)", status.read()).group(1)) * 1024

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def ask(self, method, path, body=None, token=None, headers=()):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = urllib.request.Request(f"http://{self.http}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers:
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def connect(self, address=None):
        return socket.create_connection(address or self.tcp, timeout=30)

    def session(self, token, udp=False):
        hello = {"packet_type": "Hello", "token": token}
        connection = self.connect()
        connection.sendall(frame(pack(dict(hello, udp=True) if udp else hello)))
        length = struct.unpack(">I", self.exactly(connection, 4))[0]
        return connection, self.exactly(connection, length)

    @staticmethod
    def exactly(connection, count):
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


def many(count, work, threads=32):
    """Runs work(n) for 0..count on some threads; what it raises is what a refusal looks like to a client."""
    numbers, lock = iter(range(count)), threading.Lock()

    def run():
        while True:
            with lock:
                n = next(numbers, None)
            if n is None:
                return
            try:
                work(n)
            except (OSError, EOFError):
                pass

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def floods(server, token, chat, repository):
    """(what, bound in bytes and why, how)"""
    bomb = gzip.compress(b"\0" * (256 * MIB), 9)
    basic = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()

    def gzip_bomb():
        path = f"/{repository}/git-upload-pack"
        headers = [("Content-Encoding", "gzip"), ("Authorization", f"Basic {basic}"),
                   ("Content-Type", "application/x-git-upload-pack-request")]
        many(8, lambda n: server.ask("POST", path, bomb, headers=headers), 4)

    def hostile_frames():
        bodies = [b"\xc1" * 60_000, b"\xdf\xff\xff\xff\xff" + b"\0" * 5, b"\x81\xa1a" + b"\x91" * 10_000 + b"\xc0",
                  b"\x81\xa1a\xdd\xff\xff\xff\xff", b"\x81\xa1a\xc6\xff\xff\xff\xff"]

        def one(n):
            connection, _ = server.session(token)
            connection.sendall(frame(bodies[n % len(bodies)]))
            while connection.recv(65536):
                pass

        many(2_000, one)

    def strangers():
        connections = []
        many(10_000, lambda n: connections.append(server.connect()))
        time.sleep(1)
        for connection in connections:
            connection.close()

    def half_frames():
        connections = []

        def one(n):
            connection, _ = server.session(token)
            connection.sendall(struct.pack(">I", 65_000) + b"\x81" + b"x" * 60_000)
            connections.append(connection)

        many(400, one)
        time.sleep(1)
        for connection in connections:
            connection.close()

    def logins():
        body = {"username": "alice", "password": "wrong password"}
        many(500, lambda n: server.ask("POST", "/api/users/login", body), 100)

    def large_bodies():
        body = json.dumps({"username": "alice", "password": "x" * 16 * MIB}).encode()
        many(64, lambda n: server.ask("POST", "/api/users/login", body), 32)

    def deaf_readers():
        deaf = []
        for _ in range(50):
            connection, _ = server.session(token)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.append(connection)
        speaker, _ = server.session(token)
        threading.Thread(target=drain, args=(speaker,), daemon=True).start()
        for n in range(4_000):
            content = f"{n} " + "x" * 1_000
            message = {"client_id": os.urandom(16), "content": content}
            speaker.sendall(frame(pack({"packet_type": "SendMessage", "chat_id": chat, "message": message})))
        while json.loads(server.ask("GET", f"/api/chats/{chat}", token=token)[1])["last_seq"] < 4_000:
            time.sleep(0.1)
        for connection in deaf + [speaker]:
            connection.close()

    def drain(connection):
        try:
            while connection.recv(1 << 20):
                pass
        except OSError:
            pass

    def datagrams():
        _, welcome = server.session(token, udp=True)
        port = int(re.search(rb"127\.0\.0\.1:(\d+)", welcome).group(1))
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end, count = time.time() + 3, 0
        while time.time() < end:
            for _ in range(100):
                out.sendto(b"\x4e\x01" + os.urandom(8) + b"\1" * 40, ("127.0.0.1", port))
            count += 100
        print(f"  ({count // 3:,} datagrams a second)", file=sys.stderr)

    def connects():
        def one(n):
            server.connect(server.tcp if n % 2 else Server.split(server.http)).close()

        many(15_000, one)

    def tickets():
        many(20_000, lambda _: server.ask("POST", "/api/udp/ticket", {}, token))

    def clones():
        place = tempfile.mkdtemp()
        url = f"http://alice:{PASSWORD.replace(' ', '%20')}@{server.http}/{repository}"
        running = [subprocess.Popen(["git", "clone", "--quiet", "--bare", url, f"{place}/{n}"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for n in range(100)]
        for clone in running:
            clone.wait()
        shutil.rmtree(place)

    return [
        ("gzip bombs: 8 of 256 MiB on upload-pack", 64, "an inflated request and a password hash, on each core", gzip_bomb),
        ("2,000 frames that declare or nest too much", 64, "frame_bytes for each in 32", hostile_frames),
        ("10,000 strangers who say nothing", 160, "strangers x what a connection takes", strangers),
        ("400 frames that stop before their end", 64, "frame_bytes x 400, and buffers", half_frames),
        ("500 logins with a wrong password, 100 at once", 160, "hashes at once x 19 MiB", logins),
        ("64 bodies of 16 MiB", 64, "json body limit x connections", large_bodies),
        ("50 who do not read 4 MB", 160, "outbox_bytes x 51; what all hear is there once", deaf_readers),
        ("datagrams with made-up connections for 3 s", 32, "one buffer", datagrams),
        ("20,000 UDP tickets of one account", 32, "udp_tickets_per_user, and mailboxes", tickets),
        ("15,000 connections, closed at once", 96, "connections at once", connects),
        ("100 clones at once", 128, "transfers at once x their buffers", clones),
    ]


def only_datagrams(address, seconds):
    """100,000 a second, to a server that runs already: what becomes of others is measured beside it."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram = b"\x4e\x01" + os.urandom(8) + b"\1" * 40
    begun, sent = time.time(), 0
    while time.time() < begun + seconds:
        for _ in range(200):
            out.sendto(datagram, address)
        sent += 200
        ahead = sent / 100_000 - (time.time() - begun)
        if ahead > 0:
            time.sleep(ahead)
    print(f"{sent / (time.time() - begun):,.0f} datagrams a second")


def main():
    if sys.argv[1] == "--datagrams":
        return only_datagrams(Server.split(sys.argv[2]), float(sys.argv[3]))
    program = os.path.abspath(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    directory = tempfile.mkdtemp(prefix="netbit-floods-")
    server, failures = Server(program, directory), []
    try:
        server.ask("POST", "/api/users/register", {"username": "alice", "password": PASSWORD})
        token = json.loads(server.ask("POST", "/api/users/login", {"username": "alice", "password": PASSWORD})[1])["token"]
        chat = json.loads(server.ask("POST", "/api/chats", {"kind": "group", "name": "all"}, token)[1])["id"]
        server.ask("POST", "/api/projects/create", {"name": "p"}, token)
        server.ask("POST", "/api/projects/alice/p/repos/create", {"name": "r"}, token)
        work = os.path.join(directory, "work")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", work]
        subprocess.run(["git", "init", "--quiet", "-b", "main", work], check=True)
        with open(os.path.join(work, "noise"), "wb") as file:
            file.write(os.urandom(5 * MIB))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", "noise"], check=True)
        url = f"http://alice:{PASSWORD.replace(' ', '%20')}@{server.http}/alice/p/r"
        subprocess.run([*git, "push", "--quiet", url, "main"], check=True, stderr=subprocess.DEVNULL)
        print(f"| Flood | Grew by | Bound | of what |\n|---|---|---|---|")
        for what, bound, why, flood in floods(server, token, chat, "alice/p/r"):
            server.forget_peak()
            before = server.memory("VmRSS")
            served, stop = [], threading.Event()

            def behave():
                while not stop.is_set():
                    begun = time.time()
                    try:
                        status = server.ask("GET", "/api/server", token=token)[0]
                        served.append((status, time.time() - begun))
                    except OSError:
                        served.append((0, time.time() - begun))
                    time.sleep(0.1)

            witness = threading.Thread(target=behave)
            witness.start()
            flood()
            stop.set()
            witness.join()
            grown = (server.memory("VmHWM") - before) / MIB
            print(f"| {what} | {grown:.0f} MiB | {bound} MiB | {why} |", flush=True)
            if grown > bound:
                failures.append(f"{what}: {grown:.0f} MiB")
            good = sum(status == 200 for status, _ in served)
            if good * 2 < len(served):
                failures.append(f"{what}: {good} of {len(served)} requests of somebody else were served")
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
