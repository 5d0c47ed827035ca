#!/usr/bin/env python3
"""Tests a server against its OpenAPI document, with valid and invalid requests.

Usage: scripts/check/contract.py NETBIT SCHEMATHESIS [EXAMPLES]

Starts NETBIT on an empty directory, creates an object of each kind, and runs SCHEMATHESIS
(https://schemathesis.io) on /api/openapi.json: with a login, and without one. Fails on a status
above 499, and on a status, a content type or a body that the document does not describe. EXAMPLES
is the number of generated requests for each operation.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Excluded with a login, because they end the login that all other requests use.
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
    sys.exit("the server ended before it was ready")


def furnish(base):
    """Creates users, a project, a repository, a chat and a message; returns a token."""
    for name in ("alice", "bob"):
        ask(base, "/api/users/register", {"username": name, "password": "correct horse"})
    token = ask(base, "/api/users/login", {"username": "alice", "password": "correct horse"})["token"]
    ask(base, "/api/projects/create", {"name": "website", "visibility": "public"}, token)
    ask(base, "/api/projects/alice/website/repos/create", {"name": "site"}, token)
    chat = ask(base, "/api/chats", {"kind": "group", "name": "team", "participants": ["bob"]}, token)["id"]
    ask(base, f"/api/chats/{chat}/messages", {"content": "Hello @bob"}, token)
    return token


def push(base, directory):
    """Pushes a commit, so that the repository can be browsed."""
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
            with_login = subprocess.run([*common, *ENDING, f"--header=Authorization:Bearer {token}"], cwd=directory)
            without_login = subprocess.run(common, cwd=directory)
            if server.poll() is not None:
                sys.exit("the server has ended")
            alive = ask(base, "/api/server")["name"]
            print(f"{alive} is alive; exit codes: {with_login.returncode} with a login, {without_login.returncode} without")
            sys.exit(with_login.returncode or without_login.returncode)
        finally:
            server.terminate()
            server.wait(20)


main()
