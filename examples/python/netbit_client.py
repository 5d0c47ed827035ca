"""A small NetBit client in one module: implements the client rules of docs/PROTOCOL.md.

    account = Account("http://127.0.0.1:8080")
    account.login("alice", "correct horse")
    async with Client(account) as client:           # connects, and reconnects when needed
        await client.say(chat_id, "hello")          # returns when the server has it on disk
        event = await client.events.get()           # each event of the user's chats once, in order

Needs Python 3.10 and `msgpack`. `Account` blocks: in asyncio, call it by `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import struct
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgpack

Packet = dict[str, Any]
BUSY = {"rate_limited", "overloaded", "read_only", "internal"}  # retry later


class Refused(Exception):
    """The server refused a request, over REST or by a NACK: compare `code`, show the text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class ConnectionLost(Exception):
    """The session ended before the answer arrived: the outcome is unknown."""


class Account:
    """One login of a user over REST: accounts, and everything that creates or changes a chat.

    Store `refresh_token` on disk to keep the login over a restart of the program.
    """

    user_id, token, refresh_token = 0, "", ""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(self, method: str, path: str, body: Packet | None = None) -> Packet:
        """Sends a request. Returns the JSON of the answer, {} without a body. Raises Refused."""
        request = urllib.request.Request(self.url + path, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            problem = {}
            with error, contextlib.suppress(ValueError):  # an error page of a proxy is not JSON
                problem = json.loads(error.read())
            raise Refused(problem.get("code", str(error.code)), problem.get("detail", error.reason)) from None

    def register(self, username: str, password: str) -> None:
        self.call("POST", "/api/users/register", {"username": username, "password": password})

    def login(self, username: str, password: str) -> None:
        self._tokens("login", {"username": username, "password": password})

    def refresh(self) -> None:
        """Exchanges the refresh token for new tokens of the same login."""
        self._tokens("refresh", {"refresh_token": self.refresh_token})

    def _tokens(self, how: str, body: Packet) -> None:
        self.token = ""  # the old one may have expired
        answer = self.call("POST", f"/api/users/{how}", body)
        self.user_id, self.token = answer["user"]["id"], answer["token"]
        self.refresh_token = answer["refresh_token"]

    def logout(self) -> None:
        """Ends this login; its sessions receive the Goodbye `revoked`."""
        self.call("POST", "/api/users/logout", {})

    def create_group(self, name: str, usernames: list[str]) -> int:
        """Creates a group of this user and the named users; returns its id."""
        return self.call("POST", "/api/chats", {"kind": "group", "name": name, "participants": usernames})["id"]

    def tcp_address(self) -> tuple[str, int]:
        """Returns host and port of chat sessions over TCP."""
        host, _, port = self.call("GET", "/api/server")["tcp_address"].rpartition(":")
        return host.strip("[]"), int(port)


def encode(packet: Packet) -> bytes:
    """Returns a packet as a frame: four bytes of length, then one MessagePack map."""
    body = msgpack.packb(packet)
    return struct.pack(">I", len(body)) + body


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """Returns the next packet.

    Raises EOFError at the end of the stream, ValueError if the frame is not a packet.
    """
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    if not 0 < length <= 1 << 20:
        raise ValueError(f"a frame of {length} bytes")
    return msgpack.unpackb(await reader.readexactly(length), strict_map_key=False)


@dataclass
class State:
    """State to store on disk. `last` is, by chat, the seq up to which the client has all events."""

    epoch: int | None = None
    last: dict[int, int] = field(default_factory=dict)


class Client:
    """A client that reconnects: consecutive sessions of a user without gaps between them.

    `events` receives every event of the user's chats once, in ascending seq within a chat. For a chat
    that was not in `state`, it starts at the newest `history` events. The client adds four kinds:
    `reset` (the server was restored from an older copy: discard all stored data of it), `gone` (the
    user is no longer in `chat_id`), `skipped` (too many events were missed: page `from` to `head` as
    needed) and, as the last, `closed` with the `code` of the Goodbye.
    """

    def __init__(self, account: Account, state: State | None = None, echo: bool = True, history: int = 0) -> None:
        self.account, self.state = account, state or State()
        self.echo, self.history = echo, history
        self.events: asyncio.Queue[Packet] = asyncio.Queue()
        self.closed: Packet | None = None  # the Goodbye of the last session
        self._ready = asyncio.Event()  # set while welcomed, and when closed
        self._writer: Any = None
        self._request_id = 0
        self._waiting: dict[int, asyncio.Future[Packet]] = {}  # by request_id

    async def __aenter__(self) -> Client:
        self._runner = asyncio.create_task(self._run())
        await self._ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bye()

    async def bye(self) -> None:
        """Closes the client. The server still answers packets that were sent before."""
        if self._ready.is_set() and self.closed is None:
            self._write("Bye")
            await asyncio.wait({self._runner}, timeout=10)
        self._runner.cancel()
        await asyncio.wait({self._runner})

    async def request(self, packet_type: str, **fields: Any) -> Packet:
        """Sends a packet and returns its answer; sends it again while the server is overloaded.

        Raises Refused, or ConnectionLost if the outcome is unknown.
        """
        wait = 1.0
        while True:
            await self._ready.wait()
            if self.closed is not None:
                raise ConnectionLost(f"closed: {self.closed}")
            answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
            self._waiting[self._write(packet_type, **fields)] = answer
            with contextlib.suppress(OSError):  # the reader gets the error too, and ends the wait
                # Blocks while the server does not read; the reader task continues.
                await self._writer.drain()
            packet = await answer
            if packet.get("success", True):
                return packet
            if packet["code"] not in BUSY:
                raise Refused(packet["code"], packet["error"])
            await asyncio.sleep(max(wait, packet.get("retry_after_ms", 0) / 1000))
            wait = min(wait * 2, 60)

    async def say(self, chat_id: int, content: str, client_id: bytes | None = None, **optional: Any) -> Packet:
        """Sends a message, retrying over several sessions; returns the Ack, or raises Refused.

        All attempts have the same client_id, so the server writes the message once. A program that
        must not lose a message in a crash stores the client_id and the content first.
        """
        message = {"client_id": client_id or uuid4().bytes, "content": content, **optional}
        while True:
            try:
                return await self.request("SendMessage", chat_id=chat_id, message=message)
            except ConnectionLost:
                if self.closed is not None:
                    raise

    async def pages(self, what: str, chat_id: int, limit: int, **bounds: int) -> AsyncIterator[list[Packet]]:
        """Yields pages of "Messages" or "Events": ascending from after_seq, or newest first."""
        more = True
        while more:  # use has_more, not the length of the page
            page = await self.request("Get" + what, chat_id=chat_id, limit=limit, **bounds)
            items, more = page[what.lower()], page["has_more"]
            if items:
                yield items
                if "after_seq" in bounds:
                    bounds["after_seq"] = items[-1]["seq"]
                else:
                    bounds["before_seq"] = items[0]["seq"]

    async def _run(self) -> None:
        """Runs sessions until a Goodbye forbids to reconnect."""
        wait, goodbye = 1.0, Packet(code="cancelled")
        try:
            while True:
                goodbye = await self._session()
                if goodbye.get("code") == "unauthenticated":
                    try:
                        await asyncio.to_thread(self.account.refresh)
                    except (Refused, OSError) as error:
                        if getattr(error, "code", None) == "unauthenticated":
                            return  # a new login with the password is required
                elif not goodbye.get("reconnect", True):
                    return
                wait = 1.0 if self._welcomed else min(wait * 2, 60)
                await asyncio.sleep(max(wait * (1 + random.random()), goodbye.get("after_ms", 0) / 1000))
        finally:
            self.closed = goodbye
            self.events.put_nowait({"kind": "closed", "code": goodbye.get("code")})
            self._ready.set()

    async def _session(self) -> Packet:
        """Runs one connection; returns its Goodbye, or a packet without `code` if it had none."""
        self._writer, self._welcomed, self._silence = None, False, 10.0
        self._jobs: list[asyncio.Task[None]] = []  # they end with the session
        act: dict[str, Callable[[Packet], None]]
        act = {"Welcome": self._on_welcome, "Event": self._on_event, "Pong": self._on_pong}
        act |= {kind: self._on_resumed for kind in ("Synced", "Limited", "Reset")}
        try:
            host, port = await asyncio.to_thread(self.account.tcp_address)
            reader, self._writer = await asyncio.open_connection(host, port)
            self._write("Hello", token=self.account.token, echo=self.echo)
            while True:
                packet = await asyncio.wait_for(read_packet(reader), self._silence)
                if packet["packet_type"] == "Goodbye":
                    return packet
                if packet["packet_type"] == "Reset" and "epoch" in packet:
                    return {}  # another history: the next Welcome has the new epoch
                act.get(packet["packet_type"], lambda _: None)(packet)
                answer = self._waiting.pop(packet.get("request_id", -1), None)
                if answer and not answer.done():
                    answer.set_result(packet)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError, Refused):
            return {}  # no server, a dead connection, or another protocol
        finally:
            self._ready.clear()
            for job in self._jobs:
                job.cancel()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionLost("the session ended before the answer came"))
            self._waiting = {}
            if self._writer:
                self._writer.close()

    def _write(self, packet_type: str, **fields: Any) -> int:
        self._request_id += 1
        self._writer.write(encode({"packet_type": packet_type, "request_id": self._request_id, **fields}))
        return self._request_id

    # Handlers of server packets. The `_on` methods do not await, so packets are handled in order.

    def _on_welcome(self, packet: Packet) -> None:
        if self.state.epoch != packet["epoch"]:
            if self.state.epoch is not None:
                self.events.put_nowait({"kind": "reset"})
            self.state.epoch = packet["epoch"]
            self.state.last.clear()
        self._resuming: set[int] = set()  # chats that are catching up
        # A listing of all chats is in progress, and the chats seen in it.
        self._listing, self._listed = True, set[int]()
        self._silence, self._welcomed = packet["heartbeat_ms"] * 2 / 1000, True
        self._ready.set()
        self._on_chats(packet)
        self._jobs.append(asyncio.create_task(self._heartbeat(packet["heartbeat_ms"] / 1000)))
        self._jobs.append(asyncio.create_task(self._list(packet, self._listed)))

    async def _heartbeat(self, seconds: float) -> None:
        while True:
            self._write("Ping")
            await asyncio.sleep(seconds)

    def _on_pong(self, pong: Packet) -> None:
        """Compares the checksum. If it differs, lists the chats again and catches up."""
        ours = len(self.state.last), sum(self.state.last.values())
        if ours != (pong["chats"], pong["heads_sum"]) and not self._resuming and not self._listing:
            self._restart_listing()

    def _restart_listing(self) -> None:
        self._listing, self._listed = True, set()
        self._jobs.append(asyncio.create_task(self._list({"chats": [{"id": 0}], "has_more": True}, self._listed)))

    async def _list(self, page: Packet, listed: set[int]) -> None:
        """Reads the list of chats after this page; then drops chats that are not in it."""
        with contextlib.suppress(Refused):
            while page["has_more"] and listed is self._listed:
                page = await self.request("GetChats", after_chat_id=page["chats"][-1]["id"])
                self._on_chats(page)
            if listed is not self._listed:
                return  # A later listing has begun.
            for gone in set(self.state.last) - self._listed:
                del self.state.last[gone]
                self.events.put_nowait({"kind": "gone", "chat_id": gone})
            self._listing = False

    def _on_chats(self, packet: Packet) -> None:
        for chat in packet["chats"]:
            self._listed.add(chat["id"])
            self.state.last.setdefault(chat["id"], max(0, chat["last_seq"] - self.history))
        self._resume([c["id"] for c in packet["chats"] if self.state.last[c["id"]] != c["last_seq"]])

    def _on_event(self, event: Packet) -> None:
        """Applies the rule of the client. For an unknown chat the user has just joined it."""
        chat_id, seq, last = event["chat_id"], event["seq"], self.state.last
        self._listed.add(chat_id)
        if seq > last.setdefault(chat_id, seq - 1) + 1:
            self._resume([chat_id])  # a gap; the replay contains this event again
        elif seq == last[chat_id] + 1:
            last[chat_id] = seq
            self.events.put_nowait(event)
            leaves = event["kind"] == "leave" and event["user_id"] == self.account.user_id
            if leaves and chat_id not in self._resuming:
                # Not during a replay, which means that the user is in the chat again.
                del last[chat_id]

    def _resume(self, chats: list[int]) -> None:
        """Requests the missing events of these chats, except for those that resume already."""
        cursors = {chat_id: self.state.last[chat_id] for chat_id in chats if chat_id not in self._resuming}
        self._resuming.update(cursors)
        if cursors:
            self._write("Resume", epoch=self.state.epoch, cursors=cursors)

    def _on_resumed(self, packet: Packet) -> None:
        """Handles `Synced`, `Limited` and `Reset`. Without a chat id, resumes every chat."""
        kind, chat_id, last = packet["packet_type"], packet.get("chat_id"), self.state.last
        if chat_id is None:  # pushes were dropped, because the client reads too slowly
            self._resuming.clear()
            self._resume(list(last))
            return self._restart_listing()
        self._resuming.discard(chat_id)
        if kind == "Limited":
            self.events.put_nowait({"kind": "skipped", "chat_id": chat_id, "from": packet["from"], "head": packet["head"]})
        if kind != "Synced" and "head" in packet:
            last[chat_id] = packet["head"]
        elif kind == "Reset" and last.pop(chat_id, None) is not None:
            self.events.put_nowait({"kind": "gone", "chat_id": chat_id})
