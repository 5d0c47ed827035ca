#!/usr/bin/env python3
"""Compares a push of one commit to NetBit with a push to nginx with git http-backend.

    python3 scripts/measure/git_beside_nginx.py target/release/netbit [pushes]

Needs nginx, fcgiwrap, git and Python 3.9. Pushes to both in turn. Prints the median of each, and
the median of the ratios of consecutive pushes. NetBit authenticates a token; nginx has no users,
writes no event and syncs nothing.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

PASSWORD = "correct horse"


def post(base, path, body, token=None):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def main():
    program, count = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 31
    place = tempfile.mkdtemp(prefix="netbit-nginx-")
    running = []
    try:
        bare = os.path.join(place, "srv", "r.git")
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", bare], check=True)
        subprocess.run(["git", "-C", bare, "config", "http.receivepack", "true"], check=True)
        backend = os.path.join(subprocess.check_output(["git", "--exec-path"], text=True).strip(), "git-http-backend")
        temporary = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("fastcgi", "proxy", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        with open(os.path.join(place, "nginx.conf"), "w") as file:
            file.write(f"""
daemon off; worker_processes 1; pid {place}/pid; error_log {place}/log; {user}
events {{ worker_connections 256; }}
http {{ access_log off; client_max_body_size 0; client_body_temp_path {place}/body; {temporary}
  server {{ listen 127.0.0.1:18090; location / {{
    fastcgi_pass unix:{place}/cgi; include /etc/nginx/fastcgi_params;
    fastcgi_param SCRIPT_FILENAME {backend}; fastcgi_param GIT_PROJECT_ROOT {place}/srv;
    fastcgi_param GIT_HTTP_EXPORT_ALL ""; fastcgi_param PATH_INFO $uri; fastcgi_param REMOTE_USER a; }} }} }}
""")
        running.append(subprocess.Popen(["fcgiwrap", "-c", "2", "-s", f"unix:{place}/cgi"]))
        running.append(subprocess.Popen(["nginx", "-e", f"{place}/log", "-c", f"{place}/nginx.conf"]))
        listeners = [part for name in ("http", "tcp", "udp", "ops") for part in (f"--{name}-listen", "127.0.0.1:0")]
        quiet = dict(os.environ, NETBIT_LOG__LEVEL="error", NETBIT_LIMITS__RATES="false")
        server = subprocess.Popen([program, "--data-dir", f"{place}/data", *listeners], stdout=subprocess.PIPE,
                                  env=quiet, text=True)
        running.append(server)
        base = re.search(r"http://[\d.:]+", server.stdout.readline()).group(0)
        account = {"username": "alice", "password": PASSWORD}
        post(base, "/api/users/register", account)
        token = post(base, "/api/users/login", account)["token"]
        post(base, "/api/projects/create", {"name": "p"}, token)
        post(base, "/api/projects/alice/p/repos/create", {"name": "r"}, token)

        work = os.path.join(place, "work")
        subprocess.run(["git", "init", "--quiet", "-b", "main", work], check=True)
        git = ["git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0"]

        def push(url, options):
            begun = time.time()
            subprocess.run([*git, *options, "push", "--quiet", url, "main"], check=True, stderr=subprocess.DEVNULL)
            return (time.time() - begun) * 1000

        header = ["-c", f"http.extraHeader=Authorization: Bearer {token}"]
        theirs, ours = [], []
        for n in range(count):
            subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", str(n)], check=True)
            theirs.append(push("http://127.0.0.1:18090/r.git", []))
            ours.append(push(f"{base}/alice/p/r", header))
        ratio = statistics.median(own / other for own, other in zip(ours, theirs))
        print(f"nginx with http-backend {statistics.median(theirs):.1f} ms, NetBit {statistics.median(ours):.1f} ms, "
              f"ratio {ratio:.2f}")
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
