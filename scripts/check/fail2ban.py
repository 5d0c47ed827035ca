#!/usr/bin/env python3
"""Tests the fail2ban filter of packaging/ with `fail2ban-regex`.

Usage: scripts/check/fail2ban.py NETBIT

Starts a server, sends logins with a wrong password from two addresses through a trusted proxy, and
runs `fail2ban-regex` over the log in both of its formats.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

FILTER = pathlib.Path(__file__).parent.parent.parent / "packaging" / "fail2ban-filter.conf"


def guess(base, address):
    body = json.dumps({"username": "alice", "password": "a wrong password"}).encode()
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
    request = urllib.request.Request(f"{base}/api/users/login", body, headers)
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        assert error.code == 401, error.code
        return
    raise AssertionError("a wrong password was accepted")


def trial(netbit, form):
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        environment = dict(os.environ, NETBIT_LOG__FORMAT=form, NETBIT_HTTP__TRUSTED_PROXIES="127.0.0.1")
        listeners = [f"--{name}-listen=127.0.0.1:0" for name in ("http", "tcp", "udp", "ops")]
        with open(log, "w") as stderr:
            command = [netbit, "serve", f"--data-dir={folder}/data", *listeners]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        try:
            base = server.stdout.readline().split()[-1].removesuffix("/api/users/register")
            for address in ("203.0.113.7", "203.0.113.7", "2001:db8::7"):
                guess(base, address)
        finally:
            server.terminate()
            server.communicate(timeout=30)
        command = ["fail2ban-regex", "--out", "ip", str(log), str(FILTER)]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        assert found == ["203.0.113.7", "203.0.113.7", "2001:db8::7"], (form, found)
        print(f"log.format = {form}: {found}")


for form in ("json", "text"):
    trial(os.path.abspath(sys.argv[1]), form)
