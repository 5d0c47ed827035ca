"""Checks netbit_client.py (and so docs/PROTOCOL.md) and git_client.py against a real server.

    python examples/python/run_against_server.py target/release/netbit

Starts the binary on a temporary data directory and free ports of 127.0.0.1. Prints a line for each
check and `N passed, M failed` at the end. The exit code is 1 if a check failed. The run takes at
most 60 seconds, and always stops the server.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

sys.dont_write_bytecode = True  # write no __pycache__

from dulwich.repo import Repo

from git_client import BRANCH, Remote, commit, objects
from netbit_client import Account, Client, Packet, Refused, State, encode, read_packet
from realtime_checks import RealtimeChecks

PATIENCE = 20  # maximum seconds for an answer
LIMIT = 55  # maximum seconds for the whole run
PASSWORD = "correct horse"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"

T = TypeVar("T")


class Server:
    """The server process; `start` after `kill` uses the same directory and ports."""

    def __init__(self, binary: str, directory: str) -> None:
        self.binary, self.directory = binary, directory
        self.http = self.tcp = "127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        options = ["--data-dir", f"{self.directory}/data", "--ops-listen", "127.0.0.1:0"]
        options += ["--http-listen", self.http, "--tcp-listen", self.tcp, "--udp-listen", "127.0.0.1:0"]
        env = {key: value for key, value in os.environ.items() if not key.startswith("NETBIT_")}
        env["NETBIT_LOG__LEVEL"] = "warn"
        with open(f"{self.directory}/stderr", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *options],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        stdout = self.process.stdout
        assert stdout is not None
        line = stdout.readline()  # the watchdog of main() aborts if no line arrives
        threading.Thread(target=stdout.read, daemon=True).start()  # keeps the pipe from filling up
        found = re.search(r"http://(127\.0\.0\.1:\d+)/api/users/register", line)
        assert found, f"the first line of the server is {line!r}"
        self.http = found[1]
        self.tcp = "{}:{}".format(*self.account().tcp_address())

    def kill(self) -> None:
        """Sends SIGKILL: no Goodbye, no flush."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return Path(self.directory, "stderr").read_text(errors="replace")

    def account(self, username: str | None = None) -> Account:
        """Returns an account, logged in if a name is given."""
        account = Account(f"http://{self.http}")
        if username is not None:
            account.login(username, PASSWORD)
        return account


async def soon(awaited: Awaitable[T]) -> T:
    """Returns the awaited result; fails after PATIENCE."""
    return await asyncio.wait_for(awaited, PATIENCE)


async def take(client: Client, wanted: Callable[[Packet], bool]) -> list[Packet]:
    """Returns the events up to and including the first wanted one."""
    events: list[Packet] = []
    while not events or not wanted(events[-1]):
        events.append(await soon(client.events.get()))
        assert events[-1]["kind"] != "closed" or wanted(events[-1]), f"the client was closed: {events[-1]}"
    return events


def says(content: str) -> Callable[[Packet], bool]:
    return lambda event: event["kind"] == "message" and event.get("message", {}).get("content") == content


async def refusal(awaited: Awaitable[Any]) -> str:
    """Returns the code of the refusal."""
    try:
        answer = await soon(awaited)
    except Refused as refused:
        return refused.code
    raise AssertionError(f"not refused: {answer}")


class Late(Account):
    """An account whose connections can be blocked, to simulate a network failure of one user."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reachable = threading.Event()
        self.reachable.set()

    def tcp_address(self) -> tuple[str, int]:
        self.reachable.wait()
        return super().tcp_address()


class Checks:
    """The chat checks, in the order in which they run; each depends on the earlier ones."""

    alice: Client
    bob: Client
    account_of_bob: Late
    group: int
    ack: Packet  # of the first message, and its content
    client_id: UUID

    def __init__(self, server: Server) -> None:
        self.server = server
        self.clients: list[Client] = []

    async def connect(self, account: Account, **options: Any) -> Client:
        """Returns a client that is always stopped at the end."""
        client = Client(account, **options)
        self.clients.append(client)
        await soon(client.__aenter__())
        assert client.closed is None, f"no session: {client.closed}"
        return client

    async def bytes_match_the_document(self) -> None:
        section = DOCUMENT.read_text(encoding="utf-8").split("\n## 12. ")[1].split("\n## ")[0]
        hello, send, pinned = re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        ack, goodbye = pinned.split()
        client_id = UUID("0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f").bytes
        packets = {
            hello: {"packet_type": "Hello", "request_id": 1, "token": "TOKEN"},
            send: {
                "packet_type": "SendMessage",
                "request_id": 2,
                "chat_id": 3,
                "message": {"client_id": client_id, "content": "hi"},
            },
            ack: {"packet_type": "Ack", "request_id": 5, "success": True, "message_id": 300, "seq": 7},
            goodbye: {"packet_type": "Goodbye", "code": "bad_request", "reconnect": False},
        }
        for text, packet in packets.items():
            data = bytes.fromhex(re.sub(r'".*', "", text))  # without the remarks at the line ends
            assert encode(packet) == data, f"{encode(packet).hex()} is not {data.hex()}"
            stream = asyncio.StreamReader()
            stream.feed_data(data)
            assert await soon(read_packet(stream)) == packet

    async def two_users_register_and_log_in(self) -> None:
        for name in ("alice", "bob"):
            await asyncio.to_thread(self.server.account().register, name, PASSWORD)
        taken = asyncio.to_thread(self.server.account().register, "alice", PASSWORD)
        assert await refusal(taken) == "conflict"
        assert (
            await refusal(asyncio.to_thread(self.server.account().login, "alice", "wrong horse")) == "unauthenticated"
        )
        account = await asyncio.to_thread(self.server.account, "alice")
        old = account.refresh_token
        await asyncio.to_thread(account.refresh)
        assert account.refresh_token != old
        self.alice = await self.connect(account)
        self.account_of_bob = Late(account.url)
        await asyncio.to_thread(self.account_of_bob.login, "bob", PASSWORD)
        self.bob = await self.connect(self.account_of_bob)

    async def new_group_is_announced_to_both(self) -> None:
        self.group = await asyncio.to_thread(self.alice.account.create_group, "friends", ["bob"])
        for client in (self.alice, self.bob):
            event = (await take(client, lambda e: e["kind"] == "join" and "chat" in e))[-1]
            assert event["user_id"] == client.account.user_id
            assert event["chat_id"] == self.group and event["actor_id"] == self.alice.account.user_id
            assert event["chat"]["kind"] == "group" and event["chat"]["name"] == "friends"

    async def receiver_gets_the_message_and_the_ack_matches(self) -> None:
        self.client_id = uuid4()
        ack = self.ack = await soon(
            self.alice.say(self.group, "hello bob", self.client_id.bytes, metadata={"a": [1, None]})
        )
        assert ack["success"] is True and "duplicate" not in ack
        for client in (self.alice, self.bob):
            event = (await take(client, says("hello bob")))[-1]
            message = event["message"]
            assert (message["id"], message["seq"], message["chat_id"]) == (ack["message_id"], ack["seq"], self.group)
            assert (event["seq"], event["chat_id"]) == (ack["seq"], self.group)
            assert message["client_id"] == self.client_id.bytes and message["metadata"] == {"a": [1, None]}
            assert message["sender_id"] == event["actor_id"] == self.alice.account.user_id

    async def retry_is_a_duplicate_and_makes_no_second_event(self) -> None:
        again = await soon(self.alice.say(self.group, "hello bob", self.client_id.bytes, metadata={"a": [1, None]}))
        assert again["duplicate"] is True
        assert (again["message_id"], again["seq"]) == (self.ack["message_id"], self.ack["seq"])
        as_text = {"client_id": str(self.client_id), "content": "hello bob", "metadata": {"a": [1, None]}}
        again = await soon(self.alice.request("SendMessage", chat_id=self.group, message=as_text))
        assert again["duplicate"] is True and again["seq"] == self.ack["seq"]
        ack = await soon(self.alice.say(self.group, "and now", reply_to=self.ack["message_id"]))
        assert ack["seq"] == self.ack["seq"] + 1
        (event,) = await take(self.bob, lambda e: True)
        assert event["seq"] == ack["seq"] and event["message"]["reply_to"] == self.ack["message_id"]

    async def client_id_with_other_content_is_refused(self) -> None:
        assert await refusal(self.alice.say(self.group, "hello bert", self.client_id.bytes)) == "client_id_reused"

    async def history_paged_backwards_is_complete(self) -> None:
        chat = await asyncio.to_thread(self.alice.account.create_group, "long", ["bob"])
        texts = [f"line {n}" for n in range(250)]
        acks = await soon(asyncio.gather(*(self.alice.say(chat, text) for text in texts)))
        seqs = [ack["seq"] for ack in acks]
        assert seqs == sorted(seqs), "the messages of a session are not in the order of sending"
        found: list[Packet] = []
        async for page in self.bob.pages("Messages", chat, limit=60):
            assert [m["seq"] for m in page] == sorted(m["seq"] for m in page)
            found = page + found
        assert [m["content"] for m in found] == texts
        assert [(m["id"], m["seq"]) for m in found] == [(a["message_id"], a["seq"]) for a in acks]
        upwards = [m async for page in self.bob.pages("Messages", chat, limit=100, after_seq=0) for m in page]
        assert upwards == found
        pushed = [e["seq"] for e in await take(self.bob, says(texts[-1])) if e["chat_id"] == chat]
        assert pushed == list(range(pushed[0], seqs[-1] + 1)), "a push is missing, or came twice"

    async def events_from_0_are_dense(self) -> None:
        page = await soon(self.bob.request("GetEvents", chat_id=self.group, after_seq=0, limit=100))
        assert not page["has_more"] and page["as_of"] == len(page["events"])
        assert [e["seq"] for e in page["events"]] == list(range(1, page["as_of"] + 1))
        assert [e["kind"] for e in page["events"]] == ["join", "join", "message", "message"]
        small = [e async for part in self.bob.pages("Events", self.group, limit=1, after_seq=0) for e in part]
        assert small == page["events"]

    async def gap_is_filled_in_order_and_duplicates_are_dropped(self) -> None:
        start = self.bob.state.last[self.group]
        self.bob.state.last[self.group] = start - 3  # simulates three lost pushes
        ack = await soon(self.alice.say(self.group, "after the gap"))
        events = await take(self.bob, says("after the gap"))
        assert [e["seq"] for e in events] == list(range(start - 2, ack["seq"] + 1))
        for event in events:
            self.bob._on_event(event)  # simulates pushes that a page already contained: dropped
        assert self.bob.events.empty() and self.bob.state.last[self.group] == ack["seq"]

    async def unknown_packets_are_bad_requests(self) -> None:
        assert await refusal(self.alice.request("Dance")) == "bad_request"
        assert await refusal(self.alice.request("GetMessages", chat_id=self.group, limit=101)) == "bad_request"
        assert await refusal(self.alice.request("SendMessage", chat_id=self.group)) == "bad_request"
        wrong = self.alice.request("GetMessages", chat_id=self.group, user_id=self.bob.account.user_id)
        assert await refusal(wrong) == "forbidden"

    async def foreign_chat_is_not_found(self) -> None:
        alone = await asyncio.to_thread(self.alice.account.create_group, "alone", [])
        for chat in (alone, 999_999):
            assert await refusal(self.bob.say(chat, "let me in")) == "not_found"
            assert await refusal(self.bob.request("GetMessages", chat_id=chat)) == "not_found"
            assert await refusal(self.bob.request("GetEvents", chat_id=chat)) == "not_found"

    async def own_messages_are_stubs_without_echo(self) -> None:
        bot = await self.connect(self.alice.account, echo=False)
        ack = await soon(bot.say(self.group, "said by the bot"))
        await soon(self.bob.say(self.group, "said by bob"))
        stub, event = await take(bot, says("said by bob"))
        assert stub == {
            "packet_type": "Event",
            "chat_id": self.group,
            "seq": ack["seq"],
            "kind": "message",
            "message_id": ack["message_id"],
        }
        assert event["seq"] == ack["seq"] + 1
        for client in (self.alice, self.bob):
            assert says("said by the bot")((await take(client, says("said by bob")))[-2])
        await soon(bot.bye())

    async def pong_is_a_checksum(self) -> None:
        for client in (self.alice, self.bob):
            pong = await soon(client.request("Ping"))
            last = client.state.last
            assert (pong["chats"], pong["heads_sum"]) == (len(last), sum(last.values()))

    async def packets_before_bye_are_answered(self) -> None:
        client = await self.connect(self.alice.account)
        sends = [asyncio.create_task(client.say(self.group, f"last words {n}")) for n in range(20)]
        await asyncio.sleep(0)  # yields, so that the tasks write
        await soon(client.bye())
        assert client.closed == {"packet_type": "Goodbye", "code": "bye", "reconnect": False}, client.closed
        assert all(ack["success"] for ack in await soon(asyncio.gather(*sends)))
        await take(self.bob, says("last words 19"))
        await take(self.alice, says("last words 19"))

    async def malformed_bytes_end_the_session(self) -> None:
        host, port = self.server.tcp.split(":")
        for data, code in ((b"\0\0\0\0", "bad_request"), (b"\0\0\0\1\x93", "bad_request")):
            reader, writer = await soon(asyncio.open_connection(host, int(port)))
            writer.write(data)
            goodbye = await soon(read_packet(reader))
            assert goodbye == {"packet_type": "Goodbye", "code": code, "reconnect": False}, goodbye
            assert await soon(reader.read()) == b""
            writer.close()

    async def every_event_arrives_once_after_a_crash(self) -> None:
        epoch = self.bob.state.epoch
        before = self.bob.state.last[self.group]
        self.account_of_bob.reachable.clear()
        known = await soon(self.alice.say(self.group, "known to be written"))
        flying = [asyncio.create_task(self.alice.say(self.group, f"at the crash {n}")) for n in range(40)]
        await soon(flying[0])  # some are written; the outcome of others is unknown
        self.server.kill()
        await asyncio.to_thread(self.server.start)
        acks = await soon(asyncio.gather(*flying))
        # More than a page.
        missed = [await soon(self.alice.say(self.group, f"missed {n}")) for n in range(120)]
        self.account_of_bob.reachable.set()
        events = await take(self.bob, says("missed 119"))
        live = await soon(self.alice.say(self.group, "live again"))
        events += await take(self.bob, says("live again"))
        assert [e["seq"] for e in events] == list(range(before + 1, live["seq"] + 1))
        assert live["seq"] == before + 1 + 40 + 120 + 1
        where = {e["message"]["content"]: (e["message"]["id"], e["seq"]) for e in events}
        assert len(where) == len(events)
        for text, ack in [
            ("known to be written", known),
            *((f"at the crash {n}", ack) for n, ack in enumerate(acks)),
            *((f"missed {n}", ack) for n, ack in enumerate(missed)),
        ]:
            assert where[text] == (ack["message_id"], ack["seq"])
        assert self.bob.state.epoch == self.alice.state.epoch == epoch
        own = await take(self.alice, says("live again"))
        assert [e["seq"] for e in own] == list(range(before + 1, live["seq"] + 1))

    async def retry_after_the_crash_is_a_duplicate(self) -> None:
        again = await soon(self.alice.say(self.group, "hello bob", self.client_id.bytes, metadata={"a": [1, None]}))
        assert again["duplicate"] is True and again["message_id"] == self.ack["message_id"]

    async def stored_state_continues_without_a_gap(self) -> None:
        last = self.bob.state.last[self.group]
        state = State(self.bob.state.epoch, {self.group: last - 150, 999_999: 5})
        client = await self.connect(self.bob.account, state=state)
        events: list[Packet] = []
        while not events or events[-1]["seq"] < last:
            events += [e for e in await take(client, lambda e: True) if e["chat_id"] == self.group]
        assert [e["seq"] for e in events] == list(range(last - 149, last + 1))
        assert 999_999 not in state.last and set(state.last) == set(self.bob.state.last)
        await soon(client.bye())
        other = await self.connect(self.bob.account, state=State(-1, {self.group: 10**9}))
        assert (await take(other, lambda e: True))[0]["kind"] == "reset"
        assert other.state == State(self.bob.state.epoch, self.bob.state.last)
        await soon(other.bye())

    async def user_removed_and_readded_while_offline_misses_nothing(self) -> None:
        away = await self.connect(self.bob.account)
        await soon(away.bye())
        start = away.state.last[self.group]
        bob = f"/api/chats/{self.group}/participants/bob"
        await asyncio.to_thread(self.alice.account.call, "DELETE", bob)
        await soon(self.alice.say(self.group, "without bob"))
        await asyncio.to_thread(self.alice.account.call, "PUT", bob, {})
        await soon(self.alice.say(self.group, "with bob"))
        # Events while the user is not in the chat are not pushed.
        live = await take(self.bob, says("with bob"))
        live = [e for e in live if e["seq"] > start]
        assert [(e["kind"], e["seq"] - start) for e in live] == [("leave", 1), ("join", 3), ("message", 4)]
        back = await self.connect(self.bob.account, state=away.state)
        events = await take(back, says("with bob"))  # they are in the history
        assert [(e["kind"], e["seq"] - start) for e in events] == [
            ("leave", 1),
            ("message", 2),
            ("join", 3),
            ("message", 4),
        ]
        ack = await soon(self.alice.say(self.group, "still with bob"))
        assert [e["seq"] for e in await take(back, says("still with bob"))] == [ack["seq"]]
        assert [e["seq"] for e in await take(self.bob, says("still with bob"))] == [ack["seq"]]
        await soon(back.bye())

    async def chat_left_while_offline_is_gone(self) -> None:
        body = {"kind": "channel", "name": "news", "participants": []}
        channel = (await asyncio.to_thread(self.alice.account.call, "POST", "/api/chats", body))["id"]
        bob = f"/api/chats/{channel}/participants/bob"
        # "forbidden", because the channel can be joined.
        assert await refusal(self.bob.request("GetEvents", chat_id=channel)) == "forbidden"
        await asyncio.to_thread(self.bob.account.call, "PUT", bob, {})
        away = await self.connect(self.bob.account)
        assert channel in away.state.last
        await soon(away.bye())
        await asyncio.to_thread(self.bob.account.call, "DELETE", bob)
        back = await self.connect(self.bob.account, state=away.state)
        assert (await take(back, lambda e: True)) == [{"kind": "gone", "chat_id": channel}]
        assert channel not in back.state.last
        await soon(back.bye())
        kinds = [e["kind"] for e in await take(self.bob, lambda e: e["kind"] == "leave" and e["chat_id"] == channel)]
        assert kinds == ["join", "leave"] and channel not in self.bob.state.last

    async def resume_across_a_trimmed_range_ends(self) -> None:
        """The chat keeps 5 messages: an older client has a gap, and is live above it."""
        group = await asyncio.to_thread(self.alice.account.create_group, "short", ["bob"])
        client = await self.connect(self.bob.account, state=State(self.bob.state.epoch, {}))
        for n in range(20):
            await soon(self.alice.say(group, f"short {n}"))
        await asyncio.to_thread(self.alice.account.call, "PATCH", f"/api/chats/{group}", {"retention": 5})
        trim = (await take(client, lambda e: e["kind"] == "trim" and e["chat_id"] == group))[-1]
        await soon(client.bye())
        client = await self.connect(self.bob.account, state=State(self.bob.state.epoch, {group: 3}))
        gap = (await take(client, lambda e: e["kind"] == "skipped" and e["chat_id"] == group))[-1]
        assert (gap["from"], gap["head"]) == (4, trim["seq"])
        live = await soon(self.alice.say(group, "live above it"))
        event = (await take(client, says("live above it")))[-1]
        assert event["seq"] == live["seq"] == trim["seq"] + 1
        await soon(client.bye())

    async def logout_ends_the_sessions_of_that_login_only(self) -> None:
        other = await self.connect(await asyncio.to_thread(self.server.account, "alice"))
        await asyncio.to_thread(self.alice.account.logout)
        event = (await take(self.alice, lambda e: e["kind"] == "closed"))[-1]
        assert event["code"] == "revoked"
        assert self.alice.closed == {"packet_type": "Goodbye", "code": "revoked", "reconnect": False}
        assert (await soon(other.request("Ping")))["packet_type"] == "Pong"

    async def session_needs_a_valid_token(self) -> None:
        client = Client(self.alice.account)  # logged out: the refresh fails too
        self.clients.append(client)
        await soon(client.__aenter__())
        assert client.closed and client.closed["code"] == "unauthenticated"


class GitChecks:
    """The checks of the git client, in the order in which they run."""

    account: Account
    url: str
    mine: Remote
    reader: Remote  # with a read-only token

    def __init__(self, server: Server) -> None:
        self.server = server

    def place(self, name: str) -> str:
        return f"{self.server.directory}/{name}.git"

    async def empty_repository_is_cloned_and_first_commit_pushed(self) -> None:
        await asyncio.to_thread(self.server.account().register, "carol", PASSWORD)
        self.account = await asyncio.to_thread(self.server.account, "carol")
        for path, body in (
            ("/api/projects/create", {"name": "hello", "visibility": "private"}),
            ("/api/projects/carol/hello/repos/create", {"name": "web"}),
        ):
            await asyncio.to_thread(self.account.call, "POST", path, body)
        self.url = f"{self.account.url}/carol/hello/web"
        self.mine = Remote(self.url, "carol", PASSWORD)
        with await soon(asyncio.to_thread(self.mine.clone, self.place("first"))) as first:
            assert objects(first) == set()
            tip = commit(first, {"README": b"hello\n"}, "first commit")
            await soon(asyncio.to_thread(self.mine.push, first))
            assert await soon(asyncio.to_thread(self.mine.fetch, first)) == tip
            assert len(objects(first)) == 3

    async def commit_pushed_by_one_clone_is_fetched_by_the_other(self) -> None:
        with (
            Repo(self.place("first")) as first,
            await soon(asyncio.to_thread(self.mine.clone, self.place("second"))) as second,
        ):
            assert objects(second) == objects(first)
            # Larger than every buffer on the path.
            tip = commit(second, {"large": os.urandom(5_000_000), "README": b"hello again\n"}, "second commit")
            await soon(asyncio.to_thread(self.mine.push, second))
            assert tip not in objects(first)
            assert await soon(asyncio.to_thread(self.mine.fetch, first)) == tip
            assert objects(first) == objects(second) and len(objects(first)) == 7

    async def read_only_token_clones_and_cannot_push(self) -> None:
        body = {"name": "reader", "scopes": ["repo:read"]}
        token = await asyncio.to_thread(self.account.call, "POST", "/api/users/me/tokens", body)
        self.reader = Remote(self.url, "carol", token["token"])
        with (
            Repo(self.place("second")) as second,
            await soon(asyncio.to_thread(self.reader.clone, self.place("third"))) as third,
        ):
            assert objects(third) == objects(second)
            before = third.refs[BRANCH]
            commit(third, {"README": b"not allowed\n"}, "third commit")
            assert await refusal(asyncio.to_thread(self.reader.push, third)) == "forbidden"
            # No ref has moved.
            assert await soon(asyncio.to_thread(self.mine.fetch, third)) == before

    async def visitor_and_wrong_password_get_nothing(self) -> None:
        with Repo(self.place("third")) as third:
            for stranger in (Remote(self.url), Remote(self.url, "carol", "wrong horse")):
                assert await refusal(asyncio.to_thread(stranger.fetch, third)) == "unauthenticated"
                assert await refusal(asyncio.to_thread(stranger.push, third)) == "unauthenticated"


async def run(server: Server) -> tuple[int, int]:
    """Runs all checks; returns the numbers of passed and failed ones."""
    await asyncio.to_thread(server.start)
    checks, git_checks, realtime_checks, passed, failed = Checks(server), GitChecks(server), RealtimeChecks(server), 0, 0
    steps = [
        (name, getattr(of, name))
        for of in (checks, git_checks, realtime_checks)
        for name, value in vars(type(of)).items()
        if inspect.iscoroutinefunction(value) and name not in ("connect", "call", "ticket")
    ]
    try:
        for name, step in steps:
            try:
                await step()
                passed += 1
                print(f"ok      {name.replace('_', ' ')}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {name.replace('_', ' ')}", flush=True)
                traceback.print_exc()
    finally:
        if hasattr(checks, "account_of_bob"):
            checks.account_of_bob.reachable.set()  # lets its thread end
        for client in checks.clients:
            await client.bye()
    return passed, failed


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # makes `finally` run
    with tempfile.TemporaryDirectory(prefix="netbit-") as directory:
        server = Server(sys.argv[1], directory)

        def too_long() -> None:
            server.kill()
            print(f"{server.log()}\nnot done after {LIMIT} s\n0 passed, 1 failed", flush=True)
            shutil.rmtree(directory, ignore_errors=True)
            os._exit(1)

        watchdog = threading.Timer(LIMIT, too_long)
        watchdog.daemon = True
        watchdog.start()
        try:
            passed, failed = asyncio.run(run(server))
        except Exception:
            passed, failed = 0, 1
            traceback.print_exc()
        finally:
            server.kill()
            watchdog.cancel()
        if failed:
            print(server.log(), file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
