"""Starts the servers that the chart would start, and uses them as one cluster.

    chart_servers.py NETBIT RENDERED.yaml POSTGRES_URL

Each server gets the arguments, the environment and the configuration of the rendered StatefulSet.
Three things differ: listeners have free ports of 127.0.0.1 and the following addresses, the data
directory is a temporary one, and the database is a new one of the server at POSTGRES_URL.

If Caddy is installed, a client writes and reads through it, with packaging/Caddyfile-cluster, while
all servers are restarted one after the other. It must get no error other than 503 with Retry-After,
and each acknowledged message must be there once.

Needs Linux, Python 3.9, PyYAML, psql and perhaps caddy.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

import yaml

PATIENCE = 60
PASSWORD = "correct horse battery"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def documents(path):
    with open(path) as file:
        return [one for one in yaml.safe_load_all(file) if one]


def only(rendered, kind, name=None):
    found = [one for one in rendered if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def environment(container, rendered, pod):
    """Returns the variables of the container as Kubernetes would set them."""
    variables = {}
    for variable in container["env"]:
        source = variable.get("valueFrom")
        if source is None:
            value = re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], variable["value"])
        elif "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.name", source
            value = pod
        else:
            reference = source["secretKeyRef"]
            value = only(rendered, "Secret", reference["name"])["stringData"][reference["key"]]
        variables[variable["name"]] = value
    return variables


class Server:
    def __init__(self, binary, rendered, ordinal, folder, database, ports):
        stateful = only(rendered, "StatefulSet")
        container = stateful["spec"]["template"]["spec"]["containers"][0]
        self.name = f"{stateful['metadata']['name']}-{ordinal}"
        variables = environment(container, rendered, self.name)
        assert variables["NETBIT_DATABASE"].startswith("postgres://"), variables
        variables["NETBIT_DATABASE"] = database
        variables["NETBIT_LOG__LEVEL"] = "warn"
        config = os.path.join(folder, "netbit.toml")
        text = only(rendered, "ConfigMap")["data"]["netbit.toml"]
        with open(config, "w") as file:
            file.write(text)
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        arguments = [config if argument == "/etc/netbit/netbit.toml" else argument for argument in container["args"]]
        assert "/etc/netbit" in mounts and config in arguments, (mounts, arguments)
        assert re.search(r'^data_dir = "/data/', text, re.M) and "/data" in mounts
        arguments += ["--data-dir", os.path.join(folder, "data")]
        self.address = f"127.0.0.{ordinal + 1}"
        for listener, port in ports.items():
            arguments += [f"--{listener}-listen", f"{self.address}:{port}"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NETBIT_")}
        self.command, self.environment = [binary, *arguments], {**clean, **variables}
        self.paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")]
        self.log = open(os.path.join(folder, "log"), "w+")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        greeting = ""
        while "/readyz" not in greeting:
            line = self.process.stdout.readline()
            assert line, f"{self.name} ended:\n{self.errors()}"
            greeting += line
        self.ops = re.search(r"(http://\S+)/readyz", greeting)[1]
        self.url = re.search(r"(http://127\.\S+?)/api/users/register", greeting)[1]
        self.setup = re.search(r"setup#code=(\S+)", greeting)

    def errors(self):
        self.log.seek(0)
        return self.log.read()

    def status(self, path):
        try:
            with urllib.request.urlopen(self.ops + path, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def request(self, method, path, body=None, token=None):
        return call(self.url, method, path, body, token)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.errors()


def call(base, method, path, body=None, token=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Client(threading.Thread):
    """Writes messages through the proxy and reads each of them."""

    def __init__(self, base, chat, token):
        super().__init__()
        self.base, self.path, self.token = base, f"/api/chats/{chat}/messages", token
        self.written, self.refused, self.errors, self.ends = [], 0, [], False

    def attempt(self, method, path, body=None):
        """Returns the answer, or None after a refusal that may be repeated."""
        try:
            return call(self.base, method, path, body, self.token)
        except urllib.error.HTTPError as error:
            if error.code == 503 and error.headers.get("retry-after"):
                self.refused += 1
            else:
                self.errors.append(f"{method} {path}: {error.code} {error.read()[:200]}")
        except OSError as error:
            self.errors.append(f"{method} {path}: {error}")
        return None

    def run(self):
        while not self.ends:
            content = f"message {len(self.written)}"
            body = {"content": content, "client_id": str(uuid.uuid4())}
            sent = None
            while sent is None and len(self.errors) < 10:
                sent = self.attempt("POST", self.path, body)
            if sent is None:
                return
            self.written.append((sent["seq"], content))
            page = self.attempt("GET", f"{self.path}?after_seq={sent['seq'] - 1}&limit=1")
            # Another node may be some milliseconds behind: then the page is empty.
            if page and page["items"] and page["items"][0]["content"] != content:
                self.errors.append(f"{sent} was read as {page}")
            time.sleep(0.02)


def restart_all(servers, ports, folder, chat, token):
    """Restarts the servers one after the other, behind Caddy."""
    port = free_port()
    environment = {
        **os.environ,
        "NETBIT_SITE": f"http://127.0.0.1:{port}",
        "NETBIT_UPSTREAMS": " ".join(f"{server.address}:{ports['http']}" for server in servers),
        "NETBIT_HEALTH_PORT": str(ports["ops"]),
    }
    config = os.path.join(folder, "Caddyfile")
    with open(config, "w") as file:
        file.write("{\n\tadmin off\n}\n" + f"import {ROOT}/packaging/Caddyfile-cluster\n")
    log = open(os.path.join(folder, "caddy.log"), "w")
    command = ["caddy", "run", "--config", config, "--adapter", "caddyfile"]
    caddy = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    client = Client(base, chat, token)
    try:
        eventually("Caddy serves", lambda: reaches(base, token))
        client.start()
        for server in servers:
            before = len(client.written)
            server.stop()
            server.start()
            eventually(f"{server.name} is ready again", lambda: server.status("/readyz") == 200)
            eventually("writes go on", lambda: len(client.written) > before + 5 or client.errors)
        client.ends = True
        client.join()
    finally:
        client.ends = True
        caddy.terminate()
        caddy.wait()
        log.close()
    assert not client.errors, client.errors
    stored, after = [], 0
    while True:
        page = servers[0].request("GET", f"/api/chats/{chat}/messages?after_seq={after}&limit=100", token=token)
        items = [message for message in page["items"] if message["seq"] > after]
        if not items:
            break
        stored += [(message["seq"], message["content"]) for message in items]
        after = max(seq for seq, _ in stored)
    stored = [one for one in sorted(stored) if one[1].startswith("message ")]
    assert stored == client.written, (len(stored), len(client.written))
    print(f"chart: {len(stored)} messages through Caddy while each server restarted, {client.refused} refused once")


def reaches(base, token):
    try:
        return call(base, "GET", "/api/users/me", token=token)["username"] == "ada"
    except OSError:
        return False


def eventually(what, attempt):
    until = time.monotonic() + PATIENCE
    while not attempt():
        assert time.monotonic() < until, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)


def main(binary, path, postgres):
    rendered = documents(path)
    name = f"netbit_chart_{os.getpid()}"
    psql = ["psql", "-X", "-q", "-d", postgres, "-c"]
    subprocess.run([*psql, f"CREATE DATABASE {name}"], check=True)
    database = postgres.rsplit("/", 1)[0] + "/" + name
    folder, servers = tempfile.mkdtemp(prefix="netbit-chart-"), []
    ports = {listener: free_port() for listener in ("http", "tcp", "udp", "ops")}
    try:
        for ordinal in range(only(rendered, "StatefulSet")["spec"]["replicas"]):
            place = os.path.join(folder, str(ordinal))
            os.mkdir(place)
            servers.append(Server(binary, rendered, ordinal, place, database, ports))
        for server in servers:
            for probe in server.paths:
                eventually(f"{server.name} {probe}", lambda: server.status(probe) == 200)
        first, second, third = servers
        account = {"username": "ada", "password": PASSWORD, "setup_code": first.setup[1]}
        first.request("POST", "/api/users/register", account)
        login = first.request("POST", "/api/users/login", {"username": "ada", "password": PASSWORD})
        token = login["token"]
        team = {"kind": "group", "name": "team", "participants": []}
        chat = first.request("POST", "/api/chats", team, token)["id"]
        sent = first.request("POST", f"/api/chats/{chat}/messages", {"content": "over the chart"}, token)
        for server in (second, third):
            def reads():
                page = server.request("GET", f"/api/chats/{chat}/messages", token=token)
                return [message["id"] for message in page["items"]] == [sent["id"]]
            eventually(f"{server.name} reads the message", reads)
        top = ["top", "--once", "--json", "--ops", ",".join(server.ops.split("//")[1] for server in servers)]

        def shows_all():
            shown = json.loads(subprocess.run([binary, *top], check=True, capture_output=True).stdout)
            assert shown["sum"]["answering"] == len(servers), shown["sum"]
            commits = [node["view"]["commits"] for node in shown["nodes"]]
            # Each node counts the others every 5 s.
            return all(one["nodes"] == 3 and one["applied"] == shown["sum"]["applied"] for one in commits)

        eventually("netbit top shows three nodes that are not behind", shows_all)
        if shutil.which("caddy"):
            restart_all(servers, ports, folder, chat, token)
            sent = first.request("POST", f"/api/chats/{chat}/messages", {"content": "after all"}, token)
        else:
            print("SKIPPED: caddy is not installed here")
        # A node that ends drains first: it is alive and not ready, and serves.
        third.process.send_signal(signal.SIGTERM)
        eventually("draining", lambda: third.status("/readyz") == 503)
        assert third.status("/livez") == 200
        assert third.request("GET", f"/api/chats/{chat}/messages", token=token)["items"]
        assert third.process.wait(PATIENCE) == 0, third.errors()
        again = second.request("POST", f"/api/chats/{chat}/messages", {"content": "without the third"}, token)
        newest = f"/api/chats/{chat}/messages?limit=1"
        eventually("the first node reads", lambda: (
            first.request("GET", newest, token=token)["items"][0]["id"] == again["id"]))
        assert again["seq"] > sent["seq"]
        first.stop()
        second.stop()
        print(f"chart: {len(servers)} servers ran as one cluster")
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
            server.log.close()
        subprocess.run([*psql, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
