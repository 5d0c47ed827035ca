#!/usr/bin/env python3
"""Compares a clone from the storage node of a repository with a clone through another node.

    python3 scripts/measure/proxied_clone.py target/release/netbit postgres://… [megabytes] [clones]

The URL names an empty database (`scripts/check/postgres.sh start` starts a server). Needs git and
Python 3.9. Starts two nodes on this machine, pushes one random file through the second node, and
clones from both in turn. Prints the medians, and the median of the ratios of consecutive clones.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

PASSWORD = "correct horse"


def post(base, path, body, token=None):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def start(program, place, name, database, running):
    listeners = [part for kind in ("http", "tcp", "udp", "ops") for part in (f"--{kind}-listen", "127.0.0.1:0")]
    environment = dict(os.environ, NETBIT_LOG__LEVEL="error", NETBIT_LIMITS__RATES="false", NETBIT_DATABASE=database,
                       NETBIT_CLUSTER__ENABLED="true", NETBIT_CLUSTER__NAME=name)
    server = subprocess.Popen([program, "--data-dir", f"{place}/{name}", *listeners], stdout=subprocess.PIPE,
                              env=environment, text=True)
    running.append(server)
    return re.search(r"http://[\d.:]+", server.stdout.readline()).group(0)


def main():
    program, database = os.path.abspath(sys.argv[1]), sys.argv[2]
    megabytes = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    place = tempfile.mkdtemp(prefix="netbit-nodes-")
    running = []
    try:
        first = start(program, place, "first", database, running)
        account = {"username": "alice", "password": PASSWORD}
        post(first, "/api/users/register", account)
        token = post(first, "/api/users/login", account)["token"]
        post(first, "/api/projects/create", {"name": "p"}, token)
        post(first, "/api/projects/alice/p/repos/create", {"name": "r"}, token)
        second = start(program, place, "second", database, running)

        work = os.path.join(place, "work")
        subprocess.run(["git", "init", "--quiet", "-b", "main", work], check=True)
        git = ["git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0"]
        header = ["-c", f"http.extraHeader=Authorization: Bearer {token}"]
        with open(os.path.join(work, "file"), "wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1024 * 1024))
        subprocess.run([*git, "add", "file"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", "one"], check=True)
        begun = time.time()
        subprocess.run([*git, *header, "push", "--quiet", f"{second}/alice/p/r", "main"], check=True)
        pushed = time.time() - begun

        def clone(base):
            target = os.path.join(place, "clone")
            begun = time.time()
            subprocess.run(["git", *header, "clone", "--quiet", "--bare", f"{base}/alice/p/r", target], check=True)
            took = time.time() - begun
            shutil.rmtree(target)
            return took

        direct, forwarded = [], []
        for _ in range(count):
            direct.append(clone(first))
            forwarded.append(clone(second))
        ratio = statistics.median(own / other for own, other in zip(direct, forwarded))
        print(f"{megabytes} MiB: pushed through the other node in {pushed:.2f} s; cloned in "
              f"{statistics.median(direct):.2f} s directly, {statistics.median(forwarded):.2f} s forwarded, "
              f"speed ratio {ratio:.2f}")
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
