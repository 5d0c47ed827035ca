#!/usr/bin/env python3
"""Compares the search of code with ripgrep, and measures it.

    python3 scripts/measure/search_code.py BIN DIRECTORY [TERMS [SEED]]

Pushes the files of DIRECTORY as a new repository. Draws TERMS (default 200) random literals of at
least 3 bytes from the lines of its files, and compares the answer of the server with that of
`rg -uu -F -S --no-unicode`, file by file and line by line. Files that the server leaves out, with a
NUL in the first 8,000 bytes or more than 1 MiB, are left out on both sides. Adds a file of random
bytes, whose trigrams are not in the index, and searches for words in it. Prints the time of the
indexing, the size of the index, and the duration of searches.

Exits with 1 if any answer differs. Needs git and ripgrep.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

PASSWORD = "correct horse"
FILE_BYTES_MAX = 1024 * 1024
NOISE_BYTES, NOISE_WORDS = 100_000, 5
LIMITS = {
    "rates": "false", "search_code_lines": 1_000_000, "search_checked": 1_000_000, "search_rows": 10_000_000,
    "search_ms": 60_000, "search_code_check_ms": 60_000, "search_code_checked_bytes": 1 << 40,
}


class Server:
    def __init__(self, binary, data, limits):
        options = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
        env = {**os.environ, "NETBIT_LOG__LEVEL": "warn"}
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
        self.token = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def send(self, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data, headers), timeout=300) as answer:
            return json.load(answer)

    def metric(self, name):
        with urllib.request.urlopen(self.ops + "/metrics", timeout=60) as answer:
            return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M)[1])

    def page(self, query, cursor=None, limit=100):
        keys = {"q": query, "in": "code", "limit": limit, **({"cursor": cursor} if cursor else {})}
        begun = time.monotonic()
        found = self.send("/api/search?" + urllib.parse.urlencode(keys))
        return found, time.monotonic() - begun

    def all(self, query):
        """Returns the lines of all pages by path, and whether the answer may lack some."""
        lines, cursor, is_incomplete = {}, None, False
        while True:
            found, _ = self.page(query, cursor)
            is_incomplete |= "incomplete" in found
            for hit in found["code"]["hits"]:
                assert hit["path"] not in lines, f"{hit['path']} is found twice"
                assert len(hit["lines"]) == hit["line_count"], "all lines are requested"
                lines[hit["path"]] = [line["number"] for line in hit["lines"]]
            cursor = found["code"].get("next")
            if not cursor:
                return lines, is_incomplete


def main():
    binary, source = os.path.abspath(sys.argv[1]), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        work = f"{directory}/work"
        shutil.copytree(source, work, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        words = add_noise(draw, work)
        git(work, "init", "--quiet", "--initial-branch=main")
        git(work, "add", "--all", "--force")
        git(work, "commit", "--quiet", "-m", "all files")
        files, size = texts(work)
        with Server(binary, f"{directory}/data", LIMITS) as server:
            begin(server)
            url = server.base.replace("http://", f"http://alice:{urllib.parse.quote(PASSWORD)}@")
            git(work, "push", "--quiet", f"{url}/alice/hello/web", "main")
            begun = time.monotonic()
            while not is_indexed(server, work):
                time.sleep(0.2)
            took = time.monotonic() - begun
            terms = words + [term(draw, work, files) for _ in range(count)]
            differences = sum(not compare(server, work, files, query) for query in terms)
            durations = sorted(server.page(quoted(query), limit=20)[1] for query in terms)
            # The file is measured after the checkpoint of an orderly stop.
        index = os.path.getsize(f"{directory}/data/search.db")
        print(f"text files              {len(files):>12,}")
        print(f"text                    {size / 1e6:>12.1f} MB")
        print(f"indexing after the push {took:>12.1f} s, {size / 1e6 / took:.1f} MB/s")
        print(f"index                   {index / 1e6:>12.1f} MB, {index / size:.2f} of the text")
        p50, p99 = durations[len(durations) // 2], durations[min(len(durations) - 1, len(durations) * 99 // 100)]
        print(f"searches, 20 files      {len(terms):>12,} of seed {seed}: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")
        print(f"answers other than rg's {differences:>12,}")
        sys.exit(1 if differences else 0)


def add_noise(draw, work):
    """Adds a file of random bytes and one of text, both with some words. Returns the words."""
    words = [f"NetBit noise {number}" for number in range(NOISE_WORDS)]
    with open(os.path.join(work, "noise-of-the-comparison"), "wb") as file:
        for word in words:
            file.write(bytes(draw.randint(1, 255) for _ in range(NOISE_BYTES // NOISE_WORDS)) + word.encode())
    with open(os.path.join(work, "words-of-the-comparison"), "w") as file:
        file.write("\n".join(words))
    return words


def git(work, *arguments):
    identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org", "-c", "core.autocrlf=false"]
    subprocess.run(["git", *identity, *arguments], cwd=work, check=True)


def begin(server):
    server.send("/api/users/register", {"username": "alice", "password": PASSWORD})
    server.token = server.send("/api/users/login", {"username": "alice", "password": PASSWORD})["token"]
    server.send("/api/projects/create", {"name": "hello"})
    server.send("/api/projects/alice/hello/repos/create", {"name": "web"})


def is_indexed(server, work):
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=work, check=True, capture_output=True).stdout
    files = sum(line.startswith(b"100") for line in listed.splitlines())
    return server.metric("netbit_search_indexed_files_total") >= files and "incomplete" not in server.page("anything")[0]


def texts(work):
    """Returns the paths of the files that the server searches, and the bytes of their texts."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=work, check=True, capture_output=True).stdout
    files, size = [], 0
    for name in listed.decode().split("\0"):
        path = os.path.join(work, name)
        if not name or os.path.islink(path) or os.path.getsize(path) > FILE_BYTES_MAX:
            continue
        with open(path, "rb") as file:
            content = file.read()
        if b"\0" not in content[:8000]:
            files.append(name)
            size += len(content)
    return files, size


def term(draw, work, files):
    """Returns a literal of a random line: any part of it, of 3 to 40 bytes."""
    while True:
        with open(os.path.join(work, draw.choice(files)), "rb") as file:
            lines = file.read().splitlines()
        if not lines:
            continue
        try:
            line = draw.choice(lines).decode()
        except UnicodeDecodeError:
            continue
        at, length = draw.randrange(len(line) + 1), draw.randint(3, 40)
        found = line[at:at + length]
        is_plain = not re.search(r'["\u201c-\u201e\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]', found)
        if 3 <= len(found.encode()) <= 200 and is_plain and found.strip():
            return found


def quoted(query):
    return f'"{query}"'


def compare(server, work, files, query):
    """Compares the answer of the server with that of ripgrep."""
    rg = ["rg", "-uu", "-F", "-S", "--no-unicode", "-a", "-E", "none", "--no-config", "--no-heading",
          "--with-filename", "--line-number", "--null", "--no-messages", "--color", "never", "-e", query, "."]
    output = subprocess.run(rg, cwd=work, capture_output=True).stdout
    expected, known = {}, set(files)
    for line in output.split(b"\n"):
        name, separator, rest = line.partition(b"\0")
        name = name.decode(errors="surrogateescape").removeprefix("./")
        if separator and name in known:
            expected.setdefault(name, []).append(int(rest.split(b":", 1)[0]))
    found, is_incomplete = server.all(quoted(query))
    if found == expected and not is_incomplete:
        return True
    missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    others = [path for path in expected.keys() & found.keys() if expected[path] != found[path]]
    print(f"{query!r}: missing {sorted(missing)[:3]}, extra {sorted(extra)[:3]}, other lines {others[:3]}, "
          f"incomplete {is_incomplete}")
    return False


if __name__ == "__main__":
    main()
