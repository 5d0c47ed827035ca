#!/usr/bin/env python3
"""Measures the memory that each flood costs the server, next to the bound that it must keep.

    python3 scripts/measure/floods.py target/release/netbit
    # only floods whose names contain one of these words:
    python3 scripts/measure/floods.py target/release/netbit visitors pushes
    # only datagrams, for 8 s, to a running server:
    python3 scripts/measure/floods.py --datagrams 127.0.0.1:8082 8

Needs Python 3.9 and git. Starts a server on free ports of 127.0.0.1 with its default limits, but
without rates, which would refuse most requests early. Starts each flood after the previous one was
measured, and prints the growth of the peak memory (VmHWM, proc(5)).

Meanwhile witnesses send requests ten times a second: for the description of the server, for the
refs of a private repository as `git ls-remote` does, and to post a message. Prints the 99th
percentiles of the last two. Fails if a bound is exceeded, if a witness is not served, or if the
server has ended.
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
# Source address of the flood of logins, which names its networks in a header.
PROXY = "127.0.0.6"
# Floods of connections and permits: none of them may refuse a witness even once.
OF_PLACES = ["visitors", "dripping_pushes", "websockets", "idle_http", "logins_of_six_networks",
             "deaf_pages", "deaf_http_pages"]


def pack(value):
    """Encodes the types that are needed here as MessagePack."""
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
    def __init__(self, program, directory, settings=None):
        free = [option for name in ("http", "tcp", "udp", "ops") for option in (f"--{name}-listen", "127.0.0.1:0")]
        environment = {**os.environ, "NETBIT_LOG__LEVEL": "error", "NETBIT_LIMITS__RATES": "false",
                       "NETBIT_HTTP__TRUSTED_PROXIES": PROXY, **(settings or {})}
        self.process = subprocess.Popen(
            [program, *free, "--data-dir", directory], stdout=subprocess.PIPE, env=environment, text=True
        )
        text = ""
        while "/readyz" not in text:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server ended before it was ready")
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

    def connect(self, address=None, source=None):
        return socket.create_connection(address or self.tcp, timeout=30, source_address=source and (source, 0))

    def request(self, source, head, body=b""):
        """Opens a connection to HTTP and sends a request on it."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.bind((source, 0))
        connection.connect(self.split(self.http))
        connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + body)
        return connection

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
    """Calls work(n) for 0..count on some threads; ignores its errors, which are refusals."""
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


def floods(server, token, chat, repository, public, commit, attackers):
    """Returns tuples of name, bound in MiB, basis of the bound, and flood."""
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

    def hold(connections, seconds=20):
        time.sleep(seconds)
        for connection in connections:
            connection.close()

    def visitors():
        want = f"want {commit}\n"
        body = f"0011command=fetch0001{len(want) + 4:04x}{want}0009done\n0000".encode()
        head = [f"POST /{public}/git-upload-pack HTTP/1.1", "Host: x", "Git-Protocol: version=2",
                "Content-Type: application/x-git-upload-pack-request", f"Content-Length: {len(body)}"]
        connections = []
        many(60, lambda n: connections.append(server.request(f"127.0.1.{1 + n // 2}", head, body)))
        hold(connections)

    def dripping_pushes():
        line = f"{'0' * 40} {'1' * 40} refs/heads/drip\0report-status"
        body = f"{len(line) + 4:04x}{line}0000PACK".encode() + b"\0\0\0\2\0\0\0\x09"
        connections = []
        for name in attackers[:4]:
            own = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
            head = [f"POST /{name}/p/r/git-receive-pack HTTP/1.1", "Host: x", f"Authorization: Basic {own}",
                    "Content-Type: application/x-git-receive-pack-request", "Content-Length: 9000000"]
            many(8, lambda n: connections.append(server.request("127.0.0.1", head, body if n % 2 else body[:9])))
        end = time.time() + 20
        while time.time() < end:
            for connection in connections:
                try:
                    connection.send(b"\0")
                except OSError:
                    pass
            time.sleep(0.5)
        hold(connections, 0)

    def websockets():
        connections = []
        for at, name in enumerate(attackers):
            login = server.ask("POST", "/api/users/login", {"username": name, "password": PASSWORD})[1]
            hello = json.dumps({"packet_type": "Hello", "token": json.loads(login)["token"]}).encode()
            frame = b"\x81\xfe" + struct.pack(">H", len(hello)) + b"\0\0\0\0" + hello
            head = ["GET /ws HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
            many(480, lambda n: connections.append(server.request(f"127.0.2.{1 + at}", head, frame)))
        print(f"  ({len(connections):,} WebSockets were opened)", file=sys.stderr)
        hold(connections)

    def idle_http():
        connections = []
        many(5_000, lambda n: connections.append(server.connect(Server.split(server.http), "127.0.0.9")))
        hold(connections)

    def logins_of_six_networks():
        end = time.time() + 10

        def one(n):
            while time.time() < end:
                body = json.dumps({"username": f"u{n}", "password": "wrong password"}).encode()
                address = f"2001:db8:0:{n % 6}::{n + 1:x}"
                head = ["POST /api/users/login HTTP/1.1", "Host: x", "Content-Type: application/json",
                        f"Content-Length: {len(body)}", f"X-Forwarded-For: {address}", "Connection: close"]
                connection = server.request(PROXY, head, body)
                while connection.recv(65536):
                    pass

        many(96, one, 96)

    def large_chat():
        group = json.loads(server.ask("POST", "/api/chats", {"kind": "group", "name": "large"}, token)[1])["id"]
        many(66, lambda _: server.ask("POST", f"/api/chats/{group}/messages", {"content": "x" * 16_000}, token))
        return group

    def deaf_pages():
        page = {"packet_type": "GetMessages", "chat_id": large_chat(), "limit": 100}
        pages = b"".join(frame(pack(dict(page, request_id=n))) for n in range(4))
        connections = []

        def one(_):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            connection.connect(server.tcp)
            connection.sendall(frame(pack({"packet_type": "Hello", "token": token})))
            server.exactly(connection, struct.unpack(">I", server.exactly(connection, 4))[0])
            connection.sendall(pages)
            connections.append(connection)

        many(490, one)
        print(f"  ({len(connections):,} sessions asked for pages)", file=sys.stderr)
        hold(connections)

    def deaf_http_pages():
        head = [f"GET /api/chats/{large_chat()}/messages?limit=100 HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
        connections = []
        many(2_000, lambda n: connections.append(server.request("127.0.0.5", head)))
        print(f"  ({len(connections):,} clients asked for pages)", file=sys.stderr)
        hold(connections)

    def pages():
        paths = ["", "/-/tree/main", "/-/blob/main/code.rs", "/-/blob/main/README.md?plain=1", "/-/blame/main/code.rs",
                 f"/-/commit/{commit}", "/-/find/main?q=o", "/-/commits/main", "/-/branches", "/-/raw/main/noise"]
        answers = []

        def one(n):
            # Each with a query of its own, so that no answer is kept.
            path = f"/{public}{paths[n % len(paths)]}"
            path += ("&" if "?" in path else "?") + f"n={n}"
            answers.append(server.ask("GET", path, headers=[("Accept", "text/html")])[0])

        many(3_000, one, 200)
        served = sum(status == 200 for status in answers)
        print(f"  ({served:,} of {len(answers):,} pages were served)", file=sys.stderr)

    def page_logins():
        form = b"username=alice&password=wrong+password"
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")]
        many(500, lambda n: server.ask("POST", "/login", form, headers=headers), 100)

    def invalid_cookies():
        headers = [("Cookie", f"netbit-{server.http.split(':')[1]}=" + "A" * 43), ("Accept", "text/html")]
        many(5_000, lambda n: server.ask("GET", "/projects", headers=headers), 200)

    return [
        ("3,000 anonymous requests for code pages, 200 at once", 256, "reads at once x a file, its HTML and answer_bytes", pages),
        ("500 login forms with a wrong password, 100 at once", 160, "hashes at once x 19 MiB", page_logins),
        ("5,000 pages with an invalid cookie, 200 at once", 64, "connections x a page", invalid_cookies),
        ("60 visitors that request a repository and do not read", 128, "visitors at once x their buffers", visitors),
        ("32 dripping pushes of 4 accounts", 128, "pushes at once x their buffers", dripping_pushes),
        ("4,320 WebSockets of 9 accounts", 160, "WebSockets at once x cost of a session", websockets),
        ("5,000 idle HTTP connections of one address", 160, "connections at once x cost of a connection", idle_http),
        ("logins of six networks, 96 at once", 160, "hashes at once x 19 MiB", logins_of_six_networks),
        ("gzip bombs: 8 of 256 MiB on upload-pack", 64, "an inflated request and a password hash, on each core", gzip_bomb),
        ("2,000 frames that declare or nest too much", 64, "frame_bytes for each in 32", hostile_frames),
        ("10,000 silent unauthenticated connections", 160, "unauthenticated connections x cost of a connection",
         strangers),
        ("400 frames that stop before their end", 64, "frame_bytes x 400, and buffers", half_frames),
        ("500 logins with a wrong password, 100 at once", 160, "hashes at once x 19 MiB", logins),
        ("64 bodies of 16 MiB", 64, "json body limit x connections", large_bodies),
        ("50 sessions that do not read 4 MB", 160, "outbox_bytes x 51; shared frames exist once", deaf_readers),
        ("490 sessions of one account that do not read 4 pages of 1 MB", 192, "answer_bytes, and answer_small_bytes for each session", deaf_pages),
        ("2,000 HTTP clients of one account that do not read a page of 1 MB", 224, "answer_bytes, and buffers of 64 KiB for each", deaf_http_pages),
        ("datagrams with made-up connections for 3 s", 32, "one buffer", datagrams),
        ("20,000 UDP tickets of one account", 32, "udp_tickets_per_user, and mailboxes", tickets),
        ("15,000 connections, closed at once", 96, "connections at once", connects),
        ("100 clones at once", 128, "transfers at once x their buffers", clones),
    ]


def only_datagrams(address, seconds):
    """Sends 100,000 datagrams a second to a running server. Its effect is measured separately."""
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


class World:
    """Accounts, chats and repositories of a server."""

    def __init__(self, server, directory):
        self.server = server
        self.token, self.witness = self.person("alice"), self.person("walter")
        self.chat, self.own_chat = self.group(self.token), self.group(self.witness)
        self.private = self.repository("alice", self.token, "p", "private")
        self.public = self.repository("alice", self.token, "open", "public")
        self.own = self.repository("walter", self.witness, "p", "private")
        self.attackers = [f"eve{n}" for n in range(9)]
        for name in self.attackers:
            self.repository(name, self.person(name), "p", "private")
        self.commit = self.push(os.path.join(directory, "work"))

    def person(self, name):
        self.server.ask("POST", "/api/users/register", {"username": name, "password": PASSWORD})
        login = self.server.ask("POST", "/api/users/login", {"username": name, "password": PASSWORD})[1]
        return json.loads(login)["token"]

    def repository(self, owner, token, project, visibility):
        self.server.ask("POST", "/api/projects/create", {"name": project, "visibility": visibility}, token)
        self.server.ask("POST", f"/api/projects/{owner}/{project}/repos/create", {"name": "r"}, token)
        return f"{owner}/{project}/r"

    def group(self, token):
        return json.loads(self.server.ask("POST", "/api/chats", {"kind": "group", "name": "all"}, token)[1])["id"]

    def push(self, work):
        """Pushes the same two commits to both repositories, and returns the second."""
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", work]
        subprocess.run(["git", "init", "--quiet", "-b", "main", work], check=True)
        with open(os.path.join(work, "noise"), "wb") as file:
            file.write(os.urandom(5 * MIB))
        subprocess.run([*git, "add", "."], check=True)
        for change in ("a", "b"):
            with open(os.path.join(work, "code.rs"), "w") as file:
                file.writelines(f'fn {change}{n}() {{ work("{change}", {n}); }} // a comment\n' for n in range(8_000))
            with open(os.path.join(work, "README.md"), "w") as file:
                file.write("# Title\n\n" + "* [a](b) **c** `d` <b>e</b>\n" * 3_000)
            subprocess.run([*git, "add", "."], check=True)
            subprocess.run([*git, "commit", "--quiet", "-m", "noise"], check=True)
        for path in (self.private, self.public):
            url = f"http://alice:{PASSWORD.replace(' ', '%20')}@{self.server.http}/{path}"
            subprocess.run([*git, "push", "--quiet", url, "main"], check=True, stderr=subprocess.DEVNULL)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def floods(self, server):
        return floods(server, self.token, self.chat, self.private, self.public, self.commit, self.attackers)

    def witnesses(self, server):
        """Returns the requests of well-behaved users of a server, by name."""
        here = {"content": "here"}
        return {
            "description": lambda: server.ask("GET", "/api/server", token=self.witness)[0] == 200,
            "ls-remote": lambda: server.ask(
                "GET", f"/{self.own}/info/refs?service=git-upload-pack", token=self.witness)[0] == 200,
            "message": lambda: server.ask(
                "POST", f"/api/chats/{self.own_chat}/messages", here, self.witness)[0] == 201,
        }


class Flooded:
    """The growth of servers during a flood, and the requests of the witnesses meanwhile."""

    def __init__(self, flood, servers, witnesses):
        before = []
        for server in servers:
            server.forget_peak()
            before.append(server.memory("VmRSS"))
        self.served, stop = {name: [] for name in witnesses}, threading.Event()

        def behave(name, ask):
            while not stop.is_set():
                begun = time.time()
                try:
                    good = ask()
                except (OSError, EOFError):
                    good = False
                self.served[name].append((good, time.time() - begun))
                time.sleep(0.1)

        running = [threading.Thread(target=behave, args=entry) for entry in witnesses.items()]
        for thread in running:
            thread.start()
        flood()
        stop.set()
        for thread in running:
            thread.join()
        self.grown = [(server.memory("VmHWM") - at) / MIB for server, at in zip(servers, before)]

    def p99(self, name):
        took = sorted(took for _, took in self.served[name])
        return f"{took[min(len(took) - 1, len(took) * 99 // 100)] * 1000:.0f} ms"

    def refused(self, what, share):
        """Describes the witnesses that were served in less than this share of their requests."""
        counts = {name: (sum(good for good, _ in asked), len(asked)) for name, asked in self.served.items()}
        return [f"{what}: {good} of {all_} requests of a witness ({name}) were served"
                for name, (good, all_) in counts.items() if good < all_ * share]


def main():
    if sys.argv[1] == "--datagrams":
        return only_datagrams(Server.split(sys.argv[2]), float(sys.argv[3]))
    program = os.path.abspath(sys.argv[1])
    allow_many_files()
    directory = tempfile.mkdtemp(prefix="netbit-floods-")
    server, failures = Server(program, directory), []
    try:
        world = World(server, directory)
        walter = {"username": "walter", "password": PASSWORD}
        print("| Flood | Grew by | Bound | Basis of the bound | p99 of ls-remote | p99 of a message |\n|---|---|---|---|---|---|")
        for what, bound, why, flood in world.floods(server):
            if sys.argv[2:] and not any(word in what for word in sys.argv[2:]):
                continue
            witnesses = world.witnesses(server)
            if flood.__name__ == "logins_of_six_networks":
                witnesses["login"] = lambda: server.ask("POST", "/api/users/login", walter)[0] == 200
            flooded = Flooded(flood, [server], witnesses)
            [grown] = flooded.grown
            print(f"| {what} | {grown:.0f} MiB | {bound} MiB | {why} | {flooded.p99('ls-remote')} "
                  f"| {flooded.p99('message')} |", flush=True)
            if grown > bound:
                failures.append(f"{what}: {grown:.0f} MiB")
            # Floods that take whole cores slow witnesses down. The others must not refuse a single
            # request.
            failures += flooded.refused(what, 1 if flood.__name__ in OF_PLACES else 0.5)
            if server.process.poll() is not None:
                sys.exit(f"{what}: the server has ended")
    finally:
        server.process.kill()
        server.process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    if failures:
        sys.exit("\n".join(failures))


def allow_many_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
