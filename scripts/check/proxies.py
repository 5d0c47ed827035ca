#!/usr/bin/env python3
"""Tests pushes, clones and WebSockets through real reverse proxies, with the files of packaging/.

    python3 scripts/check/proxies.py target/release/netbit [--mib 50]

Needs Linux, Python 3.9, git, openssl, and nginx, caddy or both. Prints the name of a proxy that is
not installed, and skips it. Starts a server and proxies on free ports of 127.0.0.1.

Tests through each proxy and with each credential: a push of random bytes, a clone with the same
bytes, and a push that is refused during its transfer, whose reason must reach the client. Tests
through the recipes also: the address in clone_url, and a WebSocket from a page of the proxy's
origin and of another origin. Fails if one of these fails. Times are printed only.
"""
import argparse
import base64
import hashlib
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

MIB = 1024 * 1024
PASSWORD = "correct horse"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GIT_PATIENCE = 300
# The certificates are created for this run only.
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname, UNCHECKED.verify_mode = False, ssl.CERT_NONE

NGINX = """
{user}daemon off; pid {place}/nginx.pid; error_log {place}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    upstream netbit {{ server {upstream}; }}
    server {{
        listen 127.0.0.1:{recipe} ssl;
        ssl_certificate {place}/certificate.pem; ssl_certificate_key {place}/key.pem;
        include {root}/packaging/nginx-location.conf;
    }}
    # The defaults of nginx, except for its limit of 1 MiB for bodies.
    server {{
        listen 127.0.0.1:{plain};
        client_max_body_size 0;
        location / {{ proxy_pass http://netbit; }}
    }}
}}
"""


def fail(story):
    sys.exit(f"FAILED: {story}")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(port):
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def call(url, body=None, token=None):
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, context=UNCHECKED, timeout=60) as answer:
        return json.load(answer)


def git(folder, *arguments, header=None, fails=False):
    environment = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", GIT_TERMINAL_PROMPT="0",
                       LC_ALL="C")
    settings = ["user.name=Proxy", "user.email=proxy@example.org", "http.sslVerify=false", "core.compression=0"]
    if header:
        settings.append(f"http.extraHeader={header}")
    command = ["git", *(word for setting in settings for word in ("-c", setting)), "-C", folder, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=GIT_PATIENCE)
    if (done.returncode != 0) != fails:
        fail(f"git {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def noise(path, size, seed):
    source = random.Random(seed)
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(source.randbytes(MIB))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def upgrade(base, origin):
    """Returns the status of a WebSocket handshake."""
    scheme, address = base.split("://")
    host, port = address.split(":")
    plain = socket.create_connection((host, int(port)), timeout=30)
    with plain, UNCHECKED.wrap_socket(plain, server_hostname=host) if scheme == "https" else plain as link:
        key = base64.b64encode(os.urandom(16)).decode()
        link.sendall(f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nOrigin: {origin}\r\n\r\n".encode())
        return int(link.recv(64).split()[1])


def start_proxies(place, upstream, running):
    """Starts the installed proxies; returns (name, base URL, whether it is a recipe)."""
    found = []
    if shutil.which("nginx"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
                        "-keyout", f"{place}/key.pem", "-out", f"{place}/certificate.pem"], check=True, capture_output=True)
        recipe, plain = free_port(), free_port()
        # As root, nginx changes to a user who cannot write here.
        user = "user root;\n" if os.geteuid() == 0 else ""
        with open(f"{place}/nginx.conf", "w") as file:
            file.write(NGINX.format(place=place, user=user, upstream=upstream, recipe=recipe, plain=plain, root=ROOT))
        running.append(subprocess.Popen(["nginx", "-e", f"{place}/nginx.log", "-c", f"{place}/nginx.conf"]))
        found += [("nginx, the recipe, TLS", f"https://127.0.0.1:{recipe}", True),
                  ("nginx, all defaults", f"http://127.0.0.1:{plain}", False)]
    else:
        print("SKIPPED: nginx is not installed")
    if shutil.which("caddy"):
        port = free_port()
        environment = dict(os.environ, NETBIT_SITE=f"http://127.0.0.1:{port}", NETBIT_UPSTREAM=upstream,
                           HOME=place, XDG_CONFIG_HOME=place, XDG_DATA_HOME=place, CADDY_ADMIN="off")
        # Caddy has one administration port for the machine. A file that includes the recipe
        # switches it off.
        with open(f"{place}/Caddyfile", "w") as file:
            file.write("{\n\tadmin off\n}\n" + f"import {ROOT}/packaging/Caddyfile\n")
        running.append(subprocess.Popen(
            ["caddy", "run", "--adapter", "caddyfile", "--config", f"{place}/Caddyfile"], env=environment,
            stderr=open(f"{place}/caddy.log", "w")))
        found.append(("Caddy, the recipe", f"http://127.0.0.1:{port}", True))
    else:
        print("SKIPPED: caddy is not installed")
    until = time.monotonic() + 30
    while not all(answers(int(base.rsplit(":", 1)[1])) for _, base, _ in found):
        if time.monotonic() > until:
            fail("a proxy does not listen after 30 s")
        time.sleep(0.05)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--mib", type=int, default=50)
    options = parser.parse_args()
    running = []
    with tempfile.TemporaryDirectory() as place:
        try:
            tried(options, place, running)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout=30)


def tried(options, place, running):
    free = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
    environment = dict(os.environ, NETBIT_HTTP__TRUSTED_PROXIES="127.0.0.1", NETBIT_LOG__LEVEL="warn",
                       NETBIT_LIMITS__GIT_UNPACKED_BYTES=str(1024 * MIB),
                       NETBIT_LIMITS__GIT_UNPACKED_RATIO="1")
    server = subprocess.Popen([os.path.abspath(options.program), *free, "--data-dir", f"{place}/data"],
                              stdout=subprocess.PIPE, env=environment, text=True)
    running.append(server)
    text = ""
    while "/readyz" not in text:
        line = server.stdout.readline()
        if not line:
            fail("the server ended before it was ready")
        text += line
    direct = re.search(r"(http://[\d.:]+)/api/", text).group(1)
    code = re.search(r"\b[A-Za-z0-9_-]{32,}\b", text)
    account = {"username": "ada", "password": PASSWORD}
    call(f"{direct}/api/users/register", dict(account, **({"setup_code": code.group(0)} if code else {})))
    token = call(f"{direct}/api/users/login", account)["token"]
    call(f"{direct}/api/projects/create", {"name": "p", "visibility": "public"}, token)
    access = call(f"{direct}/api/users/me/tokens", {"name": "git", "scopes": ["repo:write"], "password": PASSWORD}, token)["token"]
    basic = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    credentials = {"Basic": f"Authorization: Basic {basic}", "Bearer": f"Authorization: Bearer {access}"}

    git(place, "init", "--quiet", "-b", "main", "work")
    work = f"{place}/work"
    noise(f"{work}/random", options.mib * MIB, 7)
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "random bytes")
    wanted = digest(f"{work}/random")
    # A zip bomb: the server refuses it in the middle of the push, after some megabytes.
    git(work, "checkout", "--quiet", "-b", "bomb")
    noise(f"{work}/more", 8 * MIB, 8)
    with open(f"{work}/zeros", "wb") as file:
        file.truncate(1100 * MIB)
    git(work, "-c", "core.compression=1", "add", ".")
    git(work, "commit", "--quiet", "-m", "bomb")
    git(work, "checkout", "--quiet", "main")

    proxies = [("direct", direct, False), *start_proxies(place, server_address(direct), running)]
    for number, (name, base, recipe) in enumerate(proxies):
        for kind, header in credentials.items():
            repository = f"r{number}{kind.lower()}"
            made = call(f"{base}/api/projects/ada/p/repos/create", {"name": repository}, token)
            url = f"{base}/ada/p/{repository}"
            if recipe and made["clone_url"].removesuffix(".git") != url:
                fail(f"{name}: clone_url is {made['clone_url']}")
            begun = time.monotonic()
            git(work, "push", "--quiet", url, "main", header=header)
            pushed = time.monotonic()
            copy = f"{place}/copy"
            git(place, "clone", "--quiet", url, copy, header=header)
            cloned = time.monotonic()
            if digest(f"{copy}/random") != wanted:
                fail(f"{name}, {kind}: the clone differs from the push")
            shutil.rmtree(copy)
            told = git(work, "push", url, "bomb", header=header, fails=True)
            if "[remote rejected]" not in told:
                fail(f"{name}, {kind}: the client does not see the reason of the refusal:\n{told}")
            print(f"{name}, {kind}: push {pushed - begun:.1f} s, clone {cloned - pushed:.1f} s", flush=True)
        if recipe:
            for origin, status in ((base, 101), ("https://elsewhere.example", 403)):
                found = upgrade(base, origin)
                if found != status:
                    fail(f"{name}: a page of {origin} gets {found} for a WebSocket instead of {status}")


def server_address(base):
    return base.split("://")[1]


if __name__ == "__main__":
    main()
