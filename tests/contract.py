#!/usr/bin/env python3
"""Asks a server everything that its own description allows, and much that it does not, and compares the answers.

Usage: tests/contract.py NETBIT SCHEMATHESIS [EXAMPLES]

Starts NETBIT on an empty directory, makes some of everything, and lets SCHEMATHESIS (https://schemathesis.io) loose on
/api/openapi.json: once as somebody, once as nobody. Fails on an answer above 499, on a status, a content type or a body
that the description does not name. EXAMPLES is how many requests are made up for each operation.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# These end the login with which everything else is asked; nobody may try them.
ENDING = ["--exclude-path=/api/users/logout", "--exclude-path=/api/users/me/password"]


def ask(base, path, body=None, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, data, headers)) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def start(netbit, directory):
    free = "127.0.0.1:0"
    flags = [f"--{name}-listen={free}" for name in ("http", "tcp", "udp", "ops")]
    environment = dict(os.environ, NETBIT_LIMITS__RATES="false", NETBIT_LOG__FORMAT="text")
    command = [netbit, "serve", f"--data-dir={directory}/data", *flags]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
    for line in server.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return server, found.group(0)
    sys.exit("the server did not start")


def furnish(base):
    """Some of everything; answers a token."""
    for name in ("alice", "bob"):
        ask(base, "/api/users/register", {"username": name, "password": "correct horse"})
    token = ask(base, "/api/users/login", {"username": "alice", "password": "correct horse"})["token"]
    ask(base, "/api/projects/create", {"name": "website", "visibility": "public"}, token)
    ask(base, "/api/projects/alice/website/repos/create", {"name": "site"}, token)
    chat = ask(base, "/api/chats", {"kind": "group", "name": "team", "participants": ["bob"]}, token)["id"]
    ask(base, f"/api/chats/{chat}/messages", {"content": "Hello @bob"}, token)
    return token


def push(base, directory):
    """A commit, so that there is something to browse."""
    place = f"{directory}/work"
    git = lambda *arguments: subprocess.run(["git", "-C", place, *arguments], check=True, capture_output=True)
    subprocess.run(["git", "init", "-q", "-b", "main", place], check=True)
    os.makedirs(f"{place}/src")
    with open(f"{place}/src/main.rs", "w") as file:
        file.write("fn main() {}\n")
    git("add", ".")
    git("-c", "user.name=Alice", "-c", "user.email=alice@example.org", "commit", "-qm", "first")
    git("push", "-q", base.replace("//", "//alice:correct%20horse@") + "/alice/website/site.git", "main")


def main():
    netbit, schemathesis = sys.argv[1:3]
    examples = sys.argv[3] if len(sys.argv) > 3 else "15"
    with tempfile.TemporaryDirectory() as directory:
        server, base = start(os.path.abspath(netbit), directory)
        try:
            token = furnish(base)
            push(base, directory)
            common = [schemathesis, "run", f"{base}/api/openapi.json", f"--checks={CHECKS}", "--seed=1", "--no-color",
                      f"--max-examples={examples}", "--phases=examples,coverage,fuzzing", "--warnings=off",
                      "--generation-deterministic", "--continue-on-failure"]
            somebody = subprocess.run([*common, *ENDING, f"--header=Authorization:Bearer {token}"], cwd=directory)
            nobody = subprocess.run(common, cwd=directory)
            if server.poll() is not None:
                sys.exit("the server has ended")
            alive = ask(base, "/api/server")["name"]
            print(f"{alive} is alive; as somebody: {somebody.returncode}, as nobody: {nobody.returncode}")
            sys.exit(somebody.returncode or nobody.returncode)
        finally:
            server.terminate()
            server.wait(20)


main()
