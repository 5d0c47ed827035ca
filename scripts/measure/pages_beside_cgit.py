#!/usr/bin/env python3
"""Compares code pages of NetBit with the same pages of cgit, in one run.

    python3 scripts/measure/pages_beside_cgit.py target/release/netbit [--commits 2000] [--samples 200]

Makes a repository with 2,000 commits and 500 files, pushes it to a new server on free ports of
127.0.0.1, and serves a clone of it by cgit behind lighttpd. Requests a folder, the log and a commit
of both in turn over kept connections, as an anonymous reader. Prints p50 and p99 in ms, and the
bytes of a page (compressed, if the server does that). Fails only if a page lacks what it must show.

Needs Linux, Python 3.9, git, and Debian's packages cgit and lighttpd.
"""
import argparse
import gzip
import http.client
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PASSWORD = "correct horse"
ENVIRONMENT = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0")


def run(*arguments, **more):
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def make_repository(path, commits):
    chance, stream = random.Random(11), []
    files = [f"src/part{number % 20}/file{number}.rs" for number in range(480)] + [f"file{n}.txt" for n in range(20)]
    for number in range(commits):
        message = f"Change {number}\n\nA sentence about it.\n"
        stream.append(f"commit refs/heads/main\ncommitter Ann <ann@example.org> {1_700_000_000 + number * 60} +0000\n"
                      f"data {len(message)}\n{message}")
        for name in files if number == 0 else chance.sample(files, 3):
            text = "".join(f"fn f{line}() {{ work({chance.random()}); }}\n" for line in range(60))
            stream.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
    run("git", "init", "-q", "--bare", "-b", "main", path)
    done = subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input="".join(stream), text=True, env=ENVIRONMENT)
    if done.returncode != 0:
        sys.exit("git fast-import failed")
    return run("git", "-C", path, "rev-parse", "main").strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_netbit(binary, directory):
    listen = {f"NETBIT_{part}__LISTEN": "127.0.0.1:0" for part in ("HTTP", "TCP", "UDP", "OPS")}
    child = subprocess.Popen([binary, "serve"], env={**ENVIRONMENT, **listen, "NETBIT_DATA_DIR": f"{directory}/data"},
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in child.stdout:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/setup#code=(\S+)", line)
        if found:
            return child, int(found[1]), found[2]
    sys.exit("the server printed no address")


def api(port, method, path, body, token=""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"} if token else {
        "content-type": "application/json"}
    connection.request(method, path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 400:
        sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
    return json.loads(text)


def start_cgit(directory, repository):
    port = free_port()
    with open(f"{directory}/cgitrc", "w") as file:
        file.write(f"cache-size=0\nenable-log-filecount=0\nrepo.url=web\nrepo.path={repository}\n")
    with open(f"{directory}/lighttpd.conf", "w") as file:
        file.write(f'server.modules = ("mod_cgi", "mod_setenv")\nserver.document-root = "/usr/share/cgit"\n'
                   f'server.port = {port}\nserver.bind = "127.0.0.1"\n'
                   f'$HTTP["url"] =~ "^/cgit" {{ cgi.assign = ("" => "")\n  setenv.add-environment = ("CGIT_CONFIG" => "{directory}/cgitrc") }}\n'
                   f'alias.url = ("/cgit" => "/usr/lib/cgit/cgit.cgi")\n')
    text = open(f"{directory}/lighttpd.conf").read().replace('"mod_setenv")', '"mod_setenv", "mod_alias")')
    with open(f"{directory}/lighttpd.conf", "w") as file:
        file.write(text)
    child = subprocess.Popen(["/usr/sbin/lighttpd", "-D", "-f", f"{directory}/lighttpd.conf"], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return child, port
        time.sleep(0.05)
    sys.exit("lighttpd did not start")


def fetch(connection, path):
    begun = time.perf_counter()
    connection.request("GET", path, headers={"accept-encoding": "gzip", "accept": "text/html"})
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - begun) * 1000
    text = gzip.decompress(body) if answer.getheader("content-encoding") == "gzip" else body
    return answer.status, took, len(body), text.decode(errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--commits", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=200)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netbit-cgit-") as directory:
        repository = f"{directory}/web.git"
        head = make_repository(repository, wanted.commits)
        netbit, port, code = start_netbit(wanted.binary, directory)
        cgit, cgit_port = start_cgit(directory, repository)
        try:
            api(port, "POST", "/api/users/register", {"username": "ann", "password": PASSWORD, "setup_code": code})
            token = api(port, "POST", "/api/users/login", {"username": "ann", "password": PASSWORD})["token"]
            api(port, "POST", "/api/projects/create", {"name": "p", "visibility": "public"}, token)
            api(port, "POST", "/api/projects/ann/p/repos/create", {"name": "web"}, token)
            run("git", "-C", repository, "push", "-q", f"http://ann:correct%20horse@127.0.0.1:{port}/ann/p/web.git", "main")
            pages = [
                ("tree", "/ann/p/web/-/tree/main/src/part1", "/cgit/web/tree/src/part1", "file1.rs"),
                ("log", "/ann/p/web/-/commits/main", "/cgit/web/log/", f"Change {wanted.commits - 1}"),
                ("commit", f"/ann/p/web/-/commit/{head}", f"/cgit/web/commit/?id={head}", f"Change {wanted.commits - 1}"),
            ]
            ours = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            theirs = http.client.HTTPConnection("127.0.0.1", cgit_port, timeout=60)
            print("| Page | NetBit p50, p99 ms | cgit p50, p99 ms | p50 ratio | bytes NetBit, cgit |\n|---|---|---|---|---|")
            for name, own_path, other_path, shown in pages:
                times, sizes = ([], []), [0, 0]
                for _ in range(wanted.samples):
                    for at, (connection, path) in enumerate([(ours, own_path), (theirs, other_path)]):
                        status, took, size, text = fetch(connection, path)
                        if status != 200 or shown not in text:
                            sys.exit(f"{path}: {status}, without {shown}:\n{text[:2000]}")
                        times[at].append(took)
                        sizes[at] = size
                p50 = [statistics.median(values) for values in times]
                p99 = [sorted(values)[len(values) * 99 // 100] for values in times]
                print(f"| {name} | {p50[0]:.1f}, {p99[0]:.1f} | {p50[1]:.1f}, {p99[1]:.1f} | {p50[0] / p50[1]:.2f} | {sizes[0]}, {sizes[1]} |")
        finally:
            netbit.terminate()
            cgit.terminate()
            netbit.wait()


if __name__ == "__main__":
    main()
