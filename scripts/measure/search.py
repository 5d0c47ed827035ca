#!/usr/bin/env python3
"""Measures the search over 1,000,000 messages: index, searches, and sends with searches.

    cargo build --release
    python3 -m venv venv && venv/bin/pip install msgpack
    venv/bin/python scripts/measure/search.py target/release/netbit [MESSAGES [SECONDS]]

The messages have 4 to 28 words each, drawn from 60,000 words whose frequencies follow Zipf's law,
and every tenth has an identifier, a path or a link. Prints the time that the first start needs to
build the index, the sizes, the duration of searches on an idle server and with 1,000 sends per
second, and the duration of sends with and without the index, in interleaved runs.

Exits with 1 if a search misses a message that it must find.
"""

import json
import multiprocessing
import os
import random
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid

import msgpack

PASSWORD = "correct horse"
USERS, CHATS, MEMBERS = 200, 100, 20
SENDS_PER_SECOND = 1_000
# Pairs of runs with and without the index.
RUNS = 5
SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo zu".split()


class Texts:
    """Makes texts whose words are as frequent as those of a natural language."""

    def __init__(self):
        self.random = random.Random(1)
        words = set()
        while len(words) < 60_000:
            words.add("".join(self.random.choices(SYLLABLES, k=self.random.randint(1, 4))))
        self.words = sorted(words, key=lambda word: (len(word), word))
        self.weights = [1 / (rank + 3) for rank in range(len(self.words))]
        self.drawn = iter(())

    def word(self):
        word = next(self.drawn, None)
        if word is None:
            self.drawn = iter(self.random.choices(self.words, self.weights, k=100_000))
            word = next(self.drawn)
        return word

    def text(self, number):
        words = [self.word() for _ in range(self.random.randint(4, 28))]
        if number % 10 == 0:
            first, second = self.word(), self.word()
            kinds = [f"{first}.{second}", f"/var/{first}/{second}.rs", f"https://{first}.example/{second}",
                     first + second.capitalize()]
            words.append(self.random.choice(kinds))
        return " ".join(words)


class Server:
    def __init__(self, binary, data, **limits):
        options = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
        env = {**os.environ, "NETBIT_LOG__LEVEL": "warn", "NETBIT_LIMITS__RATES": "false"}
        env.update({f"NETBIT_LIMITS__{name.upper()}": str(value) for name, value in limits.items()})
        command = [binary, "--data-dir", data, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        text = ""
        while "/readyz" not in text:
            line = self.process.stdout.readline()
            assert line, "the server ended"
            text += line
        self.base = re.search(r"http://[\d.]+:\d+", text)[0]
        self.ops = re.search(r"(http://\S+)/readyz", text)[1]
        self.tcp = self.get("/api/server")["tcp_address"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, path, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urllib.request.urlopen(urllib.request.Request(self.base + path, headers=headers), timeout=60) as answer:
            return json.load(answer)

    def login(self, name):
        body = json.dumps({"username": name, "password": PASSWORD}).encode()
        request = urllib.request.Request(self.base + "/api/users/login", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["token"]

    def metric(self, name):
        with urllib.request.urlopen(self.ops + "/metrics", timeout=30) as answer:
            return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M)[1])

    def search(self, token, query, **keys):
        keys = urllib.parse.urlencode({"q": query, "in": "messages", "limit": 20, **keys})
        begun = time.monotonic()
        found = self.get(f"/api/search?{keys}", token)
        return found, time.monotonic() - begun


def main():
    binary = sys.argv[1]
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    texts = Texts()
    with tempfile.TemporaryDirectory() as directory:
        data = f"{directory}/data"
        seed = [binary, "seed", "--data-dir", data, "--users", str(USERS), "--chats", str(CHATS)]
        seed += ["--members", str(MEMBERS), "--messages", str(messages), "--password", PASSWORD]
        subprocess.run(seed, check=True, stdout=subprocess.DEVNULL)
        size = fill(f"{data}/netbit.db", texts)
        with Server(binary, data) as server:
            built = build(server)
            index = server.metric("netbit_search_bytes")
            print(f"messages                   {messages:>12,}")
            print(f"text                       {size / 1e6:>12.1f} MB")
            print(f"index                      {index / 1e6:>12.1f} MB, {index / size:.2f} of the text")
            print(f"build of the index         {built:>12.1f} s, {messages / built:,.0f} messages/s")
            token = server.login("u1")
            check(server, token)
            report("searches, idle", run_searches(server, token, texts, 1_000))
            report("sends with the index and searches", send_and_search(server, texts, seconds))
        # The index merges its parts for some time after it was built.
        with Server(binary, data) as server:
            time.sleep(3)
            report("the same after a restart", send_and_search(server, texts, seconds))
        compare_sends(binary, data, texts, max(seconds // 4, 1))


def compare_sends(binary, data, texts, seconds):
    """Prints the medians of interleaved runs of sends with the index, and without its updates."""
    medians = {"sends with the index": [], "sends without": []}
    for _ in range(RUNS):
        for name, limits in zip(medians, ({}, {"search_delay_ms": 3_600_000})):
            with Server(binary, data, **limits) as server:
                if not limits:
                    while server.metric("netbit_search_behind_events") > 0:
                        time.sleep(0.1)
                took = sorted(send(server, texts, seconds))
                medians[name].append(took[len(took) // 2] * 1e3)
    for name, runs in medians.items():
        print(f"{name:<36} p50 of {RUNS} runs: {', '.join(f'{run:.2f}' for run in sorted(runs))} ms")


def fill(database, texts):
    """Replaces the texts of the messages. Returns the bytes of all of them."""
    db = sqlite3.connect(database)
    size, number = 0, 0
    last = db.execute("SELECT max(id) FROM messages").fetchone()[0]
    while number < last:
        rows = []
        for number in range(number + 1, min(number + 50_000, last) + 1):
            text = texts.text(number)
            size += len(text.encode())
            rows.append((text, number))
        db.executemany("UPDATE messages SET content = ? WHERE id = ?", rows)
        db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return size


def build(server):
    begun = time.monotonic()
    # The gauge is 0 until the first comparison.
    while server.metric("netbit_search_indexed_total") == 0:
        time.sleep(0.02)
    while server.metric("netbit_search_behind_events") > 0:
        time.sleep(0.1)
    built = time.monotonic() - begun
    # Sizes are measured at intervals.
    time.sleep(16)
    server.search(server.login("u0"), "warm")
    return built


def check(server, token):
    """Compares the pages of a search with the texts of the chats that the user reads."""
    found, _ = server.search(token, "bacedi ")
    expected = found["messages"]["hits"]
    for hit in expected:
        assert "bacedi" in hit["excerpt"], hit
    # The newest message of a chat is found by its first words.
    for chat in server.get("/api/chats?limit=3", token)["items"]:
        newest = server.get(f"/api/chats/{chat['id']}/messages?limit=1", token)["items"][0]
        words = " ".join(newest["content"].split()[:3])
        found, _ = server.search(token, f'"{words}" in:!{chat["id"]}')
        ids = [hit["message_id"] for hit in found["messages"]["hits"]]
        if newest["id"] not in ids:
            print(f"{words} does not find message {newest['id']}", file=sys.stderr)
            sys.exit(1)


def queries(texts):
    """Queries of users: a word, two words, a beginning, an identifier, a phrase, filters."""
    word = texts.word
    while True:
        yield f"{word()} "
        yield f"{word()} {word()} "
        yield word()[:4]
        yield f"{word()}.{word()}"
        yield f'"{word()} {word()}"'
        yield f"{word()} from:u{texts.random.randrange(MEMBERS)} "
        yield f"{word()} in:r{texts.random.randrange(CHATS)} has:link"


def run_searches(server, token, texts, count, until=None):
    took = []
    for query in queries(texts):
        if len(took) >= count or (until and time.monotonic() > until):
            return took
        took.append(server.search(token, query)[1])
        if until:
            time.sleep(0.01)


def report(name, took):
    took = sorted(took)
    at = lambda share: took[min(int(len(took) * share), len(took) - 1)] * 1e3
    print(f"{name:<36} {len(took):>8,}: p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, max {at(1):.2f} ms")


def send_and_search(server, texts, seconds):
    """Searches in a process of its own: threads of one process of Python wait for each other."""
    token, until = server.login("u2"), time.monotonic() + seconds
    processes = multiprocessing.get_context("fork")
    receiving, sending = processes.Pipe(duplex=False)
    searching = processes.Process(
        target=lambda: sending.send(run_searches(server, token, texts, 1 << 30, until)), daemon=True
    )
    searching.start()
    acks = send(server, texts, seconds)
    took = receiving.recv()
    searching.join()
    report("searches with 1,000 sends per second", took)
    begun = time.monotonic()
    while server.metric("netbit_search_behind_events") > 0:
        time.sleep(0.05)
    print(f"{'index up to date after':<36} {(time.monotonic() - begun) * 1e3:>8.0f} ms")
    return acks


def send(server, texts, seconds):
    """Sends at a fixed rate over one session. Returns the time from each send to its Ack."""
    host, port = server.tcp.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb")

    def write(**packet):
        body = msgpack.packb(packet)
        connection.sendall(struct.pack(">I", len(body)) + body)

    def read():
        (length,) = struct.unpack(">I", stream.read(4))
        return msgpack.unpackb(stream.read(length), strict_map_key=False)

    write(packet_type="Hello", token=server.login("u3"), echo=False)
    welcome = read()
    chats = [chat["id"] for chat in welcome["chats"]]
    count = seconds * SENDS_PER_SECOND
    bodies = [texts.text(number) for number in range(count)]
    sent, acks = {}, []

    def receive():
        while len(acks) < count:
            packet = read()
            if packet["packet_type"] == "Ack":
                assert packet["success"], packet
                acks.append(time.monotonic() - sent[packet["request_id"]])

    receiving = threading.Thread(target=receive)
    receiving.start()
    begun = time.monotonic()
    for number, text in enumerate(bodies):
        wait = begun + number / SENDS_PER_SECOND - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        message = {"client_id": str(uuid.UUID(int=(number << 64) + random.getrandbits(62))), "content": text}
        sent[number] = time.monotonic()
        write(packet_type="SendMessage", request_id=number, chat_id=chats[number % len(chats)], message=message)
    receiving.join()
    connection.close()
    return acks


if __name__ == "__main__":
    main()
