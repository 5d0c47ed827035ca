#!/usr/bin/env python3
"""Pushes, clones, repacks and archives a repository of 5 GiB under the limits of git's children.

    python3 scripts/measure/large_repository.py target/release/netbit [--gib 5] [--file-mib 1024]

Needs Linux, Python 3.9, git, and five times the size in the temporary directory (TMPDIR). The
repository contains a file of 1 GiB. Starts a server on free ports of 127.0.0.1. Fails if a step
fails or a file differs afterwards. Prints the time of each step, and the peak memory of the server
and its children together.
"""
import argparse
import hashlib
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
import json

MIB = 1024 * 1024
PASSWORD = "correct horse"


def tree_bytes(pid):
    """Returns the resident memory of a process and its descendants."""
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


class Watch:
    def __init__(self, pid):
        self.pid, self.peak, self.over = pid, 0, False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.over:
            self.peak = max(self.peak, tree_bytes(self.pid))
            time.sleep(0.02)

    def take(self):
        peak, self.peak = self.peak, 0
        return peak


def git(folder, *arguments):
    environment = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0")
    author = ["-c", "user.name=Large", "-c", "user.email=large@example.org", "-c", "core.bigFileThreshold=32m",
              # Otherwise the client would search for deltas of random bytes for 15 minutes.
              "-c", "pack.window=0", "-c", "core.compression=0"]
    done = subprocess.run(["git", *author, "-C", folder, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"git {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout.strip()


def call(url, body=None, token=None):
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def noise(path, size, seed):
    source = random.Random(seed)
    with open(path, "wb") as file:
        for start in range(0, size, MIB):
            file.write(source.randbytes(min(MIB, size - start)))


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(MIB):
            found.update(piece)
    return found.hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--file-mib", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        data, work = os.path.join(place, "data"), os.path.join(place, "work")
        os.mkdir(data)
        free = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
        # Packs the repository right after the first push.
        environment = dict(os.environ, NETBIT_LIMITS__MAINTENANCE_PUSHES="1", NETBIT_LIMITS__MAINTENANCE_MS="1000",
                           NETBIT_LOG__LEVEL="info", NETBIT_LIMITS__GIT_IDLE_MS="900000")
        log = open(os.path.join(place, "log"), "w+")
        server = subprocess.Popen([os.path.abspath(options.program), *free, "--data-dir", data],
                                  stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        text = ""
        while "/readyz" not in text:
            line = server.stdout.readline()
            if not line:
                sys.exit("the server ended before it was ready")
            text += line
        base = re.search(r"(http://[\d.:]+)/api/", text).group(1)
        watch = Watch(server.pid)
        call(f"{base}/api/users/register", {"username": "large", "password": PASSWORD})
        token = call(f"{base}/api/users/login", {"username": "large", "password": PASSWORD})["token"]
        call(f"{base}/api/projects/create", {"name": "p", "visibility": "public"}, token)
        call(f"{base}/api/projects/large/p/repos/create", {"name": "r"}, token)

        git(place, "init", "--quiet", "-b", "main", "work")
        noise(os.path.join(work, "large"), options.file_mib * MIB, 0)
        left, count = int(options.gib * 1024) - options.file_mib, 0
        while left > 0:
            count += 1
            noise(os.path.join(work, f"file{count}"), min(16, left) * MIB, count)
            left -= 16
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-m", "large")
        wanted = {name: digest(os.path.join(work, name)) for name in sorted(os.listdir(work)) if name != ".git"}
        print(f"created: {count + 1} files, {options.gib} GiB")

        def step(name, run):
            watch.take()
            begun = time.monotonic()
            run()
            print(f"{name}: {time.monotonic() - begun:.0f} s, {watch.take() // MIB} MiB in all processes", flush=True)

        url = base.replace("http://", f"http://large:{PASSWORD.replace(' ', '%20')}@") + "/large/p/r"
        step("push", lambda: git(work, "push", "--quiet", url, "main"))

        def packed():
            until = time.monotonic() + 3600
            while time.monotonic() < until:
                log.flush()
                with open(log.name) as said:
                    lines = said.read()
                if "could not be packed" in lines:
                    sys.exit(f"packing failed:\n{lines[-2000:]}")
                if "a repository was packed" in lines:
                    return
                time.sleep(1)
            sys.exit("the repository was not packed within an hour")

        step("repack", packed)
        step("clone", lambda: git(place, "clone", "--quiet", f"{base}/large/p/r", "copy"))
        for name, found in wanted.items():
            if digest(os.path.join(place, "copy", name)) != found:
                sys.exit(f"{name} differs in the clone")
        archive = os.path.join(place, "archive.tar.gz")

        def fetch_archive():
            with urllib.request.urlopen(f"{base}/api/projects/large/p/repos/r/archive/main.tar.gz") as answer:
                with open(archive, "wb") as file:
                    while piece := answer.read(MIB):
                        file.write(piece)

        step("archive", fetch_archive)
        with tarfile.open(archive) as packed_files:
            for member in packed_files:
                name = os.path.basename(member.name)
                if not member.isfile() or name not in wanted:
                    continue
                found = hashlib.sha256()
                content = packed_files.extractfile(member)
                while piece := content.read(MIB):
                    found.update(piece)
                if found.hexdigest() != wanted.pop(name):
                    sys.exit(f"{name} differs in the archive")
        if wanted:
            sys.exit(f"the archive lacks {sorted(wanted)[:3]}")
        server.terminate()
        if server.wait(30) != 0:
            sys.exit("the server did not stop cleanly")
        print("all files are identical in the clone and the archive")


if __name__ == "__main__":
    main()
