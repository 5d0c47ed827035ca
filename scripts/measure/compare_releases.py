#!/usr/bin/env python3
"""Compares the speed of two releases, next to the spread of the old release against itself.

    python3 scripts/measure/compare_releases.py OLD_LOADTEST NEW_LOADTEST [--git OLD_NETBIT NEW_NETBIT]
        [--runs 5]

Runs `loadtest all --quick` and git transfers of both releases in turn. Each round runs old, new and
old again. Needs Linux, Python 3.9 and git.

Prints for each figure the median over the rounds of new/old, and the smallest, median and largest
of old/old (the second against the first of the same round, and the reverse). Marks a figure if its
median of new/old lies outside of these, on the worse side. Only an incorrect run fails: timings of
a shared machine are noise.
"""
import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request


def loadtest(program):
    """Returns operations per second of each scenario: more is better."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "figures.json")
        done = subprocess.run([program, "all", "--quick", "--no-floor", "--json", path], capture_output=True, text=True,
                              cwd=place)
        if done.returncode != 0:
            sys.exit(f"{program} all --quick failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        with open(path) as file:
            scenarios = json.load(file)["scenarios"]
    return {f"{one['name']}, per second": (one["rate"], +1) for one in scenarios if one["rate"]}


def git(folder, *arguments):
    environment = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", GIT_TERMINAL_PROMPT="0")
    begun = time.monotonic()
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", folder, *arguments],
                   env=environment, check=True, capture_output=True)
    return time.monotonic() - begun


def call(url, body, token=None):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def transfers(program):
    """Returns seconds of git transfers: less is better."""
    free = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
    with tempfile.TemporaryDirectory() as place:
        server = subprocess.Popen([program, *free, "--data-dir", f"{place}/data"], stdout=subprocess.PIPE, text=True,
                                  env=dict(os.environ, NETBIT_LOG__LEVEL="error", NETBIT_LIMITS__RATES="false"))
        try:
            text = ""
            while "/readyz" not in text:
                text += server.stdout.readline() or sys.exit(f"{program} ended before it was ready")
            base = re.search(r"(http://[\d.:]+)/api/", text).group(1)
            return tried(place, base)
        finally:
            server.terminate()
            server.wait(timeout=60)


def tried(place, base):
    account = {"username": "ada", "password": "correct horse"}
    call(f"{base}/api/users/register", account)
    token = call(f"{base}/api/users/login", account)["token"]
    call(f"{base}/api/projects/create", {"name": "p", "visibility": "public"}, token)
    call(f"{base}/api/projects/ada/p/repos/create", {"name": "r"}, token)
    url = base.replace("http://", "http://ada:correct%20horse@") + "/ada/p/r"
    git(place, "init", "--quiet", "-b", "main", "work")
    work, source = f"{place}/work", random.Random(7)
    for number in range(400):
        with open(f"{work}/file{number}", "wb") as file:
            file.write(source.randbytes(128 * 1024))
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "50 MiB in 400 files")
    figures = {"push of 50 MiB, s": git(work, "push", "--quiet", url, "main")}
    small = []
    for number in range(10):
        with open(f"{work}/file0", "w") as file:
            file.write(f"change {number}\n")
        git(work, "commit", "--quiet", "-am", "change")
        small.append(git(work, "push", "--quiet", url, "main"))
    figures["push of a commit, s"] = statistics.median(small)
    figures["clone of 50 MiB, s"] = statistics.median(
        git(place, "clone", "--quiet", "--bare", f"{base}/ada/p/r", f"copy{number}") for number in range(3))
    figures["ls-remote, s"] = statistics.median(git(place, "ls-remote", f"{base}/ada/p/r") for _ in range(20))
    return {name: (value, -1) for name, value in figures.items()}


def compare(title, old, new, measure, runs):
    print(f"\n{title}: {runs} rounds", flush=True)
    rounds = []
    for _ in range(runs):
        rounds.append([measure(program) for program in (old, new, old)])
    print(f"{'':52} {'new/old':>8}   {'old/old: least':>14} {'median':>7} {'most':>7}")
    for name in sorted(rounds[0][0]):
        if not all(name in figures and figures[name][0] > 0 for figures in sum(rounds, [])):
            continue
        better = rounds[0][0][name][1]
        pairs = [[figures[name][0] for figures in each] for each in rounds]
        changed = statistics.median(new / statistics.mean((first, second)) for first, new, second in pairs)
        own = [second / first for first, _, second in pairs] + [first / second for first, _, second in pairs]
        worse = changed < min(own) if better > 0 else changed > max(own)
        print(f"{name:52} {changed:8.2f}   {min(own):14.2f} {statistics.median(own):7.2f} {max(own):7.2f}"
              f"{'   WORSE than the spread' if worse else ''}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--git", nargs=2)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    old, new = (os.path.abspath(path) for path in (options.old, options.new))
    compare("loadtest all --quick", old, new, loadtest, options.runs)
    if options.git:
        old, new = (os.path.abspath(path) for path in options.git)
        compare("git transfers", old, new, transfers, options.runs)


if __name__ == "__main__":
    main()
