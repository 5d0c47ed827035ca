"""A small NetBit client in one module: what docs/PROTOCOL.md asks of a client, and little more.

    account = Account("http://127.0.0.1:8080")
    account.login("alice", "correct horse")
    async with Client(account) as client:           # connected, and connected again when need be
        await client.say(chat_id, "hello")          # when this returns, the server has it on disk
        event = await client.events.get()           # every event of my chats, once and in order

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
BUSY = {"rate_limited", "overloaded", "read_only", "internal"}  # a NACK that means: again, later


class Refused(Exception):
    """The server said no, over REST or by a NACK: compare `code`, show the text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class ConnectionLost(Exception):
    """The session ended before the answer came: the outcome is unknown."""


class Account:
    """One login of one user, over REST: accounts, and all that creates or changes a chat.

    A program that is to survive a restart keeps `refresh_token` on disk.
    """

    user_id, token, refresh_token = 0, "", ""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(self, method: str, path: str, body: Packet | None = None) -> Packet:
        """One request. Returns the JSON of the answer, {} if there is none; or raises Refused."""
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
            with error, contextlib.suppress(ValueError):  # the page of a proxy is not JSON
                problem = json.loads(error.read())
            raise Refused(problem.get("code", str(error.code)), problem.get("detail", error.reason)) from None

    def register(self, username: str, password: str) -> None:
        self.call("POST", "/api/users/register", {"username": username, "password": password})

    def login(self, username: str, password: str) -> None:
        self._tokens("login", {"username": username, "password": password})

    def refresh(self) -> None:
        """Get new tokens for the same login."""
        self._tokens("refresh", {"refresh_token": self.refresh_token})

    def _tokens(self, how: str, body: Packet) -> None:
        self.token = ""  # the old one may have expired
        answer = self.call("POST", f"/api/users/{how}", body)
        self.user_id, self.token = answer["user"]["id"], answer["token"]
        self.refresh_token = answer["refresh_token"]

    def logout(self) -> None:
        """End this login; its sessions get the Goodbye `revoked`."""
        self.call("POST", "/api/users/logout", {})

    def create_group(self, name: str, usernames: list[str]) -> int:
        """Create a group of oneself and these people; returns its id."""
        return self.call("POST", "/api/chats", {"kind": "group", "name": name, "participants": usernames})["id"]

    def tcp_address(self) -> tuple[str, int]:
        """Where the protocol is spoken."""
        host, _, port = self.call("GET", "/api/server")["tcp_address"].rpartition(":")
        return host.strip("[]"), int(port)


def encode(packet: Packet) -> bytes:
    """A packet as a frame: four bytes of length, then one MessagePack map."""
    body = msgpack.packb(packet)
    return struct.pack(">I", len(body)) + body


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """The next packet. Raises EOFError at the end of the stream, ValueError if it is no packet."""
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    if not 0 < length <= 1 << 20:
        raise ValueError(f"a frame of {length} bytes")
    return msgpack.unpackb(await reader.readexactly(length), strict_map_key=False)


@dataclass
class State:
    """What to keep on disk. `last` is, by chat, the seq up to which everything is known."""

    epoch: int | None = None
    last: dict[int, int] = field(default_factory=dict)


class Client:
    """A user's place in the chats: one session after the other, and no gap between them.

    `events` gets every event of the user's chats once, and in ascending seq within a chat; for a
    chat that was not in `state`, from its newest `history` events on. Three kinds are our own:
    `reset` (the server was restored from an older copy: forget all you know of it), `gone` (we
    are no longer in `chat_id`, since some time), `skipped` (too much was missed: `from` to `head` is
    to be paged, if somebody wants to see it) and, as the last, `closed` with the `code` of the
    Goodbye.
    """

    def __init__(self, account: Account, state: State | None = None, echo: bool = True, history: int = 0) -> None:
        self.account, self.state = account, state or State()
        self.echo, self.history = echo, history
        self.events: asyncio.Queue[Packet] = asyncio.Queue()
        self.closed: Packet | None = None  # the Goodbye after which there is no other session
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
        """End for good. What was sent before is still answered."""
        if self._ready.is_set() and self.closed is None:
            self._write("Bye")
            await asyncio.wait({self._runner}, timeout=10)
        self._runner.cancel()
        await asyncio.wait({self._runner})

    async def request(self, packet_type: str, **fields: Any) -> Packet:
        """Send a packet, return its answer; while the server is too busy, send it again.

        Raises Refused, or ConnectionLost: then the outcome is unknown.
        """
        wait = 1.0
        while True:
            await self._ready.wait()
            if self.closed is not None:
                raise ConnectionLost(f"closed: {self.closed}")
            answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
            self._waiting[self._write(packet_type, **fields)] = answer
            with contextlib.suppress(OSError):  # the reading side hears of it too, and ends the wait
                await self._writer.drain()  # waits while the server does not read; our reading goes on
            packet = await answer
            if packet.get("success", True):
                return packet
            if packet["code"] not in BUSY:
                raise Refused(packet["code"], packet["error"])
            await asyncio.sleep(max(wait, packet.get("retry_after_ms", 0) / 1000))
            wait = min(wait * 2, 60)

    async def say(self, chat_id: int, content: str, client_id: bytes | None = None, **optional: Any) -> Packet:
        """Send a message, over as many sessions as it takes; returns the Ack, or raises Refused.

        All attempts have one client_id, so it is written once. A program that must not lose a
        message by its own crash stores the client_id and the content first.
        """
        message = {"client_id": client_id or uuid4().bytes, "content": content, **optional}
        while True:
            try:
                return await self.request("SendMessage", chat_id=chat_id, message=message)
            except ConnectionLost:
                if self.closed is not None:
                    raise

    async def pages(self, what: str, chat_id: int, limit: int, **bounds: int) -> AsyncIterator[list[Packet]]:
        """Pages of `what` ("Messages" or "Events"): upwards from after_seq, or else the newest first."""
        more = True
        while more:  # this decides, not the length of the page
            page = await self.request("Get" + what, chat_id=chat_id, limit=limit, **bounds)
            items, more = page[what.lower()], page["has_more"]
            if items:
                yield items
                if "after_seq" in bounds:
                    bounds["after_seq"] = items[-1]["seq"]
                else:
                    bounds["before_seq"] = items[0]["seq"]

    async def _run(self) -> None:
        """One session after the other, until a Goodbye says that another is of no use."""
        wait, goodbye = 1.0, Packet(code="cancelled")
        try:
            while True:
                goodbye = await self._session()
                if goodbye.get("code") == "unauthenticated":
                    try:
                        await asyncio.to_thread(self.account.refresh)
                    except (Refused, OSError) as error:
                        if getattr(error, "code", None) == "unauthenticated":
                            return  # only the password helps now
                elif not goodbye.get("reconnect", True):
                    return
                wait = 1.0 if self._welcomed else min(wait * 2, 60)
                await asyncio.sleep(max(wait * (1 + random.random()), goodbye.get("after_ms", 0) / 1000))
        finally:
            self.closed = goodbye
            self.events.put_nowait({"kind": "closed", "code": goodbye.get("code")})
            self._ready.set()

    async def _session(self) -> Packet:
        """One connection; returns its Goodbye, or a packet without `code` if there was none."""
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
                    return {}  # another history: the next Welcome tells
                act.get(packet["packet_type"], lambda _: None)(packet)
                answer = self._waiting.pop(packet.get("request_id", -1), None)
                if answer and not answer.done():
                    answer.set_result(packet)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError, Refused):
            return {}  # no server, a dead connection, or not this protocol
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

    # What comes from the server. The `_on` methods do not wait, so what they do keeps its order.

    def _on_welcome(self, packet: Packet) -> None:
        if self.state.epoch != packet["epoch"]:
            if self.state.epoch is not None:
                self.events.put_nowait({"kind": "reset"})
            self.state.epoch = packet["epoch"]
            self.state.last.clear()
        self._resuming: set[int] = set()  # chats that are catching up
        self._listing, self._listed = True, set[int]()  # is a listing of all chats under way; chats seen in it
        self._silence, self._welcomed = packet["heartbeat_ms"] * 2 / 1000, True
        self._ready.set()
        self._on_chats(packet)
        self._jobs.append(asyncio.create_task(self._heartbeat(packet["heartbeat_ms"] / 1000)))
        self._jobs.append(asyncio.create_task(self._list(packet)))

    async def _heartbeat(self, seconds: float) -> None:
        while True:
            self._write("Ping")
            await asyncio.sleep(seconds)

    def _on_pong(self, pong: Packet) -> None:
        """A checksum of all we know. If it is wrong, list the chats again and catch up."""
        ours = len(self.state.last), sum(self.state.last.values())
        if ours != (pong["chats"], pong["heads_sum"]) and not self._resuming and not self._listing:
            self._list_anew()

    def _list_anew(self) -> None:
        self._listing, self._listed = True, set()
        self._jobs.append(asyncio.create_task(self._list({"chats": [{"id": 0}], "has_more": True})))

    async def _list(self, page: Packet) -> None:
        """Read on in the list of chats after this page; then drop those that were not in it."""
        with contextlib.suppress(Refused):
            while page["has_more"]:
                page = await self.request("GetChats", after_chat_id=page["chats"][-1]["id"])
                self._on_chats(page)
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
        """The rule of the client. A chat that we do not know begins with this event: we have just joined."""
        chat_id, seq, last = event["chat_id"], event["seq"], self.state.last
        self._listed.add(chat_id)
        if seq > last.setdefault(chat_id, seq - 1) + 1:
            self._resume([chat_id])  # a gap; this event comes again, in its place
        elif seq == last[chat_id] + 1:
            last[chat_id] = seq
            self.events.put_nowait(event)
            leaves = event["kind"] == "leave" and event["user_id"] == self.account.user_id
            if leaves and chat_id not in self._resuming:
                del last[chat_id]  # not in a replay: to whom it is replayed, they are in the chat again

    def _resume(self, chats: list[int]) -> None:
        """Have the server send what is missing of these chats; what is under way is not asked for twice."""
        cursors = {chat_id: self.state.last[chat_id] for chat_id in chats if chat_id not in self._resuming}
        self._resuming.update(cursors)
        if cursors:
            self._write("Resume", epoch=self.state.epoch, cursors=cursors)

    def _on_resumed(self, packet: Packet) -> None:
        """`Synced`, `Limited` and `Reset`: how far the server brings a chat, or that every chat must be resumed."""
        kind, chat_id, last = packet["packet_type"], packet.get("chat_id"), self.state.last
        if chat_id is None:  # pushes were dropped, for we read too slowly
            self._resuming.clear()
            self._resume(list(last))
            return self._list_anew()
        self._resuming.discard(chat_id)
        if kind == "Limited":
            self.events.put_nowait({"kind": "skipped", "chat_id": chat_id, "from": packet["from"], "head": packet["head"]})
        if kind != "Synced" and "head" in packet:
            last[chat_id] = packet["head"]
        elif kind == "Reset" and last.pop(chat_id, None) is not None:
            self.events.put_nowait({"kind": "gone", "chat_id": chat_id})
