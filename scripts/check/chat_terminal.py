"""A server of NetBit, its users, and terminals of tmux, for the checks in this folder."""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import time
import urllib.parse
import urllib.request

PASSWORD = "correct horse battery"
PATIENCE = 60  # seconds for anything to happen


class Server:
    """The server process; `start` after `kill` uses the same directory and ports."""

    def __init__(self, netbit, folder, certificate=None):
        self.netbit, self.folder, self.process = netbit, pathlib.Path(folder), None
        self.http = self.tcp = "127.0.0.1:0"
        self.certificate = certificate

    def start(self):
        listeners = [f"--http-listen={self.http}", f"--tcp-listen={self.tcp}"]
        listeners += ["--udp-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0"]
        command = [self.netbit, "serve", f"--data-dir={self.folder}/data", *listeners]
        environment = dict(os.environ, NETBIT_LOG__LEVEL="warn", NETBIT_ACCOUNTS__REGISTRATION="open")
        scheme = "http"
        if self.certificate:
            files, scheme = self.certificate, "https"
            environment |= {"NETBIT_TLS__CERTIFICATE": str(files[0]), "NETBIT_TLS__KEY": str(files[1])}
        log = open(f"{self.folder}/server.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        for line in self.process.stdout:
            for word in line.replace("(", " ").replace(")", " ").split():
                if word.startswith("tcp://"):
                    self.tcp = word.removeprefix("tcp://")
                if word.startswith(f"{scheme}://") and self.http.endswith(":0"):
                    self.http = urllib.parse.urlsplit(word).netloc
            if "register" in line:
                break
        self.base = f"{scheme}://{self.http}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def freeze(self):
        """Stops the process: it reads and answers nothing, but its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


class User:
    def __init__(self, server, name):
        self.server, self.name, self.token = server, name, None
        body = {"username": name, "password": PASSWORD}
        self.ask("POST", "/api/users/register", body)
        self.token = self.ask("POST", "/api/users/login", body)["token"]

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server.base + path, content, headers, method=method)
        trust = None
        if self.server.certificate:
            trust = ssl.create_default_context(cafile=self.server.certificate[0])
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def group(self, name, *people):
        return self.ask("POST", "/api/chats", {"kind": "group", "name": name, "participants": people})["id"]

    def say(self, chat, text, **more):
        return self.ask("POST", f"/api/chats/{chat}/messages", {"content": text, **more})

    def found(self, query):
        return self.ask("GET", f"/api/search?in=messages&q={urllib.parse.quote(query)}")["messages"]["hits"]

    def messages(self, chat):
        found, after = [], 0
        while True:
            page = self.ask("GET", f"/api/chats/{chat}/messages?limit=100&after_seq={after}")
            found += page["items"]
            if not page["items"]:
                return found
            after = page["items"][-1]["seq"]


class Screen:
    """A terminal of tmux that runs a command."""

    count = 0

    def __init__(self, width, height, command, environment):
        Screen.count += 1
        self.name = f"netbit-chat-{os.getpid()}-{Screen.count}"
        settings = [f"{key}={value}" for key, value in environment.items()]
        shell = ["env", *settings, *command]
        self.tmux("new-session", "-d", "-s", self.name, "-x", str(width), "-y", str(height), *shell)
        self.tmux("set-option", "-t", self.name, "remain-on-exit", "on")

    @staticmethod
    def tmux(*arguments, **options):
        command = ["tmux", "-L", f"netbit-check-{os.getpid()}", "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout

    def text(self):
        return self.tmux("capture-pane", "-p", "-t", self.name)

    def history(self):
        """Returns the screen without its title and without the list of chats at the left."""
        return [line.split("│", 1)[-1] for line in self.text().split("\n")[1:]]

    def whole(self):
        """Returns the screen with the lines that have left it at the top."""
        return self.tmux("capture-pane", "-p", "-S", "-", "-t", self.name)

    def styled(self):
        """Returns the screen with its colours as escape sequences."""
        return self.tmux("capture-pane", "-p", "-e", "-t", self.name)

    def record(self, file):
        """Copies everything that the client writes from now on into a file."""
        # The shell that tmux starts for it may be late.
        file.touch()
        self.tmux("pipe-pane", "-t", self.name, f"cat >> {file}")

    def send(self, number):
        os.kill(self.pid(), number)

    def keys(self, *names):
        self.tmux("send-keys", "-t", self.name, *names)

    def type(self, text):
        """Sends text in one go, as fast as tmux can."""
        for at in range(0, len(text), 4000):
            self.tmux("send-keys", "-t", self.name, "-l", text[at : at + 4000])

    def paste(self, text, bracketed):
        self.tmux("load-buffer", "-b", "typed", "-", input=text)
        self.tmux("paste-buffer", "-d", "-b", "typed", "-t", self.name, *(["-p"] if bracketed else []))

    def resize(self, width, height):
        self.tmux("resize-window", "-t", self.name, "-x", str(width), "-y", str(height))

    def pid(self):
        return int(self.tmux("display-message", "-p", "-t", self.name, "#{pane_pid}"))

    def is_dead(self):
        return self.tmux("display-message", "-p", "-t", self.name, "#{pane_dead}").strip() == "1"

    def wait(self, *texts):
        until(lambda: all(text in self.text() for text in texts), lambda: f"{texts} not in:\n{self.text()}")

    def gone(self, text):
        until(lambda: text not in self.text(), lambda: f"{text!r} still in:\n{self.text()}")

    def end(self):
        self.tmux("kill-session", "-t", self.name)


def until(check, report=lambda: "nothing happened"):
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, report()
        time.sleep(0.05)
