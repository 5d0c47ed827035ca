#!/usr/bin/env python3
"""Tests Git LFS with its real client: many small objects, a large one, a crash, locks, a clone.

    python3 scripts/check/lfs.py target/release/netbit [--objects 1000] [--mib 2048]

Needs Linux, Python 3.9, git and git-lfs, and disk space for three copies of the large object;
prints SKIPPED without git-lfs. Starts a server on free
ports of 127.0.0.1 and kills it with SIGKILL in the middle of the upload of the large object.

Asserts: a push stores all objects; a second push of them sends none; after the crash the same push
completes, and sends no object again that was complete; another account clones the same bytes; a
lock keeps the other account from pushing; the server holds no bytes of interrupted uploads that
are older than its limit; the memory of the server stays below 512 MiB. Prints times, and the peak
of the server's resident memory. Fails if an assertion fails.

The variables NETBIT_FILES__… store the objects in a bucket of the store that scripts/check/s3.sh
starts.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

MIB = 1024 * 1024
PASSWORD = "correct-horse-battery"
PATIENCE = 1800
RSS_MAX_MIB = 512
# Default of lfs.concurrenttransfers.
SENT_AT_ONCE = 8


def fail(story):
    sys.exit(f"FAILED: {story}")


class Server:
    """A server in a data directory. `peak` is the highest resident memory, in KiB."""

    def __init__(self, binary, place):
        self.binary, self.place, self.process, self.peak = binary, place, None, 0
        self.address = None

    def start(self):
        log = open(os.path.join(self.place, "server.log"), "ab")
        start = log.tell()
        listen = ["--http-listen", self.address or "127.0.0.1:0"]
        for kind in ("tcp", "udp", "ops"):
            listen += [f"--{kind}-listen", "127.0.0.1:0"]
        environment = dict(os.environ, NETBIT_LOG__FORMAT="json", NETBIT_LIMITS__LFS_STAGED_SECONDS="5",
                           NETBIT_LIMITS__UPLOAD_IDLE_MS="4000",
                           NETBIT_ACCOUNTS__REGISTRATION="open",
                           NETBIT_LIMITS__MAINTENANCE_MS="1000")
        data = os.path.join(self.place, "data")
        self.process = subprocess.Popen([self.binary, "--data-dir", data, *listen], stdout=log, stderr=log,
                                        env=environment)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with open(log.name, encoding="utf-8", errors="replace") as text:
                text.seek(start)
                found = text.read()
            ready = re.search(r'"message":"ready","http":"([^"]+)"', found)
            if ready:
                self.address = ready.group(1)
                code = re.search(r"setup#code=([\w-]+)", found)
                return code and code.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        fail(f"the server does not start; see {log.name}:\n{found}")

    def note_memory(self):
        if self.process is None:
            return
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
                peak = re.search(r"VmHWM:\s+(\d+)", status.read())
        except OSError:
            return
        if peak:
            self.peak = max(self.peak, int(peak.group(1)))

    def kill(self):
        self.note_memory()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def files(self, folder):
        """Returns the paths of the files below a folder of the store."""
        root = os.path.join(self.place, "data", "files", folder)
        return [os.path.join(at, name) for at, _, names in os.walk(root) for name in names]

    def blobs(self):
        """Returns the hashes of the stored blobs."""
        if os.environ.get("NETBIT_FILES__STORE") == "s3":
            return {name[:64] for name in self.bucket() if re.match(r"[0-9a-f]{64}\.", name)}
        names = {os.path.basename(path) for path in self.files("")}
        return {name for name in names if re.fullmatch("[0-9a-f]{64}", name)}

    def bucket(self):
        """Returns the names of the objects in the bucket of a store that accepts all keys."""
        url = "{NETBIT_FILES__S3__ENDPOINT}/{NETBIT_FILES__S3__BUCKET}".format(**os.environ)
        query = {"list-type": "2", "prefix": os.environ["NETBIT_FILES__S3__PREFIX"] + "/"}
        names = []
        while True:
            with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}") as answer:
                page = answer.read().decode()
            names += [key.rsplit("/", 1)[-1] for key in re.findall("<Key>([^<]*)</Key>", page)]
            token = re.search("<NextContinuationToken>([^<]*)", page)
            if not token:
                return names
            query["continuation-token"] = token[1]

    def call(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None


class Git:
    """The git client with a configuration of its own."""

    def __init__(self, place):
        self.place = place
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.environment.update(GIT_CONFIG_GLOBAL=os.path.join(place, "gitconfig"), GIT_CONFIG_NOSYSTEM="1",
                                GIT_TERMINAL_PROMPT="0", LC_ALL="C", HOME=place, NO_PROXY="127.0.0.1")
        for key, value in (("user.name", "Someone"), ("user.email", "someone@example.org"),
                           ("init.defaultBranch", "main"), ("lfs.locksverify", "true"),
                           ("gc.auto", "0")):
            self.run("", "config", "--global", key, value)
        self.run("", "lfs", "install", "--skip-repo")

    def begin(self, folder, *arguments):
        return subprocess.Popen(["git", *arguments], cwd=os.path.join(self.place, folder), env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def tried(self, folder, *arguments):
        child = self.begin(folder, *arguments)
        out, _ = child.communicate(timeout=PATIENCE)
        return child.returncode == 0, out

    def run(self, folder, *arguments):
        done, out = self.tried(folder, *arguments)
        if not done:
            fail(f"git {' '.join(arguments)}:\n{out}")
        return out


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(MIB):
            found.update(chunk)
    return found.hexdigest()


def timed(story, work):
    begun = time.monotonic()
    result = work()
    print(f"{story}: {time.monotonic() - begun:.1f} s", flush=True)
    return result


def uploads(server, token_free_log):
    """Returns how many objects were uploaded, by the log of the server."""
    with open(os.path.join(server.place, "server.log"), encoding="utf-8", errors="replace") as text:
        text.seek(token_free_log)
        return len(re.findall(r'"message":"PUT [^"]*/info/lfs/objects/[0-9a-f]{64} 200"', text.read()))


def log_end(server):
    return os.path.getsize(os.path.join(server.place, "server.log"))


def set_up(server):
    code = server.start()
    server.call("POST", "/api/users/register", {"username": "alice", "password": PASSWORD, "setup_code": code})
    token = server.call("POST", "/api/users/login", {"username": "alice", "password": PASSWORD})["token"]
    server.call("POST", "/api/users/register", {"username": "bob", "password": PASSWORD})
    server.call("POST", "/api/projects/create", {"name": "hello"}, token)
    server.call("POST", "/api/projects/alice/hello/repos/create", {"name": "web"}, token)
    server.call("PUT", "/api/projects/alice/hello/members/bob", {"role": "writer"}, token)


def kill_in_mid_upload(server, git, bytes_min):
    """Pushes, and kills the server once the interrupted object has this many bytes on its disk."""
    push = git.begin("work", "-c", "lfs.transfer.maxretries=1", "push", "origin", "main")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and push.poll() is None:
        sizes = [os.path.getsize(path) for path in server.files("lfs") if os.path.exists(path)]
        if max(sizes, default=0) >= bytes_min:
            server.kill()
            out, _ = push.communicate(timeout=PATIENCE)
            if push.returncode == 0:
                fail("the push succeeded although the server was killed")
            return out
        time.sleep(0.002)
    out, _ = push.communicate()
    fail(f"the server received no {bytes_min} bytes of the large object:\n{out}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--mib", type=int, default=2048, help="size of the large object")
    asked = parser.parse_args()
    if subprocess.run(["git", "lfs", "version"], capture_output=True, check=False).returncode != 0:
        print("SKIPPED: git lfs is not installed")
        return
    place = tempfile.mkdtemp(prefix="netbit-lfs-")
    needed = (3 * asked.mib + 1024) * MIB + (1 << 30)
    if shutil.disk_usage(place).free < needed:
        os.rmdir(place)
        fail(f"{place} has not the {needed // MIB} MiB that --mib {asked.mib} needs")
    server = Server(os.path.abspath(asked.binary), place)
    try:
        check(server, Git(place), asked)
    finally:
        server.note_memory()
        print(f"peak memory of the server: {server.peak / 1024:.0f} MiB")
        if server.process and server.process.poll() is None:
            server.kill()
        shutil.rmtree(place, ignore_errors=True)
    if server.peak > RSS_MAX_MIB * 1024:
        fail(f"the server used more than {RSS_MAX_MIB} MiB")
    print("OK")


def check(server, git, asked):
    set_up(server)

    def url(user):
        return f"http://{user}:{PASSWORD}@{server.address}/alice/hello/web"

    git.run("", "init", "--quiet", "work")
    git.run("work", "lfs", "track", "*.bin")
    git.run("work", "remote", "add", "origin", url("alice"))
    work = os.path.join(server.place, "work")
    for n in range(asked.objects):
        with open(os.path.join(work, f"{n}.bin"), "wb") as file:
            file.write(os.urandom(2000 + n))
    git.run("work", "add", ".")
    git.run("work", "commit", "--quiet", "-m", "small objects")
    timed(f"push of {asked.objects} small objects", lambda: git.run("work", "push", "--quiet", "origin", "main"))
    if len(server.blobs()) != asked.objects:
        fail(f"the server has {len(server.blobs())} of {asked.objects} objects")
    end = log_end(server)
    git.run("work", "lfs", "push", "--all", "origin")
    if uploads(server, end) != 0:
        fail("objects that the server has were sent again")

    # Small objects that arrive before the crash, and the large one.
    for n in range(20):
        with open(os.path.join(work, f"more-{n}.bin"), "wb") as file:
            file.write(os.urandom(5000 + n))
    with open(os.path.join(work, "large.bin"), "wb") as file:
        for _ in range(asked.mib):
            file.write(os.urandom(MIB))
    git.run("work", "add", ".")
    git.run("work", "commit", "--quiet", "-m", "a large object")
    digests = {name: digest(os.path.join(work, name)) for name in os.listdir(work) if name.endswith(".bin")}
    # The client sends the copy in its own folder.
    os.remove(os.path.join(work, "large.bin"))
    kill_in_mid_upload(server, git, asked.mib * MIB // 4)
    before = len(server.blobs())
    server.start()
    end = log_end(server)
    story = f"push of the object of {asked.mib} MiB after a crash"
    timed(story, lambda: git.run("work", "push", "--quiet", "origin", "main"))
    sent, missing = uploads(server, end), asked.objects + 21 - before
    # A blob that was stored at the crash may lack its row: the client sends several at once.
    if not missing <= sent <= missing + SENT_AT_ONCE:
        fail(f"{sent} objects were sent after the crash, and {missing} were missing")
    if len(server.blobs()) != asked.objects + 21:
        fail("objects are missing after the second push")

    shutil.rmtree(os.path.join(work, ".git", "lfs", "objects"))
    timed("clone by another account", lambda: git.run("", "clone", "--quiet", url("bob"), "clone"))
    for name, expected in digests.items():
        if digest(os.path.join(server.place, "clone", name)) != expected:
            fail(f"{name} differs in the clone")

    git.run("work", "lfs", "lock", "large.bin")
    with open(os.path.join(server.place, "clone", "large.bin"), "wb") as file:
        file.write(b"changed by bob")
    git.run("clone", "commit", "--quiet", "-a", "-m", "change")
    done, out = git.tried("clone", "push", "origin", "main")
    if done or "large.bin" not in out:
        fail(f"bob pushed a file that alice has locked:\n{out}")
    done, out = git.tried("clone", "lfs", "unlock", "--force", "large.bin")
    if done:
        fail("a writer removed the lock of another user")
    # The file was removed from the folder, which the client counts as a change.
    git.run("work", "lfs", "unlock", "--force", "large.bin")
    git.run("clone", "push", "--quiet", "origin", "main")

    until = time.monotonic() + 60
    while server.files("lfs") and time.monotonic() < until:
        time.sleep(0.2)
    if server.files("lfs"):
        fail("bytes of the interrupted upload are left")
    server.note_memory()


if __name__ == "__main__":
    main()
