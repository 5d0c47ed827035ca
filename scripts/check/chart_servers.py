"""Starts the servers that the chart would start, and uses them as one cluster.

    chart_servers.py NETBIT RENDERED.yaml POSTGRES_URL

Each server gets the arguments, the environment and the configuration of the rendered StatefulSet.
Three things differ: listeners have free ports of 127.0.0.1, the data directory is a temporary one,
and the database is a new one of the server at POSTGRES_URL. Needs psql.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

PATIENCE = 60
PASSWORD = "correct horse battery"


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
    def __init__(self, binary, rendered, ordinal, folder, database):
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
        for listener in ("http", "tcp", "udp", "ops"):
            arguments += [f"--{listener}-listen", "127.0.0.1:0"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NETBIT_")}
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen(
            [binary, *arguments], env={**clean, **variables}, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        greeting = ""
        while "/readyz" not in greeting:
            line = self.process.stdout.readline()
            assert line, f"{self.name} ended:\n{self.errors()}"
            greeting += line
        self.ops = re.search(r"(http://\S+)/readyz", greeting)[1]
        self.url = re.search(r"(http://127\.\S+?)/api/users/register", greeting)[1]
        self.setup = re.search(r"setup#code=(\S+)", greeting)
        self.paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")]

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
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


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
    try:
        for ordinal in range(only(rendered, "StatefulSet")["spec"]["replicas"]):
            place = os.path.join(folder, str(ordinal))
            os.mkdir(place)
            servers.append(Server(binary, rendered, ordinal, place, database))
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
        # A node that ends drains first: it is alive and not ready, and serves.
        third.process.send_signal(signal.SIGTERM)
        eventually("draining", lambda: third.status("/readyz") == 503)
        assert third.status("/livez") == 200
        assert third.request("GET", f"/api/chats/{chat}/messages", token=token)["items"]
        assert third.process.wait(PATIENCE) == 0, third.errors()
        again = second.request("POST", f"/api/chats/{chat}/messages", {"content": "without the third"}, token)
        eventually("the first node reads", lambda: len(
            first.request("GET", f"/api/chats/{chat}/messages", token=token)["items"]) == 2)
        assert again["seq"] > sent["seq"]
        for server in (first, second):
            server.process.send_signal(signal.SIGTERM)
        for server in (first, second):
            assert server.process.wait(PATIENCE) == 0, server.errors()
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
