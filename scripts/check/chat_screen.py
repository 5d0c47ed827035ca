#!/usr/bin/env python3
"""Drives the full screen of `netbit chat` under tmux, as a user would, against a real server.

Usage: scripts/check/chat_screen.py NETBIT [SCREENS]

Types faster than the screen can be drawn, pastes 200 lines in three ways, resizes the terminal,
kills the server and the client with SIGKILL, and compares the messages of the server with the typed
ones: each exactly once and in order. Needs tmux. With SCREENS, writes screens into this folder.
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

PASSWORD = "correct horse battery"
PATIENCE = 120  # seconds for anything to happen


class Server:
    """The server process; `start` after `kill` uses the same directory and ports."""

    def __init__(self, netbit, folder):
        self.netbit, self.folder, self.process = netbit, folder, None
        self.http = self.tcp = "127.0.0.1:0"

    def start(self):
        listeners = [f"--http-listen={self.http}", f"--tcp-listen={self.tcp}"]
        listeners += ["--udp-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0"]
        command = [self.netbit, "serve", f"--data-dir={self.folder}/data", *listeners]
        environment = dict(os.environ, NETBIT_LOG__LEVEL="warn", NETBIT_ACCOUNTS__REGISTRATION="open")
        log = open(f"{self.folder}/server.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        for line in self.process.stdout:
            for word in line.replace("(", " ").replace(")", " ").split():
                if word.startswith("tcp://"):
                    self.tcp = word.removeprefix("tcp://")
                if word.startswith("http://") and self.http.endswith(":0"):
                    self.http = urllib.parse.urlsplit(word).netloc
            if "register" in line:
                break
        self.base = f"http://{self.http}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

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
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def group(self, name, *people):
        return self.ask("POST", "/api/chats", {"kind": "group", "name": name, "participants": people})["id"]

    def say(self, chat, text, **more):
        return self.ask("POST", f"/api/chats/{chat}/messages", {"content": text, **more})

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


def until(check, report):
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, report()
        time.sleep(0.05)


class Check:
    def __init__(self, netbit, folder, screens):
        self.netbit, self.folder, self.screens = netbit, pathlib.Path(folder), screens
        self.server = Server(netbit, folder)
        self.server.start()
        self.alice, self.bob = User(self.server, "alice"), User(self.server, "bob")
        (self.folder / "password").write_text(PASSWORD + "\n")
        self.environment = {
            "HOME": folder,
            "XDG_CONFIG_HOME": f"{folder}/config",
            "XDG_STATE_HOME": f"{folder}/state",
            "TZ": "UTC",
            "LANG": "C.UTF-8",
        }
        # The login is saved: no client asks for the password.
        login = [netbit, "login", self.server.base, "--user", "alice", "--password-file", f"{folder}/password"]
        subprocess.run(login, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, **self.environment))

    def open(self, width, height, *options):
        command = [self.netbit, "chat", "--server", self.server.base, *options]
        return Screen(width, height, command, self.environment)

    def keep(self, name, screen):
        if self.screens:
            text = "\n".join(line.rstrip() for line in screen.text().rstrip().split("\n"))
            (self.screens / f"{name}.txt").write_text(text + "\n")

    def compare(self, chat, typed):
        def contents():
            found = self.alice.messages(chat)
            return [message["content"] for message in found if message["content"] != "begin"]

        until(lambda: len(contents()) >= len(typed), lambda: f"{len(contents())} of {len(typed)} arrived")
        time.sleep(0.5)  # a doubled message would arrive later
        found = contents()
        assert found == typed, next((pair for pair in zip(found, typed) if pair[0] != pair[1]), len(found))

    def typed_ahead(self, width, height):
        """Everything is typed before the client has even connected."""
        chat = self.alice.group(f"ahead {width}", "bob")
        lines = [f"line {number} typed ahead" for number in range(40)]
        screen = self.open(width, height)
        screen.type(f"/open ahead {width}\r" + "".join(f"{line}\r" for line in lines))
        self.compare(chat, lines)
        screen.wait(lines[-1])
        screen.keys("C-q")
        until(screen.is_dead, screen.text)
        screen.end()

    def pastes(self, width, height):
        """200 lines, with and without bracketed paste, and 2,000 keys at once, through resizes."""
        name = f"paste {width}"
        chat = self.alice.group(name, "bob")
        screen = self.open(width, height)
        screen.wait(">")
        screen.type(f"/open {name}\r")
        lines = [f"pasted line {number}: {random.randrange(10**9)}" for number in range(200)]
        # Bracketed: one message.
        screen.paste("\n".join(lines), bracketed=True)
        screen.resize(40, 10)
        screen.keys("Enter")
        expected = ["\n".join(lines)]
        # Not bracketed: each line is a message.
        screen.paste("".join(f"{line}\n" for line in lines), bracketed=False)
        screen.resize(width, height)
        expected += lines
        # 2,000 keys at once.
        keys = [f"{number:04} " + "k" * 14 for number in range(100)]
        screen.type("".join(f"{line}\r" for line in keys))
        for size in ((60, 20), (20, 5), (1, 1), (200, 60), (width, height)):
            screen.resize(*size)
            time.sleep(0.1)
        expected += keys
        # Above 16 KiB: split after a question, nothing is lost.
        long = [f"long line {number:04} " + "x" * 60 for number in range(400)]
        screen.wait("0099 kkk")
        screen.paste("\n".join(long), bracketed=True)
        screen.wait("long line 0399")
        screen.keys("Enter")
        screen.wait("y/n")
        screen.keys("n")
        screen.wait("still here")
        screen.keys("Enter")
        screen.wait("y/n")
        screen.keys("y")
        until(lambda: len(self.alice.messages(chat)) > len(expected), screen.text)
        screen.gone("sending")
        parts = [message["content"] for message in self.alice.messages(chat)][len(expected) :]
        assert "\n".join(parts) == "\n".join(long) and all(len(part) <= 16384 for part in parts)
        self.compare(chat, expected + parts)
        screen.keys("C-q")
        until(screen.is_dead, screen.text)
        assert "pasted line" not in screen.text(), "the terminal was not restored"
        screen.end()

    def killed_server(self, width, height):
        """The server is killed between messages; the client goes on by itself."""
        name = f"crash {width}"
        chat = self.alice.group(name, "bob")
        self.alice.say(chat, "begin")
        screen = self.open(width, height)
        screen.wait(">")
        screen.type(f"/open {name}\r")
        screen.wait("begin")
        typed = []
        for round_number in range(3):
            for number in range(15):
                typed.append(f"round {round_number} message {number}")
                screen.type(typed[-1] + "\r")
                if number == 7:
                    self.server.kill()
            screen.wait("not connected")
            if round_number == 0:
                screen.wait("sending")
                self.keep(f"offline-{width}x{height}", screen)
            self.server.start()
            screen.keys("C-r")
            screen.gone("not connected")
        self.compare(chat, typed)
        screen.gone("sending")
        # The client is killed while its messages wait: they are sent at the next start.
        self.server.kill()
        screen.wait("not connected")
        for number in range(5):
            typed.append(f"kept on disk {number}")
            screen.type(typed[-1] + "\r")
        screen.type("a draft that is not sent")
        screen.wait("a draft that is not sent", "5 sending")
        time.sleep(0.6)  # drafts are saved within this time
        os.kill(screen.pid(), signal.SIGKILL)
        screen.end()
        screen = self.open(width, height)
        screen.wait("connect")
        self.server.start()
        screen.keys("C-r")
        screen.wait("a draft that is not sent", "kept on disk 4")
        self.compare(chat, typed)
        # The next check begins with an empty prompt.
        screen.keys("C-u")
        screen.gone("a draft that is not sent")
        time.sleep(0.6)
        # SIGTERM restores the terminal.
        os.kill(screen.pid(), signal.SIGTERM)
        until(screen.is_dead, screen.text)
        assert "kept on disk" not in screen.text(), "the terminal was not restored"
        screen.end()

    def tour(self, width, height):
        """Reply, edit, react, delete, thread, search, notifications, completion, other chats."""
        name = f"tour {width}"
        chat = self.bob.group(name, "alice")
        old = self.bob.say(chat, "a needle in the past")
        for number in range(300):
            self.bob.say(chat, f"history line {number} of bob")
        screen = self.open(width, height)
        screen.wait(">")
        screen.type(f"/open {name}\r")
        # The chat opens at the first unread message.
        screen.wait("New", "history line 0 of bob")
        screen.keys("C-End")
        screen.wait("history line 299")
        last = self.bob.say(chat, "hello @alice, look at `src/main.rs`")
        screen.wait("hello @alice")
        self.keep(f"chat-{width}x{height}", screen)
        # Reply to the selected message.
        screen.keys("Escape")
        screen.wait("r reply" if width > 60 else ">")
        self.keep(f"selected-{width}x{height}", screen)
        screen.keys("r")
        screen.wait("reply to bob")
        screen.type("I see it, thanks\r")
        until(lambda: self.alice.messages(chat)[-1].get("reply_to") == last["id"], screen.text)
        screen.wait("I see it, thanks ✓")
        # Edit the own message.
        screen.keys("Up", "e")
        screen.wait("editing")
        screen.keys("C-u")
        screen.type("I see it now\r")
        screen.wait("I see it now (edited)")
        # React to bob's message: the second Up.
        screen.keys("Up", "Up", "+")
        screen.wait("emoji>")
        screen.type(":tada:\r")
        screen.wait("🎉 alice")
        # The thread of the reply.
        screen.keys("t")
        screen.wait("Thread in")
        self.keep(f"thread-{width}x{height}", screen)
        screen.type("in the thread\r")
        until(lambda: self.alice.messages(chat)[-1].get("thread_id") == last["id"], screen.text)
        screen.wait("in the thread")
        screen.keys("Escape")
        # Delete the newest own message, after a question.
        screen.keys("Up", "d")
        screen.wait("Delete this message? y/n")
        screen.keys("y")
        screen.wait("(deleted)")
        screen.keys("Escape")
        # Search through the whole history, and back to the end.
        screen.keys("C-f")
        screen.wait("search>")
        screen.type("NEEDLE\r")
        screen.wait("a needle in the past")
        self.keep(f"search-{width}x{height}", screen)
        screen.keys("n")
        screen.wait("no older match")
        screen.keys("Escape")
        screen.wait("I see it now")
        # The beginning and the end.
        screen.keys("C-Home")
        screen.wait("beginning of the chat", "a needle in the past")
        screen.keys("C-End")
        screen.wait("I see it now")
        # Completion.
        screen.type("@bo")
        screen.keys("Tab")
        screen.wait("@bob")
        screen.type(":smil")
        screen.keys("Tab")
        screen.wait("😄" if width > 60 else "@bob")
        screen.keys("C-u")
        # Lines by keys.
        screen.type("one")
        screen.keys("M-Enter")
        screen.type("two")
        screen.keys("C-j")
        screen.type("three\r")
        until(lambda: self.alice.messages(chat)[-1]["content"] == "one\ntwo\nthree", screen.text)
        # Another chat mentions the user.
        other = self.bob.group(f"other {width}", "alice")
        self.bob.say(other, "@alice: over here")
        screen.keys("F2")
        screen.wait("Notifications", f"other {width}")
        self.keep(f"inbox-{width}x{height}", screen)
        screen.keys("Enter")
        screen.wait("over here")
        screen.keys("Escape")
        # Commands that change chats, with everything typed behind them at once.
        screen.type(f"/new \"made {width}\"\rfirst in the new chat\r/dm bob\rhello bob\r/open {name}\rback\r")
        until(lambda: self.alice.messages(chat)[-1]["content"] == "back", screen.text)
        chats = self.alice.ask("GET", "/api/chats?limit=100")["items"]
        made = next(item["id"] for item in chats if item.get("name") == f"made {width}")
        direct = next(item["id"] for item in chats if item["kind"] == "direct")
        assert [m["content"] for m in self.alice.messages(made)] == ["first in the new chat"]
        assert [m["content"] for m in self.alice.messages(direct)][-1] == "hello bob"
        # A chat that cannot be opened: the text typed behind the command is not sent anywhere.
        screen.type("/open nowhere\rnot for this chat\r")
        screen.wait("no chat in your list", "not for this chat")
        assert self.alice.messages(chat)[-1]["content"] == "back"
        screen.keys("C-c")
        screen.keys("F1")
        screen.wait("Alt-Up, Alt-Down")
        self.keep(f"help-{width}x{height}", screen)
        screen.keys("Escape")
        screen.type("/quit\r")
        until(screen.is_dead, screen.text)
        screen.end()
        assert old["seq"] < last["seq"]

    def run(self):
        for width, height in ((80, 24), (200, 50)):
            for check in (self.typed_ahead, self.tour, self.pastes, self.killed_server):
                began = time.monotonic()
                check(width, height)
                print(f"{check.__name__} at {width}x{height}: passed in {time.monotonic() - began:.1f} s", flush=True)
        self.tour(40, 10)
        print("tour at 40x10: passed")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    screens = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else None
    if screens:
        screens.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        check = Check(os.path.abspath(sys.argv[1]), folder, screens)
        try:
            check.run()
        finally:
            subprocess.run(["tmux", "-L", f"netbit-check-{os.getpid()}", "kill-server"], stderr=subprocess.DEVNULL)
            check.server.stop()


main()
