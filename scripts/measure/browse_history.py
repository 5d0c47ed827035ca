#!/usr/bin/env python3
"""Checks browsing of a long history against git, and measures it.

    python3 scripts/measure/browse_history.py target/release/netbit [--commits 80000] [--files 5000]
        [--repository PATH] [--results-only] [--samples 60]

Builds a deterministic history with `git fast-import`, or uses any repository. The history has
merges, renames, tags from v2.0.0 on, and files that change rarely and often; it is kept in
target/browse-history/. Pushes it to a new server on free ports of 127.0.0.1. Fails if an answer
differs from git's: all pages of `/commits` and of `/commits?path=`, the last commit of every entry,
comparisons, blame. Prints p50 and p99 in ms: alone, in parallel with 24 clients without an account
that request path histories, and of git itself. Speed never fails the run. --results-only skips the
measurement.

Needs Linux, Python 3.9 and git. 80,000 commits take about five minutes.
"""
import argparse
import atexit
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PASSWORD = "correct horse"
BASE = "/api/projects/ann/p/repos/r"
CROWD = 24
ENVIRONMENT = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0",
                   LC_ALL="C")


def git(repository, *arguments):
    done = subprocess.run(["git", "-C", repository, *arguments], env=ENVIRONMENT, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"git {' '.join(arguments)} failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout.decode(errors="surrogateescape")


# --- the history ----------------------------------------------------------------------------------


class Writer:
    """Writes the stream of `git fast-import`: a main line, and side branches that are merged into
    it.
    """

    def __init__(self, out, commits, files):
        self.out, self.total, self.chance = out, commits, random.Random(7)
        self.marks, self.seconds, self.made = 0, 1_200_000_000, 0
        self.main, self.recent, self.texts = None, [], {}
        many = [f"root{number}.c" for number in range(min(560, files // 4))]
        folders = [f"d{number}" for number in range(12)] + [f"d{number}/e{number % 5}" for number in range(24)]
        folders += [f"lib/deep/er/f{number}" for number in range(6)]
        rest = [f"{folders[number % len(folders)]}/file{number}.c" for number in range(files - len(many))]
        self.paths = many + rest
        self.chance.shuffle(self.paths)

    def put(self, text):
        self.out.write(text.encode())

    def path(self):
        """Returns a random path: few paths change often, and most of them a few times."""
        return self.paths[int(len(self.paths) * self.chance.random() ** 6)]

    def text(self, path):
        lines = self.texts.setdefault(path, [f"line {number} of {path}" for number in range(30)])
        lines[self.chance.randrange(len(lines))] = f"changed by {self.made}"
        return "\n".join(lines) + "\n"

    def commit(self, branch, parents, changes):
        self.marks += 1
        self.made += 1
        self.seconds += self.chance.randrange(1, 600)
        message = f"Change {self.made}\n\nWith a reason.\n"
        self.put(f"commit {branch}\nmark :{self.marks}\nauthor Ann <ann@example.org> {self.seconds} +0100\n"
                 f"committer Carl <carl@example.org> {self.seconds} +0000\ndata {len(message)}\n{message}")
        for number, parent in enumerate(parents):
            self.put(f"{'merge' if number else 'from'} :{parent}\n")
        for change in changes:
            if change[0] == "R":
                self.put(f"R {change[1]} {change[2]}\n")
            else:
                self.put(f"M 100644 inline {change[1]}\ndata {len(change[2])}\n{change[2]}\n")
        self.put("\n")
        return self.marks

    def write(self):
        first = [("M", path, f"first of {path}\n" * 20) for path in self.paths[: len(self.paths) * 2 // 3]]
        self.main = self.commit("refs/heads/main", [], first)
        late = self.paths[len(self.paths) * 2 // 3:]
        while self.made < self.total:
            self.recent = (self.recent + [self.main])[-40:]
            dice = self.chance.random()
            if dice < 0.12 and len(self.recent) > 10:
                tip, changes = self.recent[self.chance.randrange(len(self.recent))], []
                for _ in range(self.chance.randrange(1, 6)):
                    path = self.path()
                    changes.append(("M", path, self.text(path)))
                    tip = self.commit("refs/heads/side", [tip], changes[-1:])
                self.put("reset refs/heads/side\n\n")
                self.main = self.commit("refs/heads/main", [self.main, tip], changes)
            elif dice < 0.14:
                path = self.path()
                moved = re.sub(r"(_m\d+)?\.c$", f"_m{self.made}.c", path)
                if path in self.texts:
                    self.main = self.commit("refs/heads/main", [self.main], [("M", path, self.text(path))])
                    self.main = self.commit("refs/heads/main", [self.main], [("R", path, moved)])
                    self.texts[moved] = self.texts.pop(path)
                    self.paths[self.paths.index(path)] = moved
            elif late and dice > 0.97:
                path = late.pop()
                self.main = self.commit("refs/heads/main", [self.main], [("M", path, self.text(path))])
            else:
                paths = {self.path() for _ in range(self.chance.choice((1, 1, 1, 2, 3)))}
                changes = [("M", path, self.text(path)) for path in sorted(paths)]
                self.main = self.commit("refs/heads/main", [self.main], changes)
            every = max(self.total // 48, 1)
            if self.made // every > (self.made - 1) // every:
                self.put(f"reset refs/tags/v2.{self.made // every}.0\nfrom :{self.main}\n\n")
        self.put("reset refs/heads/side\nfrom 0000000000000000000000000000000000000000\n\ndone\n")


def build(commits, files):
    place = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "target", "browse-history")
    path = os.path.join(place, f"{commits}-{files}.git")
    if os.path.exists(os.path.join(path, "netbit-complete")):
        return path
    os.makedirs(path, exist_ok=True)
    git(path, "init", "--quiet", "--bare", "-b", "main", ".")
    importing = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet", "--done", "--force"], env=ENVIRONMENT,
                                 stdin=subprocess.PIPE)
    Writer(importing.stdin, commits, files).write()
    importing.stdin.close()
    if importing.wait() != 0:
        sys.exit("fast-import failed")
    git(path, "commit-graph", "write", "--reachable", "--changed-paths", "--no-progress")
    open(os.path.join(path, "netbit-complete"), "w").close()
    return path


# --- the server -----------------------------------------------------------------------------------


class Server:
    def __init__(self, program, place):
        os.mkdir(os.path.join(place, "data"))
        free = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
        self.log = os.path.join(place, "log")
        self.process = subprocess.Popen(
            [os.path.abspath(program), *free, "--data-dir", os.path.join(place, "data")], stdout=subprocess.PIPE,
            stderr=open(self.log, "w"), env=dict(os.environ, NETBIT_LOG__LEVEL="info"), text=True)
        text = ""
        while "/readyz" not in text:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server ended before it was ready")
            text += line
        self.address = re.search(r"http://([\d.]+:\d+)/api/", text).group(1)

    def said(self, what):
        with open(self.log) as log:
            return what in log.read()

    def stop(self):
        self.process.terminate()
        if self.process.wait(30) != 0:
            sys.exit("the server did not stop cleanly")


class Client:
    """A client with one keep-alive connection."""

    def __init__(self, address):
        self.connection, self.token = http.client.HTTPConnection(address, timeout=120), None

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def json(self, path, method="GET", body=None):
        status, text = self.ask(method, path, body)
        if status >= 300:
            sys.exit(f"{method} {path}: {status} {text[:300]}")
        return json.loads(text)


def quoted(path):
    return urllib.parse.quote(path, safe="/")


# --- results --------------------------------------------------------------------------------------


def all_commits(client, query):
    found, cursor = [], ""
    while True:
        page = client.json(f"{BASE}/commits?limit=100{query}{cursor}")
        found += [item["oid"] for item in page["items"]]
        if page["truncated"]:
            sys.exit(f"the history of {query!r} is truncated after {len(found)} commits")
        if "next" not in page:
            return found
        cursor = f"&cursor={page['next']}"


def check(client, repository, subjects, tags):
    wanted = git(repository, "rev-list", "main").split()
    if all_commits(client, "") != wanted:
        sys.exit("the pages of /commits differ from git log")
    print(f"/commits: {len(wanted)} commits, complete, as git log")
    for path in subjects:
        wanted = git(repository, "log", "--format=%H", "main", "--", path).split()
        if all_commits(client, f"&path={quoted(path)}") != wanted:
            sys.exit(f"the pages of /commits?path={path} differ from git log -- path")
    print(f"/commits?path=: {len(subjects)} paths, complete, as git log -- path")
    count = 0
    for folder in ["", *sorted({os.path.dirname(path) for path in subjects} - {""})[:4]]:
        tree = client.json(f"{BASE}/tree/main/{quoted(folder)}?last_commit=true")
        for entry in tree["entries"]:
            if entry["last_commit"] is None:
                sys.exit(f"{entry['path']} has no last commit")
        entries = tree["entries"]
        for entry in random.Random(1).sample(entries, min(len(entries), 25)):
            wanted = git(repository, "log", "-1", "--format=%H", "main", "--", entry["path"]).strip()
            if entry["last_commit"]["oid"] != wanted:
                sys.exit(f"the last commit of {entry['path']} is {entry['last_commit']['oid']}, not {wanted}")
        count += len(entries)
    print(f"/tree?last_commit=true: {count} entries, each with a last commit")
    for base, head in tags:
        shown = client.json(f"{BASE}/compare/{base}...{head}")
        counts = git(repository, "rev-list", "--left-right", "--count", f"{base}...{head}").split()
        bases = git(repository, "merge-base", "--all", base, head).split()
        names = set(git(repository, "diff", "--no-renames", "--name-only", f"{base}...{head}").split("\n")) - {""}
        if [shown["behind"], shown["ahead"]] != [int(count) for count in counts] or shown["merge_base"] not in bases:
            sys.exit(f"{base}...{head}: {shown['behind']}, {shown['ahead']}, {shown['merge_base']}; git: {counts}, {bases}")
        files = {file["path"] for file in shown["files"]}
        moved = {file["old_path"] for file in shown["files"] if file["old_path"]}
        if not files <= names or bool(files) != bool(names) or (files | moved != names and not shown["truncated"]):
            sys.exit(f"{base}...{head}: the files differ from those of git")
    print(f"/compare: {len(tags)} ranges, as git merge-base, rev-list and diff")
    for path in subjects[:5]:
        if git(repository, "ls-tree", "main", "--", path) == "":
            continue
        shown = client.json(f"{BASE}/blame/main/{quoted(path)}")
        lines = [line["oid"] for line in shown["ranges"] for _ in range(line["from"], line["to"] + 1)]
        wanted = [line[:40].lstrip("^") for line in
                  git(repository, "blame", "--root", "-s", "-l", "-L1,1000" if len(lines) == 1000 else "-L1,",
                      "main", "--", path).splitlines()]
        if lines != wanted:
            sys.exit(f"the blame of {path} differs from git's")
    print("/blame: as git blame")


# --- measurement ----------------------------------------------------------------------------------


def times(run, samples):
    spent = []
    for sample in samples:
        begun = time.perf_counter()
        run(sample)
        spent.append((time.perf_counter() - begun) * 1000)
    spent.sort()
    return statistics.median(spent), spent[min(len(spent) - 1, int(len(spent) * 0.99))]


def measure(server, client, repository, files, subjects, tags, count):
    chance = random.Random(3)
    pick = lambda options: [chance.choice(options) for _ in range(count)]
    oids = git(repository, "rev-list", "main").split()
    folders = sorted({os.path.dirname(path) for path in files})
    get = lambda path: client.json(f"{BASE}{path}")
    run = lambda *arguments: git(repository, *arguments)
    questions = [
        ("`/tree`", pick(folders), lambda at: get(f"/tree/main/{quoted(at)}"),
         lambda at: run("ls-tree", "-l", f"main:{at}")),
        ("`/blob`", pick(files), lambda at: get(f"/blob/main/{quoted(at)}"), lambda at: run("show", f"main:{at}")),
        ("`/commits`, the newest 50", [None] * count, lambda _: get("/commits"), lambda _: run("log", "-50", "main")),
        ("`/commits`, 50 from anywhere", pick(oids), lambda at: get(f"/commits?cursor={at}"),
         lambda at: run("log", "-50", f"--skip={oids.index(at)}", "main")),
        ("`/commits?path=`, 50 of a file", pick(subjects), lambda at: get(f"/commits?path={quoted(at)}"),
         lambda at: run("log", "main", "--", at)),
        ("`/tree?last_commit=true`, the root", [""] * min(count, 20), lambda _: get("/tree/main?last_commit=true"),
         None),
        ("`/tree?last_commit=true`, a folder", pick(folders)[:20],
         lambda at: get(f"/tree/main/{quoted(at)}?last_commit=true"), None),
        ("`/blame`", pick(files)[:20], lambda at: get(f"/blame/main/{quoted(at)}"),
         lambda at: run("blame", "--porcelain", "main", "--", at)),
        ("`/compare`", (tags * count)[:20], lambda at: get(f"/compare/{at[0]}...{at[1]}"),
         lambda at: (run("rev-list", "--left-right", "--count", f"{at[0]}...{at[1]}"),
                     run("diff", f"{at[0]}...{at[1]}"))),
    ]
    alone = [times(ask, samples) for _, samples, ask, _ in questions]
    judged = [times(ask, samples) if ask else None for _, samples, _, ask in questions]
    over, refused, done = threading.Event(), [], [0]

    def crowd(number):
        own, chance = Client(server.address), random.Random(number)
        while not over.is_set():
            status, _ = own.ask("GET", f"{BASE}/commits?path={quoted(chance.choice(subjects))}&limit=100")
            done[0] += 1
            if status != 200:
                refused.append(status)

    threads = [threading.Thread(target=crowd, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    client.connection.close()  # it was idle while git ran
    beside = [times(ask, samples) for _, samples, ask, _ in questions]
    over.set()
    for thread in threads:
        thread.join()
    print(f"\n| Request | alone, p50 and p99 (ms) | with {CROWD} clients | git itself |\n|---|---|---|---|")
    show = lambda pair: f"{pair[0]:.1f}, {pair[1]:.1f}" if pair else ""
    for (name, *_), one, other, third in zip(questions, alone, beside, judged):
        print(f"| {name} | {show(one)} | {show(other)} | {show(third)} |")
    print(f"\nThe {CROWD} clients got {done[0]} answers meanwhile, {len(refused)} of them refusals.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--commits", type=int, default=80_000)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--repository", help="use this repository; its branch main is browsed")
    parser.add_argument("--results-only", action="store_true")
    parser.add_argument("--samples", type=int, default=60)
    options = parser.parse_args()
    repository = options.repository or build(options.commits, options.files)
    with tempfile.TemporaryDirectory() as place:
        server = Server(options.program, place)
        atexit.register(server.process.kill)
        client = Client(server.address)
        client.json("/api/users/register", "POST", {"username": "ann", "password": PASSWORD})
        login = client.json("/api/users/login", "POST", {"username": "ann", "password": PASSWORD})
        client.token = login["token"]
        client.json("/api/projects/create", "POST", {"name": "p", "visibility": "public"})
        client.json("/api/projects/ann/p/repos/create", "POST", {"name": "r"})
        begun = time.monotonic()
        url = f"http://ann:{PASSWORD.replace(' ', '%20')}@{server.address}/ann/p/r"
        git(repository, "push", "--quiet", url, "refs/heads/main")
        git(repository, "push", "--quiet", url, "refs/tags/v2.*:refs/tags/v2.*")
        print(f"pushed in {time.monotonic() - begun:.0f} s", flush=True)
        while not server.said("the commit graph was written") and time.monotonic() - begun < 900:
            time.sleep(0.2)
        client.connection.close()
        print(f"commit graph written {time.monotonic() - begun:.0f} s after the push began", flush=True)
        files = [path for path in git(repository, "ls-tree", "-r", "-z", "--name-only", "main").split("\0") if path]
        chance = random.Random(5)
        subjects = chance.sample(files, min(24, len(files)))
        # Also deleted files, and a whole folder.
        gone = git(repository, "log", "-20", "--diff-filter=D", "--no-renames", "--name-only", "--format=", "main")
        subjects += [*[path for path in gone.split("\n") if path][:3], os.path.dirname(files[-1]) or files[-1]]
        tags = sorted(git(repository, "tag", "--list", "v2.*").split(), key=lambda tag: [int(part) for part in
                                                                                    re.findall(r"\d+", tag)])
        pairs = [(tags[0], tags[-1]), (tags[-1], tags[0]), (tags[len(tags) // 2], tags[-1])] if tags else []
        check(client, repository, subjects, pairs)
        if not options.results_only:
            measure(server, client, repository, files, subjects, pairs, options.samples)
        server.stop()


if __name__ == "__main__":
    main()
