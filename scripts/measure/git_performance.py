#!/usr/bin/env python3
"""Measures the cost of git hosting, compared with git alone on the same machine.

    python3 scripts/measure/git_performance.py target/release/netbit [--quick] [--large] [--json FILE]
        [--only PART,PART] [--credential password|token|bearer]

Measures a push of 200 MB, clone time and raw pack stream, `info/refs`, the memory of the server
with 8 clones, chat latency with 8 clones, the remains of 200 clients that disconnect during a
clone, small pushes, and with --large a push of 2 GiB.

Needs Linux, Python 3.10 (standard library only), git with `git daemon`, a release build, an
otherwise idle machine, and 3 GB of disk in the temporary directory (TMPDIR; 8 GiB with --large).

--credential selects the credential of clones and pushes: the password or an access token, both as
Basic, or the token as Bearer, in a header that git is configured to send. --quick uses 20 MB and
fewer runs; it reports timings, but only other results can fail. The exit code is 1 if a target is
missed. All files are in one temporary directory that is removed at the end, and all traffic stays
on 127.0.0.1. A run takes about 7 minutes (--quick: 1 minute) and stops after 60 (with --large: 120,
--quick: 10).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gc
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

sys.dont_write_bytecode = True  # write no __pycache__

PASSWORD = "correct horse"
PARTS = ("clone", "refs", "memory", "chat", "leave", "push")
CLONES = 8  # at once
MB = 1_000_000
MIB = 1024 * 1024
# Settings of the server for every push: a local push does the same work, without the network.
LIKE_THE_SERVER = (
    ("transfer.fsckObjects", "true"),
    ("core.fsync", "objects,derived-metadata,reference"),
    ("gc.auto", "0"),
    ("receive.autogc", "false"),
)

# --- git ------------------------------------------------------------------------------------------


def environment(home: str, **more: str) -> dict[str, str]:
    """Returns an environment without this machine's git configuration, proxies and credentials."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": home,
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Someone",
        "GIT_AUTHOR_EMAIL": "someone@example.org",
        "GIT_COMMITTER_NAME": "Someone",
        "GIT_COMMITTER_EMAIL": "someone@example.org",
        **more,
    }


class Git:
    """Runs git in the temporary directory."""

    def __init__(self, directory: Path, patience: float) -> None:
        self.directory, self.patience = directory, patience
        self.env = environment(str(directory))

    def send_header(self, header: str) -> None:
        """Sends a header with every request from now on."""
        self.env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": header}

    def run(self, *arguments: str, at: Path | None = None, data: bytes | None = None) -> str:
        """Returns the standard output; raises RuntimeError with the standard error on failure."""
        command = ["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *arguments]
        done = subprocess.run(
            command, cwd=at or self.directory, env=self.env, input=data, capture_output=True, timeout=self.patience
        )
        if done.returncode != 0:
            raise RuntimeError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode().strip()

    def timed(self, *arguments: str, at: Path | None = None) -> float:
        begun = time.perf_counter()
        self.run(*arguments, at=at)
        return time.perf_counter() - begun

    def make(self, at: Path, files: int, file_bytes: int, commits: int) -> None:
        """Creates a bare repository of incompressible files, spread over the commits; a tag on
        every 20th.
        """
        self.run("init", "--quiet", "--bare", "--initial-branch=main", str(at))
        source = random.Random(files * file_bytes)  # the same repository in every run
        # Compression and a search for deltas would be useless for random bytes.
        command = ["git", "-c", "pack.compression=0", "fast-import", "--quiet", "--done", "--big-file-threshold=1m"]
        importer = subprocess.Popen(command, cwd=at, env=self.env, stdin=subprocess.PIPE)
        try:
            self._feed(importer, files, file_bytes, commits, source)
            if importer.wait(self.patience) != 0:
                raise RuntimeError("git fast-import failed")
        finally:
            importer.kill()  # after an interrupt: the directory is being removed
            importer.wait()

    @staticmethod
    def _feed(
        importer: subprocess.Popen[bytes], files: int, file_bytes: int, commits: int, source: random.Random
    ) -> None:
        assert importer.stdin is not None
        with importer.stdin as out:
            written = 0
            for commit in range(commits):
                out.write(b"commit refs/heads/main\nmark :%d\n" % (commit + 1))
                out.write(b"committer Someone <someone@example.org> %d +0000\n" % (1_700_000_000 + commit))
                write_data(out, b"commit %d" % commit)
                while written < files * (commit + 1) // commits:
                    out.write(b"M 100644 inline folder-%d/file-%d\n" % (written % 16, written))
                    write_data(out, source.randbytes(file_bytes))
                    written += 1
                if commit % 20 == 19:
                    out.write(b"reset refs/tags/v%d\nfrom :%d\n\n" % (commit, commit + 1))
            out.write(b"done\n")

    def add_commit(self, at: Path, name: str) -> None:
        """Adds a small commit to main."""
        script = b"commit refs/heads/main\ncommitter Someone <someone@example.org> %d +0000\n" % int(time.time())
        text = f"a small change: {name}\n".encode()
        script += b"data %d\n%s\nfrom refs/heads/main^0\nM 100644 inline %s\n" % (len(text), text, name.encode())
        script += b"data %d\n%s\n" % (len(text), text)
        self.run("fast-import", "--quiet", at=at, data=script)

    def objects(self, at: Path) -> list[str]:
        return sorted(self.run("cat-file", "--batch-all-objects", "--batch-check", at=at).splitlines())


def write_data(out: BinaryIO | Any, data: bytes) -> None:
    out.write(b"data %d\n" % len(data))
    out.write(data)
    out.write(b"\n")


def pkt(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


def request_for_all(wants: Sequence[str]) -> bytes:
    """Returns a request of protocol version 2 for everything, without `have` lines."""
    body = pkt("command=fetch") + pkt("object-format=sha1") + b"0001" + pkt("ofs-delta\n") + pkt("no-progress\n")
    return body + b"".join(pkt(f"want {oid}\n") for oid in wants) + pkt("done\n") + b"0000"


# --- raw readers: no git at the client, the bytes are discarded -----------------------------------


@dataclass
class Target:
    """The source of a pack: NetBit, or the bare sink, which uses the same HTTP."""

    host: str
    port: int
    path: str = "/"
    authorization: str = ""

    def head(self, length: int) -> bytes:
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Git-Protocol: version=2",
            "Content-Type: application/x-git-upload-pack-request",
            "Accept: application/x-git-upload-pack-result",
            f"Content-Length: {length}",
            "Connection: close",
        ]
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        return "\r\n".join([*lines, "", ""]).encode()


def read_pack(target: Target, request: bytes, buffer: bytearray) -> int:
    """Requests everything and discards it; returns the number of bytes. Raises if it is incomplete.
    """
    view, count, tail, head = memoryview(buffer), 0, b"", b""
    with socket.create_connection((target.host, target.port), timeout=120) as connection:
        connection.sendall(target.head(len(request)) + request)
        while size := connection.recv_into(buffer):
            count += size
            if b"\r\n\r\n" not in head:
                head += bytes(view[: min(size, 4096)])
            tail = (tail + bytes(view[max(0, size - 8) : size]))[-8:]
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the answer is {head.splitlines()[0] if head else b'nothing'!r}")
    chunked = b"transfer-encoding: chunked" in head.split(b"\r\n\r\n")[0].lower()
    if not tail.endswith(b"\r\n0\r\n\r\n" if chunked else b"0000"):
        raise RuntimeError(f"the answer ended early, after {count} bytes")
    return count


def role_reader(given: dict[str, Any]) -> None:
    """Runs in a separate, niced process: clones in a loop until its input ends, then prints totals.
    """
    os.nice(19)
    target, request = Target(**given["target"]), bytes.fromhex(given["request"])
    done = {"bytes": 0, "clones": 0, "failed": 0, "why": ""}

    def loop() -> None:
        buffer = bytearray(256 * 1024)
        while True:
            try:
                done["bytes"] += read_pack(target, request, buffer)
                done["clones"] += 1
            except Exception as error:
                done["failed"] += 1
                done["why"] = str(error)
                time.sleep(0.2)  # do not flood the server after an error

    threading.Thread(target=loop, daemon=True).start()
    sys.stdin.read()
    print(json.dumps(done), flush=True)
    os._exit(0)


def role_sink(given: dict[str, Any]) -> None:
    """Runs in a separate, niced process: sends the output of `git upload-pack` to the socket."""
    os.nice(19)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    env = {**os.environ, "GIT_PROTOCOL": "version=2"}

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb")
            length = 0
            while (line := stream.readline().strip().lower()):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            request = stream.read(length)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            command = ["git", "upload-pack", "--stateless-rpc", given["repository"]]
            child = subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=connection, stderr=subprocess.DEVNULL
            )
            child.communicate(request)
            stream.close()

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


class Role:
    """A process of one of these roles. It ends with its input, so it cannot outlive this process.
    """

    def __init__(self, git: Git, role: str, given: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--role", role, json.dumps(given)],
            env=git.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def wait(self) -> str:
        """Ends the process and returns the rest of its output."""
        self.end()
        assert self.process.stdout is not None
        said = self.process.stdout.read()
        self.process.wait(30)
        return said


# --- the server -----------------------------------------------------------------------------------


class Server:
    def __init__(self, binary: str, directory: Path) -> None:
        self.data, self.log_path = directory / "data", directory / "server.log"
        env = {key: value for key, value in os.environ.items() if not key.startswith("NETBIT_")}
        env |= {"NETBIT_LIMITS__RATES": "false", "NETBIT_LOG__LEVEL": "warn"}
        options = ["--data-dir", str(self.data)]
        for listener in ("http", "tcp", "udp", "ops"):
            options += [f"--{listener}-listen", "127.0.0.1:0"]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [binary, *options], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        stdout = self.process.stdout
        assert stdout is not None
        line = stdout.readline()  # the watchdog aborts if no line arrives
        threading.Thread(target=stdout.read, daemon=True).start()  # keeps the pipe from filling up
        found = re.search(r"http://(127\.0\.0\.1):(\d+)", line)
        if found is None:
            raise RuntimeError(f"the first line of the server is {line!r}\n{self.log()}")
        self.host, self.port, self.pid = found[1], int(found[2]), self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def status(self, key: str) -> int:
        """Returns a line of /proc/PID/status in bytes, for the server without its children."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
        assert found, text
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def children(self) -> tuple[list[str], list[str]]:
        """Returns living processes with the server's mark, and dead ones that it has not reaped."""
        mark = b"NETBIT_CHILD_OF=" + os.fsencode(self.data.resolve())
        living, zombies = [], []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # the process may end meanwhile
                stat = Path(f"/proc/{pid}/stat").read_text()
                name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
                if rest[0] == "Z":
                    if int(rest[1]) == self.pid:
                        zombies.append(f"{pid} {name}")
                elif any(item.startswith(mark) for item in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                    living.append(f"{pid} {name}")
        return living, zombies


class Memory:
    """Measures the peak memory of the server during a `with` block."""

    def __init__(self, server: Server) -> None:
        self.server, self.peak = server, 0

    def __enter__(self) -> Memory:
        # Resets VmHWM. If that is not permitted, the polled value is used.
        try:
            Path(f"/proc/{self.server.pid}/clear_refs").write_text("5")
            self.exact = True
        except OSError:
            self.exact = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._poll, daemon=True)
        self.thread.start()
        return self

    def _poll(self) -> None:
        while not self.over.wait(0.02):
            self.look()

    def look(self) -> None:
        with contextlib.suppress(OSError):
            self.peak = max(self.peak, self.server.status("VmRSS"))

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.look()
        if self.exact:
            with contextlib.suppress(OSError):
                self.peak = max(self.peak, self.server.status("VmHWM"))


class Rest:
    """JSON over one keep-alive connection."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        self.connection.connect()
        assert self.connection.sock is not None
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.connection.request("POST", path, json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"POST {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text or b"{}")


# --- results --------------------------------------------------------------------------------------


@dataclass
class Line:
    """A line of the table."""

    what: str
    netbit: str
    compared_to: str
    figure: str  # the value that the target applies to
    target: str = ""
    ok: bool | None = None  # None: reported only
    timing: bool = True
    values: dict[str, Any] = field(default_factory=dict)

    def verdict(self, quick: bool) -> str:
        if self.ok is None:
            return "reported"
        if self.ok:
            return "ok"
        return "MISSED (not counted: --quick)" if quick and self.timing else "MISSED"


def basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"alice:{secret}".encode()).decode()


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def seconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f}-{max(values):.2f})"


def milliseconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values) * 1000:.1f} ms ({min(values) * 1000:.1f}-{max(values) * 1000:.1f})"


def interleaved(
    runs: int, first: Callable[[int], float], second: Callable[[int], float]
) -> tuple[list[float], list[float]]:
    """Measures both in turn, with alternating order, so that drift of the machine affects both."""
    one: list[float] = []
    two: list[float] = []
    for run in range(runs):
        pair = [(one, first), (two, second)]
        for values, measure in pair if run % 2 == 0 else reversed(pair):
            values.append(measure(run))
    return one, two


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


# --- the measurements -----------------------------------------------------------------------------


class Measurements:
    def __init__(self, options: argparse.Namespace, directory: Path, cleanup: contextlib.ExitStack) -> None:
        self.quick, self.large, self.credential = options.quick, options.large, options.credential
        self.directory, self.cleanup = directory, cleanup
        self.lines: list[Line] = []
        self.git = Git(directory, 1800 if options.large else 300)
        self.server = Server(options.binary, directory)
        cleanup.callback(self.server.stop)
        self.secret = PASSWORD
        self.source = directory / "source.git"

    def add(self, line: Line) -> None:
        self.lines.append(line)
        print(f"  {line.what}: {line.netbit}; {line.compared_to}; {line.figure} {line.verdict(self.quick)}", flush=True)

    def url(self, name: str) -> str:
        secret = self.secret.replace(" ", "%20")
        who = "" if self.credential == "bearer" else f"alice:{secret}@"
        return f"http://{who}{self.server.host}:{self.server.port}/alice/trial/{name}"

    @property
    def how(self) -> str:
        """Returns the credential of a push in words."""
        return "Bearer" if self.credential == "bearer" else f"Basic with the {self.credential}"

    def create_repository(self, name: str) -> None:
        Rest(self.server, self.token).post("/api/projects/alice/trial/repos/create", {"name": name})

    def scratch(self) -> Path:
        """Creates a directory for a clone."""
        return Path(tempfile.mkdtemp(dir=self.directory, prefix="clone-"))

    def prepare(self) -> None:
        """Creates users, a chat, a project, and the repository for all measurements."""
        before = Rest(self.server)
        for name in ("alice", "bob"):
            before.post("/api/users/register", {"username": name, "password": PASSWORD})
        self.token = before.post("/api/users/login", {"username": "alice", "password": PASSWORD})["token"]
        alice = Rest(self.server, self.token)
        self.chat = alice.post("/api/chats", {"kind": "group", "name": "team", "participants": ["bob"]})["id"]
        alice.post("/api/projects/create", {"name": "trial", "visibility": "private"})
        body = {"name": "trial", "scopes": ["repo:read", "repo:write"]}
        self.access_token = alice.post("/api/users/me/tokens", body)["token"]
        self.secret = PASSWORD if self.credential == "password" else self.access_token
        if self.credential == "bearer":
            self.git.send_header(f"Authorization: Bearer {self.secret}")
        # git has not run yet: later growth is the cost of git.
        self.at_first = self.server.status("VmRSS")
        files, commits = 400, 200
        total = (20 if self.quick else 200) * MB
        print(f"creating a repository of {total // MB} MB, {files} files and {commits} commits", flush=True)
        self.git.make(self.source, files, total // files, commits)
        self.tip = self.git.run("rev-parse", "main", at=self.source)
        tags = self.git.run("for-each-ref", "--format=%(objectname)", at=self.source).split()
        self.request = request_for_all(sorted({self.tip, *tags}))

    def first_push(self) -> None:
        """Pushes everything: 200 MB do not fit in a buffer of the client, so the push is chunked.
        """
        print("push of everything", flush=True)
        self.local = self.directory / "local.git"
        times: list[float] = []
        local: list[float] = []
        peak = 0
        runs = 1 if self.quick else 3
        for run in range(runs):
            name = f"pushed-{run}"
            before = self.repositories()
            self.create_repository(name)
            (self.repository,) = [path for path in self.repositories() if path not in before]
            shutil.rmtree(self.local, ignore_errors=True)
            self.git.run("init", "--quiet", "--bare", "--initial-branch=main", str(self.local))
            for key, value in LIKE_THE_SERVER:
                self.git.run("config", key, value, at=self.local)

            def remote() -> None:
                nonlocal peak
                with Memory(self.server) as memory:
                    times.append(self.git.timed("push", "--quiet", self.url(name), "main", "--tags", at=self.source))
                peak = max(peak, memory.peak)

            def beside() -> None:
                local.append(self.git.timed("push", "--quiet", str(self.local), "main", "--tags", at=self.source))

            for push in (remote, beside) if run % 2 == 0 else (beside, remote):
                push()
            self.name = name  # all other measurements use the last repository
        stored = size_of(self.repository)
        if self.git.run("rev-parse", "main", at=self.repository) != self.tip:
            raise RuntimeError("the pushed branch is not there")
        ratio = statistics.median(times) / statistics.median(local)
        growth = peak - self.at_first
        self.add(
            Line(
                f"push of {stored // MB} MB, chunked, {self.how}",
                seconds(times),
                f"push to a local path {seconds(local)}",
                f"ratio {ratio:.2f}",
                values={"seconds": times, "local_seconds": local, "ratio": ratio},
            )
        )
        self.add(
            Line(
                "server memory under that push",
                f"at most {peak / MIB:.1f} MiB",
                f"before any git {self.at_first / MIB:.1f} MiB",
                f"+{growth / MIB:.1f} MiB",
                timing=False,
                values={"peak_bytes": peak, "first_bytes": self.at_first},
            )
        )
        path = f"/alice/trial/{self.name}/git-upload-pack"
        bearer = self.credential == "bearer"
        authorization = f"Bearer {self.secret}" if bearer else basic(self.secret)
        self.target = Target(self.server.host, self.server.port, path, authorization)

    def repositories(self) -> list[Path]:
        """Returns the bare repositories of the server."""
        return [path for path in (self.server.data / "repos").glob("*/*/*.git") if path.is_dir()]

    def daemon(self) -> str:
        """Starts `git daemon` on the server's repository: the same packs, also in the page cache.
        """
        base = self.server.data / "repos"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]  # another process may take it before git does
        process = subprocess.Popen(
            ["git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
            + [f"--base-path={base.resolve()}", str(base.resolve())],
            env=self.git.env,
            start_new_session=True,  # it has children, which end with it
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def end() -> None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)

        self.cleanup.callback(end)
        url = f"git://127.0.0.1:{port}/{self.repository.relative_to(base)}"
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        return url

    def clone(self) -> None:
        print("clones", flush=True)
        daemon = self.daemon()

        def clone_from(url: str) -> float:
            place = self.scratch()
            taken = self.git.timed("clone", "--quiet", "--bare", url, str(place / "it.git"))
            if self.git.run("rev-parse", "main", at=place / "it.git") != self.tip:
                raise RuntimeError(f"{url}: the clone differs from the push")
            shutil.rmtree(place)
            return taken

        for url in (daemon, self.url(self.name)):
            clone_from(url)  # not counted: fills the caches of pages and passwords
        runs = 3 if self.quick else 7
        ours, theirs = interleaved(runs, lambda _: clone_from(self.url(self.name)), lambda _: clone_from(daemon))
        ratio = statistics.median(ours) / statistics.median(theirs)
        self.add(
            Line(
                "git clone --bare",
                seconds(ours),
                f"git daemon {seconds(theirs)}",
                f"ratio {ratio:.2f}",
                "at most 1.10",
                ratio <= 1.1,
                values={"seconds": ours, "daemon_seconds": theirs, "ratio": ratio},
            )
        )
        buffer = bytearray(256 * 1024)
        sizes: set[int] = set()

        def through_netbit(_: int) -> float:
            begun = time.perf_counter()
            read_pack(self.target, self.request, buffer)
            return time.perf_counter() - begun

        def direct(_: int) -> float:
            begun = time.perf_counter()
            sizes.add(self.upload_pack(buffer))
            return time.perf_counter() - begun

        through_netbit(0), direct(0)
        runs = 3 if self.quick else 11
        ours, theirs = interleaved(runs, through_netbit, direct)
        ratio, size = statistics.median(ours) / statistics.median(theirs), max(sizes)
        rates = [size / MB / statistics.median(values) for values in (ours, theirs)]
        self.add(
            Line(
                "pack stream, bytes discarded",
                f"{seconds(ours)}, {rates[0]:.0f} MB/s",
                f"git upload-pack to a pipe {seconds(theirs)}, {rates[1]:.0f} MB/s",
                f"ratio {ratio:.2f}",
                values={"seconds": ours, "direct_seconds": theirs, "ratio": ratio, "bytes": size},
            )
        )

    def upload_pack(self, buffer: bytearray) -> int:
        """Sends the same request to git itself; returns the number of bytes of the answer."""
        process = subprocess.Popen(
            ["git", "upload-pack", "--stateless-rpc", str(self.repository)],
            env={**self.git.env, "GIT_PROTOCOL": "version=2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(self.request)
        process.stdin.close()
        count, pipe = 0, process.stdout.fileno()
        while size := os.readv(pipe, [buffer]):
            count += size
        process.stdout.close()
        if process.wait(60) != 0:
            raise RuntimeError("git upload-pack failed")
        return count

    def refs(self) -> None:
        """Measures both credentials. A token is looked up. A password is hashed for each request,
        slowly by design; that cost is reported, and is not a cost of git.
        """
        print("info/refs", flush=True)
        for name, secret in (("access token", self.access_token), ("password", PASSWORD)):
            self.refs_with(name, secret)

    def refs_with(self, name: str, secret: str) -> None:
        path = f"/alice/trial/{self.name}/info/refs?service=git-upload-pack"
        connection = Rest(self.server).connection
        headers = {"Authorization": basic(secret), "Git-Protocol": "version=2"}
        direct_env = {**self.git.env, "GIT_PROTOCOL": "version=2"}
        command = ["git", "upload-pack", "--stateless-rpc", "--http-backend-info-refs", str(self.repository)]

        def ask(_: int) -> float:
            begun = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            taken = time.perf_counter() - begun
            if answer.status != 200 or b"version 2" not in body:
                raise RuntimeError(f"info/refs: {answer.status} {body[:200]!r}")
            return taken

        def direct(_: int) -> float:
            begun = time.perf_counter()
            subprocess.run(command, env=direct_env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
            return time.perf_counter() - begun

        ask(0), direct(0)
        # No other connection is used meanwhile. If the server had closed this one, http.client
        # would open a new one, which would show in the times.
        ours, theirs = interleaved(50, ask, direct)
        more = statistics.median(ours) - statistics.median(theirs)
        self.add(
            Line(
                f"info/refs, keep-alive, {name}",
                milliseconds(ours),
                f"git upload-pack run directly {milliseconds(theirs)}",
                f"{more * 1000:+.1f} ms",
                "at most +10 ms" if name == "access token" else "",
                more <= 0.010 if name == "access token" else None,
                values={"seconds": ours, "direct_seconds": theirs, "difference": more},
            )
        )

    def memory(self) -> None:
        print(f"{CLONES} clones at once", flush=True)
        place = self.scratch()
        before = self.server.status("VmRSS")

        def clone_to(number: int) -> None:
            self.git.run("clone", "--quiet", "--bare", self.url(self.name), str(place / f"{number}.git"))

        with Memory(self.server) as memory, ThreadPoolExecutor(CLONES) as pool:
            begun = time.perf_counter()
            list(pool.map(clone_to, range(CLONES)))
            taken = time.perf_counter() - begun
        shutil.rmtree(place)
        # Compares with the memory before any git, unless it was smaller just before: the stricter
        # one.
        base = min(before, self.at_first)
        growth = memory.peak - base
        self.add(
            Line(
                f"server memory, {CLONES} clones at once ({taken:.1f} s)",
                f"at most {memory.peak / MIB:.1f} MiB",
                f"before any git {self.at_first / MIB:.1f} MiB, just before {before / MIB:.1f} MiB",
                f"+{growth / MIB:.1f} MiB",
                "below +64 MiB",
                growth < 64 * MIB,
                timing=False,
                values={"peak_bytes": memory.peak, "first_bytes": self.at_first, "before_bytes": before},
            )
        )

    @contextlib.contextmanager
    def busy_with(self, target: Target, into: dict[str, float]) -> Iterator[None]:
        """Runs niced readers that clone in a loop meanwhile; adds their totals to `into`."""
        given = {"target": asdict(target), "request": self.request.hex()}
        readers = [Role(self.git, "reader", given) for _ in range(CLONES)]
        try:
            time.sleep(1.5)  # until all of them are reading
            begun = time.perf_counter()
            yield
            into["seconds"] = into.get("seconds", 0) + time.perf_counter() - begun + 1.5
        finally:
            for reader in readers:
                reader.end()
            said = [json.loads(reader.wait() or "{}") for reader in readers]
        for done in said:
            for key in ("bytes", "clones", "failed"):
                into[key] = into.get(key, 0) + done.get(key, 0)
        complaints = {done["why"] for done in said if done.get("why")}
        if complaints:
            print(f"    a reader failed: {'; '.join(sorted(complaints))}", flush=True)

    def talk(self, duration: float) -> list[float]:
        """Sends messages one after the other, about 200 a second; returns the time of each answer.
        """
        client, path, times = Rest(self.server, self.token), f"/api/chats/{self.chat}/messages", []
        client.post(path, {"content": "first"})
        gc.disable()  # a pause of this process would count as one of the server
        try:
            begun = time.perf_counter()
            turn = begun
            while turn - begun < duration:
                asked = time.perf_counter()
                client.post(path, {"content": f"message {len(times)}"})
                times.append(time.perf_counter() - asked)
                turn = max(turn + 0.005, time.perf_counter())
                time.sleep(max(0.0005, turn - time.perf_counter()))
        finally:
            gc.enable()
        return times

    def chat_latency(self) -> None:
        print("chat under clones", flush=True)
        # The access token of a login is valid for 15 minutes, and more may have passed.
        self.log_in()
        sink = Role(self.git, "sink", {"repository": str(self.repository)})
        self.cleanup.callback(sink.wait)
        bare = Target("127.0.0.1", int(sink.line()))
        rounds, duration = (2, 3.0) if self.quick else (5, 20.0)
        idle = self.talk(duration)
        tests: list[list[float]] = []
        controls: list[list[float]] = []
        read: dict[str, dict[str, float]] = {"control": {}, "test": {}}
        for run in range(rounds):
            pair = [(bare, controls, "control"), (self.target, tests, "test")]
            for target, samples, kind in pair if run % 2 == 0 else reversed(pair):
                with self.busy_with(target, read[kind]):
                    samples.append(self.talk(duration))
                times = samples[-1]
                print(
                    f"    {kind}: p50 {percentile(times, 50) * 1000:.2f} ms, p99 {percentile(times, 99) * 1000:.2f} ms,"
                    f" {len(times) / duration:.0f} messages/s",
                    flush=True,
                )
        test, control = [sum(kind, start=[]) for kind in (tests, controls)]

        def median_of(kind: list[list[float]], percent: float) -> float:
            """Returns the median over the rounds: a single disturbed round does not decide."""
            return statistics.median(percentile(times, percent) for times in kind)

        def both(kind: list[list[float]]) -> str:
            return f"p50 {median_of(kind, 50) * 1000:.2f} ms, p99 {median_of(kind, 99) * 1000:.2f} ms"

        def rate(kind: str) -> float:
            return read[kind]["bytes"] / MB / read[kind]["seconds"]

        ratio = median_of(tests, 99) / median_of(controls, 99)
        together = percentile(test, 99) / percentile(control, 99)
        self.add(
            Line(
                f"chat latency under {CLONES} niced readers ({rate('test'):.0f} MB/s)",
                both(tests),
                f"readers of a bare sink ({rate('control'):.0f} MB/s) {both(controls)}; no readers {both([idle])}",
                f"ratio of p99 {ratio:.2f} (all rounds as one: {together:.2f})",
                "at most 2.00",
                ratio <= 2,
                values={
                    "ratio": ratio,
                    "ratio_together": together,
                    "read": read,
                    "idle_ms": [percentile(idle, p) * 1000 for p in (50, 99)],
                    "test_ms": [[percentile(times, p) * 1000 for p in (50, 99)] for times in tests],
                    "control_ms": [[percentile(times, p) * 1000 for p in (50, 99)] for times in controls],
                    "messages": [len(test), len(control)],
                },
            )
        )
        failed = int(read["test"]["failed"])
        self.add(
            Line(
                "clones of those readers that failed",
                f"{failed} of {int(read['test']['clones']) + failed}",
                f"bare sink {int(read['control']['failed'])} of {int(read['control']['clones'])}",
                str(failed),
                "none",
                failed == 0,
                timing=False,
            )
        )

    def log_in(self) -> None:
        self.token = Rest(self.server).post("/api/users/login", {"username": "alice", "password": PASSWORD})["token"]

    def leave(self) -> None:
        """Disconnects clients during a clone, 16 at a time, in three ways."""
        count, at_once = 200, 16
        print(f"{count} clients that disconnect during a clone", flush=True)
        size = self.upload_pack(bytearray(256 * 1024))
        descriptors = self.server.descriptors()
        manners = ("close", "reset", "half-close")
        outcomes = {"left": 0, "refused": 0}
        lock = threading.Lock()

        def one(number: int) -> None:
            chance = random.Random(number)
            # Some disconnect before the first byte of the answer, the others in its first half.
            wanted = 0 if number % 5 == 0 else chance.randrange(1, size // 2)
            with socket.socket() as connection:
                # Small, so that the server is blocked in a write when its client disconnects.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                connection.settimeout(30)
                connection.connect((self.target.host, self.target.port))
                connection.sendall(self.target.head(len(self.request)) + self.request)
                count, first = 0, b""
                while count < wanted:
                    piece = connection.recv(64 * 1024)
                    first = first or piece
                    if not piece:
                        break
                    count += len(piece)
                with lock:
                    good = count >= wanted and (not first or first.startswith(b"HTTP/1.1 200 "))
                    outcomes["left" if good else "refused"] += 1
                if wanted == 0:
                    time.sleep(chance.random() * 0.05)  # before, while and after git is started
                match manners[number % 3]:
                    case "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    case "half-close":
                        connection.shutdown(socket.SHUT_WR)
                        # Continues to read: only one direction is closed. The server may close the
                        # connection.
                        until = time.monotonic() + 10
                        with contextlib.suppress(OSError):
                            while time.monotonic() < until and connection.recv(64 * 1024):
                                pass

        begun = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one, range(count)))
        taken = time.perf_counter() - begun
        time.sleep(0.5)
        soon = self.server.children()
        time.sleep(4.5)
        living, zombies = self.server.children()
        for kind, found in (("living", living), ("zombie", zombies)):
            if found:
                print(f"    {kind}: {', '.join(found)}", flush=True)
        self.add(
            Line(
                f"{outcomes['left']} clients disconnected during a clone ({taken:.1f} s), 5 s later",
                f"{len(living)} living git processes, {len(zombies)} zombies",
                f"after 0.5 s {len(soon[0])} and {len(soon[1])};"
                f" descriptors {descriptors} before, {self.server.descriptors()} after",
                f"{len(living)} and {len(zombies)}",
                "none",
                not living and not zombies,
                timing=False,
                values={"left": outcomes["left"], "refused": outcomes["refused"]},
            )
        )
        self.add(
            Line(
                "of those clients, answered with an error or cut short before they left",
                str(outcomes["refused"]),
                f"{count} clients",
                str(outcomes["refused"]),
                "none",
                outcomes["refused"] == 0,
                timing=False,
            )
        )
        # All permits must be free again: as many transfers at once as the server allows.
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: read_pack(self.target, self.request, bytearray(256 * 1024)), range(at_once)))

    def small_pushes(self) -> None:
        print("small pushes", flush=True)

        def push_to(place: str) -> float:
            return self.git.timed("push", "--quiet", place, "main", at=self.source)

        for place in (self.url(self.name), str(self.local)):
            push_to(place)  # already up to date: fills the caches
        ours: list[float] = []
        theirs: list[float] = []
        for run in range(8):
            self.git.add_commit(self.source, f"small-{run}")
            pair = [(ours, self.url(self.name)), (theirs, str(self.local))]
            for values, place in pair if run % 2 == 0 else reversed(pair):
                values.append(push_to(place))
        tip = self.git.run("rev-parse", "main", at=self.source)
        if self.git.run("rev-parse", "main", at=self.repository) != tip:
            raise RuntimeError("the last push is not there")
        more = statistics.median(ours) - statistics.median(theirs)
        self.add(
            Line(
                "push of one small commit",
                milliseconds(ours),
                f"push to a local path {milliseconds(theirs)}",
                f"{more * 1000:+.1f} ms",
                values={"seconds": ours, "local_seconds": theirs, "difference": more},
            )
        )

    def large_push(self) -> None:
        gib = 1024 * MIB
        free = shutil.disk_usage(self.directory).free
        print("push of 2 GiB: takes 8 GiB of disk", flush=True)
        if free < 8 * gib:
            raise RuntimeError(f"there are only {free / gib:.1f} GiB free in {tempfile.gettempdir()}; set TMPDIR")
        source, place = self.directory / "large.git", self.scratch() / "it.git"
        self.git.make(source, 64, 32 * MIB, 16)
        self.log_in()
        self.create_repository("large")
        before = self.server.status("VmRSS")
        with Memory(self.server) as memory:
            pushed = self.git.timed("push", "--quiet", self.url("large"), "main", at=source)
        with Memory(self.server) as reading:
            cloned = self.git.timed("clone", "--quiet", "--bare", self.url("large"), str(place))
        for what, peak, taken in (("push", memory.peak, pushed), ("clone", reading.peak, cloned)):
            self.add(
                Line(
                    f"{what} of 2 GiB, {self.how}",
                    f"{taken:.1f} s, server at most {peak / MIB:.1f} MiB",
                    f"just before {before / MIB:.1f} MiB",
                    f"+{(peak - before) / MIB:.1f} MiB",
                    values={"seconds": taken, "peak_bytes": peak, "before_bytes": before},
                )
            )
        self.git.run("fsck", "--full", "--strict", at=place)
        mine, theirs = self.git.objects(source), self.git.objects(place)
        self.add(
            Line(
                "2 GiB: fsck, and the same objects",
                f"{len(theirs)} objects",
                f"pushed {len(mine)}",
                "the same" if mine == theirs else "DIFFERENT",
                "the same",
                mine == theirs,
                timing=False,
            )
        )

    def run(self, parts: Sequence[str]) -> None:
        self.prepare()
        self.first_push()
        steps = {
            "refs": self.refs,
            "clone": self.clone,
            "memory": self.memory,
            "chat": self.chat_latency,
            "leave": self.leave,
            "push": self.small_pushes,
        }
        for name, step in steps.items():
            if name in parts:
                step()
        if self.large:
            self.large_push()
        complaints = [line for line in self.server.log().splitlines() if "ERROR" in line or "panic" in line]
        self.add(
            Line(
                "errors in the server's log",
                str(len(complaints)),
                "",
                complaints[0][:200] if complaints else "",
                "none",
                not complaints,
                timing=False,
            )
        )


def table(lines: Sequence[Line], quick: bool) -> str:
    """Returns the table in aligned columns, with the verdict first."""
    rows = [("", "what", "NetBit", "compared to", "figure", "target")]
    rows += [(l.verdict(quick), l.what, l.netbit, l.compared_to, l.figure, l.target) for l in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="the release build of netbit")
    parser.add_argument("--quick", action="store_true", help="20 MB and fewer runs; timings are only reported")
    parser.add_argument("--large", action="store_true", help="also push 2 GiB: takes 8 GiB of disk")
    parser.add_argument("--only", default=",".join(PARTS), help=f"a list of these parts: {','.join(PARTS)}")
    parser.add_argument(
        "--credential",
        choices=("password", "token", "bearer"),
        default="password",
        help="the credential of clones and pushes"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    parts = [part for part in options.only.split(",") if part]
    if not os.access(options.binary, os.X_OK):
        parser.error(f"{options.binary} is not an executable file; run: cargo build --release")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"unknown: {unknown[0]}")

    def ended(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would prevent the cleanup
        sys.exit("ended by SIGTERM")  # an exception, so that the cleanup runs

    signal.signal(signal.SIGTERM, ended)
    limit = 60 * (120 if options.large else 10 if options.quick else 60)

    def too_long() -> None:
        print(f"not done after {limit} s", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)  # main cleans up
        time.sleep(60)
        os._exit(1)

    watchdog = threading.Timer(limit, too_long)
    watchdog.daemon = True
    watchdog.start()
    failure = ""
    with tempfile.TemporaryDirectory(prefix="netbit-", ignore_cleanup_errors=True) as directory:
        with contextlib.ExitStack() as cleanup:
            measured = Measurements(options, Path(directory), cleanup)
            try:
                measured.run(parts)
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
                print(f"{failure}\n{measured.server.log()}", file=sys.stderr)
    watchdog.cancel()
    missed = [line for line in measured.lines if line.verdict(options.quick) == "MISSED"]
    print(f"\n{table(measured.lines, options.quick)}\n")
    if options.quick:
        print("--quick: too small for meaningful timings; they are only reported")
    if options.json:
        report = {
            "quick": options.quick,
            "processors": os.cpu_count(),
            "failure": failure,
            "lines": [{**asdict(line), "verdict": line.verdict(options.quick)} for line in measured.lines],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if failure:
        print(f"aborted: {failure}")
    elif missed:
        print(f"{len(missed)} targets missed")
    return 1 if missed or failure else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--role"]:
        {"reader": role_reader, "sink": role_sink}[sys.argv[2]](json.loads(sys.argv[3]))
    else:
        sys.exit(main())
