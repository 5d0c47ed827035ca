#!/usr/bin/env python3
"""Measures an idle server with 1,000 sessions: its CPU time, and the delivery time of a status.

    cargo build --release
    python3 -m venv venv && venv/bin/pip install msgpack
    venv/bin/python scripts/measure/idle_presence.py target/release/netbit [SESSIONS]

Exits with 1 if the presence actor handles messages while all clients are idle, or if a change of
status takes more than a second to reach all sessions.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from million_behind import Session, call

USERS = 50
IDLE_SECONDS = 20
SOON_SECONDS = 1.0


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def presence_handled(ops):
    with urllib.request.urlopen(ops + "/actors", timeout=30) as answer:
        actors = {actor["actor"]: actor for actor in json.load(answer)["actors"]}
    return sum(message["handled"] for message in actors["presence"]["messages"])


def main():
    binary, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    with tempfile.TemporaryDirectory() as directory:
        data = f"{directory}/data"
        seed = [binary, "seed", "--data-dir", data, "--users", str(USERS), "--chats", "1"]
        subprocess.run([*seed, "--members", str(USERS), "--messages", "10", "--password", "correct horse"], check=True)
        ops = "127.0.0.1:18083"
        options = [word for name in ("http", "tcp", "udp") for word in (f"--{name}-listen", "127.0.0.1:0")]
        env = {**os.environ, "NETBIT_LOG__LEVEL": "warn"}
        command = [binary, "--data-dir", data, *options, "--ops-listen", ops]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        try:
            base = re.search(r"http://[\d.]+:\d+", server.stdout.readline())[0]
            measure(server.pid, base, f"http://{ops}", count)
        finally:
            server.terminate()
            server.wait()


def measure(pid, base, ops, count):
    with urllib.request.urlopen(base + "/api/server", timeout=30) as answer:
        address = json.load(answer)["tcp_address"]
    accounts = []
    for user in range(USERS):
        accounts.append(call(base, "/api/users/login", {"username": f"u{user}", "password": "correct horse"}))
    # The last user has one session only: with several, others would see the best status.
    mover = Session(address, accounts[-1]["token"])
    sessions = [Session(address, accounts[n % (USERS - 1)]["token"]) for n in range(count)]
    for session in [mover, *sessions]:
        session.read("Welcome")
    time.sleep(2)  # until every session has received the presence of all users
    handled, cpu = presence_handled(ops), cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    used, done = cpu_seconds(pid) - cpu, presence_handled(ops) - handled
    begun = time.monotonic()
    me = accounts[-1]["user"]["id"]
    mover.send(packet_type="Status", status="dnd")
    for session in sessions:
        while not any(
            view["user_id"] == me and view["status"] == "dnd" for view in session.read("Presence")["users"]
        ):
            pass
    took = time.monotonic() - begun
    print(
        f"{count} idle sessions for {IDLE_SECONDS} s: {used:.2f} s of CPU, {done} messages to the presence actor; "
        f"a change of status reached all of them in {took * 1000:.0f} ms"
    )
    if done or took > SOON_SECONDS:
        sys.exit("the presence actor was not idle, or the change took too long")


if __name__ == "__main__":
    main()
