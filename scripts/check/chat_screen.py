#!/usr/bin/env python3
"""Drives the full screen of `netbit chat` under tmux, as a user would, against a real server.

Usage: scripts/check/chat_screen.py NETBIT [SCREENS]

Types faster than the screen can be drawn, pastes 200 lines in three ways, resizes the terminal,
stops and continues the client, kills the server and the client with SIGKILL, and compares the
messages of the server with the typed ones: each exactly once and in order. Uses the mouse, TLS, and
every command that changes chats. Needs tmux, and openssl for TLS. With SCREENS, writes screens into
this folder.
"""
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from chat_terminal import PASSWORD, Screen, Server, User, until

# Colours of the foreground or the background in the escape sequences of a screen.
COLOURS = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|[34]8;5;[0-9]+)(?:;[0-9;]*)?m")


class Check:
    def __init__(self, netbit, folder, screens, certificate=None):
        self.netbit, self.folder, self.screens = netbit, pathlib.Path(folder), screens
        self.server = Server(netbit, folder, certificate)
        self.server.start()
        self.trust = ["--ca", str(certificate[0])] if certificate else []
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
        subprocess.run(login + self.trust, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, **self.environment))

    def open(self, width, height, *options, **environment):
        command = [self.netbit, "chat", "--server", self.server.base, *self.trust, *options]
        return Screen(width, height, command, self.environment | environment)

    def opened(self, name, width, height, *options, **environment):
        """Returns a client with an open chat."""
        screen = self.open(width, height, *options, **environment)
        screen.wait(">")
        screen.type(f"/open {name}\r")
        screen.wait(f"{name}>")
        return screen

    def quit(self, screen):
        screen.keys("C-q")
        until(screen.is_dead, screen.text)
        text = screen.whole()
        screen.end()
        return text

    def kept(self):
        """Returns the files of unsent messages and drafts."""
        files = (self.folder / "state" / "netbit").glob("chat-*.json")
        return "".join(file.read_text() for file in files)

    def keep(self, name, screen):
        if self.screens:
            text = "\n".join(line.rstrip() for line in screen.text().rstrip().split("\n"))
            (self.screens / f"{name}.txt").write_text(text + "\n")

    def compare(self, chat, typed):
        def contents():
            found = self.alice.messages(chat)
            return [message["content"] for message in found if message["content"] != "begin"]

        until(lambda: len(contents()) >= len(typed), lambda: f"{len(contents())} of {len(typed)} arrived")
        found = contents()
        assert found == typed, next((pair for pair in zip(found, typed) if pair[0] != pair[1]), len(found))

    def compare_behind(self, screen, chat, typed):
        """Compares the messages when a further one, typed behind them, has arrived."""
        fence = f"fence {random.randrange(10**9)}"
        screen.type(fence + "\r")
        typed.append(fence)
        self.compare(chat, typed)

    def fence(self, screen, chat, text):
        """Waits for a message of bob: every event before it has arrived."""
        self.bob.say(chat, text)
        screen.wait(f"│ {text}")

    def typed_ahead(self, width, height):
        """Everything is typed before the client has even connected."""
        chat = self.alice.group(f"ahead {width}", "bob")
        lines = [f"line {number} typed ahead" for number in range(40)]
        screen = self.open(width, height)
        screen.type(f"/open ahead {width}\r" + "".join(f"{line}\r" for line in lines))
        self.compare_behind(screen, chat, lines)
        screen.wait(lines[-1])
        self.quit(screen)

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
        # Above 1 MiB: refused, and no part of it is executed.
        screen.paste("/quit\n" * 200_000, bracketed=True)
        screen.wait("larger than 1 MiB")
        # Text on a selected message, and a click in the form of X10, act on nothing.
        screen.keys("S-Up")
        screen.wait(">")
        screen.type("perhaps")
        screen.wait("> perhaps")
        screen.type("\x1b[M !!")
        screen.keys("C-u")
        expected += parts
        self.compare_behind(screen, chat, expected)
        assert "pasted line" not in self.quit(screen), "the terminal was not restored"

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
        self.compare_behind(screen, chat, typed)
        screen.gone("sending")
        # The client is killed while its messages wait: they are sent at the next start.
        self.server.kill()
        screen.wait("not connected")
        for number in range(5):
            typed.append(f"kept on disk {number}")
            screen.type(typed[-1] + "\r")
        screen.type("a draft that is not sent")
        screen.wait("a draft that is not sent", "5 sending")
        until(lambda: "a draft that is not sent" in self.kept(), self.kept)
        screen.send(signal.SIGKILL)
        screen.end()
        screen = self.open(width, height)
        screen.wait("connect")
        self.server.start()
        screen.keys("C-r")
        screen.wait("a draft that is not sent", "kept on disk 4")
        screen.keys("C-u")
        screen.gone("a draft that is not sent")
        self.compare_behind(screen, chat, typed)
        # The server is stopped, not gone: a message is on disk before it is sent.
        self.server.freeze()
        typed.append("written before it is sent")
        screen.type(typed[-1] + "\r")
        screen.wait("written before it is sent …")
        until(lambda: typed[-1] in self.kept(), self.kept)
        screen.send(signal.SIGKILL)
        screen.end()
        self.server.thaw()
        screen = self.opened(name, width, height)
        screen.wait("written before it is sent ✓")
        self.compare_behind(screen, chat, typed)
        # At the end, the client prints what it keeps, and where. A signal restores the terminal.
        for number, draft in ((signal.SIGTERM, "draft for TERM"), (signal.SIGHUP, "draft for HUP")):
            screen.type(draft)
            screen.wait(draft)
            screen.send(number)
            until(screen.is_dead, screen.text)
            text = screen.whole()
            assert "1 draft is kept for the next start" in text and "they are in" in text, text
            assert "kept on disk" not in text, "the terminal was not restored"
            screen.end()
            screen = self.open(width, height)
            screen.wait(draft)
            screen.keys("C-u")
            screen.gone(draft)
        self.quit(screen)

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
        screen.wait("r reply" if width > 60 else "select>")
        self.keep(f"selected-{width}x{height}", screen)
        screen.keys("r")
        screen.wait("reply to bob")
        screen.type("I see it, thanks\r")
        until(lambda: self.alice.messages(chat)[-1].get("reply_to") == last["id"], screen.text)
        screen.wait("I see it, thanks ✓")
        # Edit the own message.
        self.fence(screen, chat, "noted")
        screen.keys("S-Up", "Up", "e")
        screen.wait("editing")
        screen.keys("C-u")
        screen.type("I see it now\r")
        screen.wait("I see it now (edited)")
        # React to bob's message: the third Up.
        screen.keys("S-Up", "Up", "Up", "+")
        screen.wait("emoji>")
        screen.type(":tada:\r")
        screen.wait("🎉 alice")
        # The thread of the reply.
        screen.keys("t")
        screen.wait("Thread in", "I see it now")
        self.keep(f"thread-{width}x{height}", screen)
        screen.type("in the thread\r")
        until(lambda: self.alice.messages(chat)[-1].get("thread_id") == last["id"], screen.text)
        screen.wait("in the thread")
        screen.keys("Escape")
        # Delete the newest own message, after a question.
        self.fence(screen, chat, "read")
        screen.keys("S-Up", "Up", "d")
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
        # Search in all chats: the list, a jump, the list again, and a number of it.
        other = self.bob.group(f"other tour {width}", "alice")
        self.bob.say(other, "a needle elsewhere")
        query = f"needle in:!{chat} in:!{other}"
        until(lambda: len(self.alice.found(query)) == 2, screen.text)
        screen.type(f"/search {query}\r")
        screen.wait("Found for", f"[{name}] bob:", f"[other tour {width}] bob:")
        self.keep(f"found-{width}x{height}", screen)
        screen.keys("Down", "Enter")
        screen.wait("a needle in the past", "history line 0 of bob", f"{name}>")
        screen.type("/search\r")
        screen.wait("Found for", f"[other tour {width}] bob:")
        screen.type("/goto 1\r")
        screen.wait("a needle elsewhere")
        screen.type("/search before:soon\r")
        screen.wait("before: needs a date")
        screen.type(f"/open {name}\r")
        screen.wait(f"{name}>")
        screen.keys("C-End")
        screen.wait("I see it now")
        # Nothing on the screen differs from a complete redraw, which SIGCONT causes.
        screen.wait("I see it now (edited)", f"{name}>")
        # The title and the list change by themselves: messages become read.
        before = screen.history()
        screen.send(signal.SIGCONT)
        screen.type("x")
        screen.wait("> x")
        screen.keys("BSpace")
        screen.gone("> x")
        assert screen.history() == before, f"{before}\nis after a redraw:\n{screen.history()}"
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
        # Text that was being written returns after an edit.
        self.fence(screen, chat, "counted")
        screen.type("half a thought")
        screen.keys("Escape")
        screen.wait("r reply" if width > 60 else "select>")
        screen.keys("Up", "e")
        screen.wait("editing")
        screen.type(" four\r")
        screen.wait("(edited)", "> half a thought")
        # Another message on the screen was edited before.
        until(lambda: self.alice.messages(chat)[-2]["content"] == "one\ntwo\nthree four", screen.text)
        screen.keys("C-u")
        # Another chat mentions the user.
        other = self.bob.group(f"other {width}", "alice")
        self.bob.say(other, "@alice: over here")
        screen.keys("F2")
        screen.wait("Notifications", f"other {width}")
        self.keep(f"inbox-{width}x{height}", screen)
        screen.keys("Enter")
        screen.wait("over here", f"other {width}>")
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
        # A file with a text: its path is completed, where the screen shows that at once.
        attached = self.folder / f"attached {width}.bin"
        attached.write_bytes(os.urandom(3_000_000))
        screen.type("/attach none.bin\r")
        screen.wait("/attach: none.bin does not exist"[: width - 16])
        if width > 60:
            screen.type(f"/attach {self.folder}/attached\\ {width}")
            screen.keys("Tab")
            screen.wait(f"attached\\ {width}.bin")
            screen.type("with a text\r")
        else:
            screen.type(f"/attach '{attached}' with a text\r")
        screen.wait(f"attached {width}.bin was sent", "with a text")
        self.keep(f"attached-{width}x{height}", screen)
        assert self.alice.messages(chat)[-1]["content"] == "with a text"
        screen.keys("F1")
        screen.wait("Alt-Up, Alt-Down")
        self.keep(f"help-{width}x{height}", screen)
        # Escape and a letter in one read are a chord.
        screen.keys("Escape")
        screen.gone("Alt-Up, Alt-Down")
        screen.type("/quit\r")
        until(screen.is_dead, screen.text)
        screen.end()
        assert old["seq"] < last["seq"]

    def members(self, screen, width, height):
        """Creates, joins and leaves chats, and invites users."""
        channel = f"news {width}"
        self.bob.ask("POST", "/api/chats", {"kind": "channel", "name": channel})
        carol = f"carol{width}"
        User(self.server, carol)
        screen.type(f"/join {channel}\rhello channel\r")
        screen.wait(f"#{channel}", "hello channel ✓")
        screen.type(f'/new "crew {width}" bob\rhello crew\r')
        screen.wait(f"crew {width}>", "hello crew ✓")
        screen.type(f"/invite {carol}\r")
        screen.wait(f"alice added {carol}")
        screen.type("/who\r")
        screen.wait(f"{carol} (member)", "bob (member)")
        screen.type("/leave\r")
        screen.wait(f"Leave crew {width}? y/n")
        screen.keys("y")
        screen.wait("not left: the last owner must")
        screen.type(f"/open {channel}\r/leave\r")
        screen.wait(f"Leave {channel}? y/n")
        screen.keys("y")
        screen.gone(f"# {channel}")
        chats = self.alice.ask("GET", "/api/chats?limit=100")["items"]
        names = [chat.get("name") for chat in chats]
        assert f"crew {width}" in names and channel not in names, names
        # A message to a chat that is gone is listed, copied and removed.
        group = self.bob.group(f"brief {width}", "alice")
        screen.wait(f"brief {width}")
        screen.type(f"/open brief {width}\r")
        screen.wait(f"brief {width}>")
        self.server.freeze()
        screen.type("too late for this chat\r")
        screen.wait("too late for this chat …")
        self.server.thaw()
        screen.wait("too late for this chat ✓")
        screen.type("a draft of a chat that ends")
        screen.wait("a draft of a chat that ends")
        screen.keys("M-Up")
        screen.gone("a draft of a chat that ends")
        self.bob.ask("DELETE", f"/api/chats/{group}/participants/alice")
        screen.wait("1 failed (/failed)")
        screen.type("/failed\r")
        screen.wait("a draft of a chat that ends", "Not sent: 1")
        screen.keys("Enter")
        screen.wait("> a draft of a chat that ends")
        screen.keys("C-u")
        screen.type("/failed\r")
        screen.wait("Not sent: 1")
        screen.keys("DC")
        screen.wait("Every message was sent.")
        screen.keys("Escape")

    def devices(self, width, height):
        """Mouse, colours, local time and the bell; chats are joined and left."""
        name = f"devices {width}"
        chat = self.bob.group(name, "alice")
        other = self.bob.group(f"quiet {width}", "alice")
        for number in range(60):
            sent = self.bob.say(chat, f"`code` {number}")
        config = self.folder / "chat.toml"
        config.write_text("mouse = true\n")
        # 5 h 30 min east of Greenwich, as for a user in Kolkata.
        screen = self.opened(name, width, height, "--config", str(config), TZ="<+0530>-5:30")
        screen.keys("C-End")
        screen.wait("`code` 59")
        moment = time.strptime(sent["created_at"][:16], "%Y-%m-%dT%H:%M")
        minutes = (moment.tm_hour * 60 + moment.tm_min + 5 * 60 + 30) % (24 * 60)
        screen.wait(f"{minutes // 60:02}:{minutes % 60:02}")
        assert COLOURS.search(screen.styled()), screen.styled()
        # The wheel scrolls, a click opens a chat.
        for _ in range(5):
            screen.type(f"\x1b[<64;{width - 10};5M")
        screen.wait("Ctrl-End")
        screen.gone("`code` 59")
        for _ in range(6):
            screen.type(f"\x1b[<65;{width - 10};5M")
        screen.wait("`code` 59")
        row = next(row for row, line in enumerate(screen.text().split("\n")) if f"quiet {width}" in line)
        screen.type(f"\x1b[<0;5;{row + 1}M\x1b[<0;5;{row + 1}m")
        screen.wait(f"quiet {width}>")
        # The bell rings for a mention in another chat.
        output = self.folder / f"output-{width}"
        screen.record(output)
        self.bob.say(chat, "no bell for this")
        screen.wait(" 1")
        assert b"\x07" not in output.read_bytes()
        self.bob.say(chat, "@alice: a bell for this")
        until(lambda: b"\x07" in output.read_bytes(), screen.text)
        self.members(screen, width, height)
        self.quit(screen)
        screen = self.opened(name, width, height, NO_COLOR="1")
        screen.keys("C-End")
        screen.wait("a bell for this")
        assert not COLOURS.search(screen.styled()), screen.styled()
        self.quit(screen)
        assert other

    def stopped(self, width, height):
        """The client is stopped and continued, as by Ctrl-Z of a shell."""
        name = f"stopped {width}"
        chat = self.bob.group(name, "alice")
        screen = self.opened(name, width, height)
        self.bob.say(chat, "before the stop")
        screen.wait("before the stop")
        output = self.folder / f"stopped-{width}"
        screen.record(output)
        # The client leaves the terminal. tmux continues it, and the client takes the terminal again.
        screen.send(signal.SIGTSTP)
        taken_again = re.compile(rb"\x1b\[\?1049l.*\x1b\[\?1049h", re.DOTALL)
        until(lambda: output.exists() and taken_again.search(output.read_bytes()), screen.text)
        self.bob.say(chat, "after the stop")
        screen.wait("before the stop", "after the stop", f"{name}>")
        screen.type("typed after it\r")
        screen.wait("typed after it ✓")
        # A damaged file of unsent messages does not stop the start.
        self.quit(screen)
        for file in (self.folder / "state" / "netbit").glob("chat-*.json"):
            file.write_text("{damaged")
        screen = self.open(width, height)
        screen.wait("is damaged", ">")
        self.quit(screen)

    def portrait(self):
        """Writes the screens of the documents: a conversation of three users."""
        carol = User(self.server, "carol")
        crew = self.bob.group("release", "alice", "carol")
        self.bob.group("on call", "alice")
        self.bob.ask("POST", "/api/chats", {"kind": "channel", "name": "general"})
        direct = self.bob.ask("POST", "/api/chats", {"kind": "direct", "participants": ["alice"]})["id"]
        self.bob.say(direct, "lunch at noon?")
        self.bob.say(crew, "The branch `release-2.0` is cut. Please test the upgrade today.")
        works = carol.say(crew, "The upgrade from 1.4 works here, with 40,000 messages.")
        self.bob.ask("PUT", f"/api/chats/{crew}/messages/{works['id']}/reactions/%F0%9F%8E%89")
        carol.say(crew, "It took nine seconds, and `netbit doctor` has no findings.")
        asked = self.bob.say(crew, "@alice can you try it with the copy of the old server?")
        self.alice.say(crew, "Done, no findings either.", reply_to=asked["id"])
        carol.say(crew, "Then I publish it at 15:00 UTC.")
        for width, height in ((80, 24), (200, 50)):
            screen = self.open(width, height)
            screen.type("/join general\r/open release\r")
            screen.wait("15:00 UTC", "release>")
            screen.type("Good. I update the documents")
            screen.wait("the documents")
            self.keep(f"portrait-{width}x{height}", screen)
            screen.keys("C-u", "Escape")
            screen.wait("r reply")
            screen.keys("Up", "t")
            screen.wait("Thread in release", "Done, no findings")
            self.keep(f"portrait-thread-{width}x{height}", screen)
            screen.keys("F2")
            screen.wait("Notifications", "mentioned you")
            self.keep(f"portrait-inbox-{width}x{height}", screen)
            screen.keys("Escape")
            screen.gone("mentioned you")
            self.quit(screen)

    def run(self):
        plan = [(check, 80, 24) for check in (self.typed_ahead, self.tour, self.pastes, self.killed_server)]
        plan += [(self.devices, 80, 24), (self.stopped, 80, 24)]
        plan += [(check, 200, 50) for check in (self.typed_ahead, self.tour, self.pastes, self.devices)]
        plan += [(self.tour, 40, 10)]
        self.carry_out(plan)

    def run_with_tls(self):
        self.carry_out([(self.typed_ahead, 80, 24), (self.tour, 80, 24)], " over TLS")

    def carry_out(self, plan, how=""):
        for check, width, height in plan:
            began = time.monotonic()
            check(width, height)
            taken = time.monotonic() - began
            print(f"{check.__name__} at {width}x{height}{how}: passed in {taken:.1f} s", flush=True)


def certificate(folder):
    """Makes a certificate for 127.0.0.1 and its key."""
    made = (pathlib.Path(folder) / "certificate.pem", pathlib.Path(folder) / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=netbit check", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "basicConstraints=critical,CA:false", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return made


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    netbit = os.path.abspath(sys.argv[1])
    screens = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else None
    if screens:
        screens.mkdir(parents=True, exist_ok=True)
    # The server of tmux outlives its last terminal.
    Screen.tmux("start-server", ";", "set-option", "-g", "exit-empty", "off")
    try:
        if screens:
            with tempfile.TemporaryDirectory() as folder:
                check = Check(netbit, folder, screens)
                try:
                    check.portrait()
                finally:
                    check.server.stop()
        for with_tls in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                check = Check(netbit, folder, None if with_tls else screens, certificate(folder) if with_tls else None)
                try:
                    check.run_with_tls() if with_tls else check.run()
                finally:
                    check.server.stop()
    finally:
        Screen.tmux("kill-server")


main()
