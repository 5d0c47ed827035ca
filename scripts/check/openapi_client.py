#!/usr/bin/env python3
"""Tests a client that a generator creates from the OpenAPI document.

    python3 scripts/check/openapi_client.py target/release/netbit DIRECTORY [REDOCLY]

DIRECTORY is the bin folder of a virtual environment with openapi-spec-validator and
openapi-python-client. REDOCLY is the program of @redocly/cli; its errors fail the run. Starts a
server on free ports of 127.0.0.1, validates /api/openapi.json, and checks it for duplicate
operation ids and empty descriptions. Then generates a client, which registers a user, logs in,
creates a chat and lists it. Fails if one of these fails, or if the generator omitted an operation.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

SESSION = '''
import sys
sys.path.insert(0, sys.argv[1])
from net_bit_client import AuthenticatedClient, Client
from net_bit_client.api.accounts import log_in, register_user
from net_bit_client.api.chats import create_chat, list_chats
from net_bit_client.models import LoginBody, NewChat, RegisterBody

base = sys.argv[2]
anonymous = Client(base_url=base)
account = {"username": "ada", "password": "correct horse"}
assert register_user.sync_detailed(client=anonymous, body=RegisterBody.from_dict(account)).status_code == 201
login = log_in.sync(client=anonymous, body=LoginBody.from_dict(account))
client = AuthenticatedClient(base_url=base, token=login.token)
chat = {"kind": "group", "name": "generated", "participants": []}
made = create_chat.sync_detailed(client=client, body=NewChat.from_dict(chat))
assert made.status_code == 201, made
listed = list_chats.sync(client=client, limit=10)
assert [item.name for item in listed.items] == ["generated"], listed
print("a generated client listed", len(listed.items), "chat")
'''


def main(program, tools, redocly=None):
    free = [word for name in ("http", "tcp", "udp", "ops") for word in (f"--{name}-listen", "127.0.0.1:0")]
    with tempfile.TemporaryDirectory() as place:
        server = subprocess.Popen([os.path.abspath(program), *free, "--data-dir", f"{place}/data"],
                                  stdout=subprocess.PIPE, text=True,
                                  env=dict(os.environ, NETBIT_LOG__LEVEL="warn"))
        try:
            text = ""
            while "/readyz" not in text:
                line = server.stdout.readline()
                if not line:
                    sys.exit("the server ended before it was ready")
                text += line
            base = re.search(r"(http://[\d.:]+)/api/", text).group(1)
            tried(base, place, tools, redocly)
        finally:
            server.terminate()
            server.wait(timeout=30)


def tried(base, place, tools, redocly):
    path = f"{place}/openapi.json"
    with urllib.request.urlopen(f"{base}/api/openapi.json") as answer, open(path, "wb") as file:
        file.write(answer.read())
    subprocess.run([f"{tools}/openapi-spec-validator", path], check=True)
    if redocly:
        environment = dict(os.environ, REDOCLY_TELEMETRY="off", CI="1")
        subprocess.run([redocly, "lint", path, "--format=summary"], check=True, env=environment)
    with open(path) as file:
        described = json.load(file)
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    if len(set(ids)) != len(ids):
        sys.exit(f"duplicate operation ids: {sorted(one for one in ids if ids.count(one) > 1)}")
    empty = [operation["operationId"] for operation in operations
             for response in operation["responses"].values() if not response["description"]]
    if empty:
        sys.exit(f"responses have no description: {empty}")
    generated = subprocess.run([f"{tools}/openapi-python-client", "generate", "--path", path, "--output-path",
                                f"{place}/client"], capture_output=True, text=True)
    if generated.returncode != 0:
        sys.exit(f"the generator failed:\n{generated.stdout}{generated.stderr}")
    made = {name for _, _, names in os.walk(f"{place}/client/net_bit_client/api") for name in names}
    missing = [one for one in ids if f"{one}.py" not in made]
    if missing:
        sys.exit(f"the generator omitted operations: {missing}\n{generated.stdout}")
    with open(f"{place}/session.py", "w") as file:
        file.write(SESSION)
    subprocess.run([f"{tools}/python", f"{place}/session.py", f"{place}/client", base], check=True)
    print(f"{len(ids)} operations, all of them in the generated client")


if __name__ == "__main__":
    main(*sys.argv[1:])
