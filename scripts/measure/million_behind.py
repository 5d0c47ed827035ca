#!/usr/bin/env python3
"""Replays 1,000,000 missed events to a client: `Limited`, then pages up to the head.

    cargo build --release
    python3 -m venv venv && venv/bin/pip install msgpack
    venv/bin/python scripts/measure/million_behind.py target/release/netbit [MESSAGES]

Exits with 1 if an event is missing, duplicated or out of order, or if the memory of the server
grows by more than 64 MiB.
"""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

import msgpack

GROWTH_MIB_MAX = 64
PAGE = 100


class Session:
    def __init__(self, address, token):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.stream = self.socket.makefile("rb")
        self.send(packet_type="Hello", token=token)

    def send(self, **packet):
        body = msgpack.packb(packet)
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def read(self, packet_type):
        """Returns the next packet of this type and skips others."""
        while True:
            (length,) = struct.unpack(">I", self.stream.read(4))
            packet = msgpack.unpackb(self.stream.read(length), strict_map_key=False)
            if packet["packet_type"] == packet_type:
                return packet
            assert packet.get("success", True), packet


def call(base, path, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


def main():
    binary, messages = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        data = f"{directory}/data"
        seed = [binary, "seed", "--data-dir", data, "--users", "2", "--chats", "1", "--members", "2"]
        subprocess.run([*seed, "--messages", str(messages), "--password", "correct horse"], check=True)
        options = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
        env = {**os.environ, "NETBIT_LOG__LEVEL": "warn"}
        server = subprocess.Popen([binary, "--data-dir", data, *options], stdout=subprocess.PIPE, text=True, env=env)
        try:
            base = re.search(r"http://[\d.]+:\d+", server.stdout.readline())[0]
            follow(server.pid, base)
        finally:
            server.terminate()
            server.wait()


def follow(pid, base):
    token = call(base, "/api/users/login", {"username": "u1", "password": "correct horse"})["token"]
    with urllib.request.urlopen(base + "/api/server", timeout=30) as answer:
        address = json.load(answer)["tcp_address"]
    session = Session(address, token)
    welcome = session.read("Welcome")
    chat = welcome["chats"][0]["id"]
    before = resident_mib(pid)
    begun = time.monotonic()
    session.send(packet_type="Resume", epoch=welcome["epoch"], cursors={chat: 0})
    limited = session.read("Limited")
    assert (limited["chat_id"], limited["from"], limited["head"]) == (chat, 1, welcome["chats"][0]["last_seq"])
    last, most, pages = 0, before, 0
    while last < limited["head"]:
        session.send(packet_type="GetEvents", request_id=1, chat_id=chat, after_seq=last, limit=PAGE)
        page = session.read("Events")
        for event in page["events"]:
            assert event["seq"] == last + 1, (event["seq"], last)
            last += 1
        pages += 1
        if pages % 100 == 0:
            most = max(most, resident_mib(pid))
    took = time.monotonic() - begun
    # Few events are left: they are replayed, and the chat becomes live.
    session.send(packet_type="Resume", epoch=welcome["epoch"], cursors={chat: last})
    assert session.read("Synced")["seq"] == last
    print(f"{last} events in {pages} pages, {took:.1f} s; resident {before:.0f} MiB before, {most:.0f} MiB at most")
    if most - before > GROWTH_MIB_MAX:
        sys.exit(f"the server grew by more than {GROWTH_MIB_MAX} MiB")


if __name__ == "__main__":
    main()
