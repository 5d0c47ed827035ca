"""A small NetBit client in one module: what docs/PROTOCOL.md asks of a client, and little more.

    api = Api("http://127.0.0.1:8080")
    login = api.login("alice", "correct horse")
    async with Client(api, login) as client:          # connected, and connected again when need be
        ack = await client.say(chat_id, "hello")      # on disk at the server when this returns
        event = await client.events.get()             # every event of my chats, once and in order

Needs Python 3.10 and the package `msgpack`. `Api` blocks (call it from a thread in an asyncio
program); `Client` is for asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import struct
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Callable
from uuid import uuid4

import msgpack

Packet = dict[str, Any]
Handler = Callable[[Packet], None]

MAX_SERVER_FRAME = 1 << 20
BUSY = {"rate_limited", "overloaded", "read_only", "internal"}  # the same packet again, later
LOST: Packet = {"packet_type": "Lost"}  # our own: the connection ended before the answer came


class ApiError(Exception):
    """A REST request was refused; compare `code`, show `detail`."""

    def __init__(self, status: int, problem: Packet) -> None:
        self.status, self.code, self.detail = status, problem.get("code"), problem.get("detail")
        super().__init__(f"{status} {self.code}: {self.detail}")


class Nack(Exception):
    """A packet was refused (an Ack with success: false); compare `code`, show `error`."""

    def __init__(self, ack: Packet) -> None:
        self.code, self.error, self.retry_after_ms = ack["code"], ack.get("error"), ack.get("retry_after_ms", 0)
        super().__init__(f"{self.code}: {self.error}")


class ConnectionLost(Exception):
    """The session ended before the answer came: the outcome is unknown."""


# REST ------------------------------------------------------------------------------------------


@dataclass
class Login:
    """One login of a user. A program that outlives a restart keeps `refresh_token` on disk."""

    user_id: int
    username: str
    token: str
    refresh_token: str


class Api:
    """Accounts, and all that creates or changes a chat."""

    def __init__(self, url: str, timeout: float = 20) -> None:
        self.url, self.timeout = url.rstrip("/"), timeout

    def call(self, method: str, path: str, body: Packet | None = None, login: Login | None = None) -> Packet:
        """One request; returns the JSON of the answer ({} if it has none) or raises ApiError."""
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if login is not None:
            request.add_header("Authorization", f"Bearer {login.token}")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error, contextlib.suppress(ValueError):  # a proxy's page is not JSON
                raise ApiError(error.code, json.loads(error.read())) from None
            raise ApiError(error.code, {}) from None

    def tcp_address(self) -> tuple[str, int]:
        """Where the protocol is spoken."""
        host, _, port = self.call("GET", "/api/server")["tcp_address"].rpartition(":")
        return host.strip("[]"), int(port)

    def register(self, username: str, password: str) -> Packet:
        return self.call("POST", "/api/users/register", {"username": username, "password": password})

    def login(self, username: str, password: str) -> Login:
        return self._login(self.call("POST", "/api/users/login", {"username": username, "password": password}))

    def refresh(self, login: Login) -> Login:
        """A new token for the same login. Store the result before using it."""
        return self._login(self.call("POST", "/api/users/refresh", {"refresh_token": login.refresh_token}))

    def logout(self, login: Login) -> None:
        """End this login: its sessions get Goodbye `revoked`."""
        self.call("POST", "/api/users/logout", {}, login)

    def create_group(self, login: Login, name: str, usernames: list[str]) -> int:
        """Create a group with these people in it, and return its id."""
        body = {"kind": "group", "name": name, "participants": usernames}
        return self.call("POST", "/api/chats", body, login)["id"]

    @staticmethod
    def _login(answer: Packet) -> Login:
        return Login(answer["user"]["id"], answer["user"]["username"], answer["token"], answer["refresh_token"])


# Frames ----------------------------------------------------------------------------------------


def encode(packet: Packet) -> bytes:
    """A packet as a frame: four bytes of length, then one MessagePack map."""
    body = msgpack.packb(packet)
    return struct.pack(">I", len(body)) + body


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """The next packet of the server; raises EOFError at the end, ValueError for what is no packet."""
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    if not 0 < length <= MAX_SERVER_FRAME:
        raise ValueError(f"a frame of {length} bytes")
    packet = msgpack.unpackb(await reader.readexactly(length))
    if not isinstance(packet, dict):
        raise ValueError("a frame that is not a map")
    return packet


# The client ------------------------------------------------------------------------------------


@dataclass
class State:
    """What to keep on disk. `last` is, by chat, the seq up to which everything has been seen."""

    epoch: int | None = None
    last: dict[int, int] = field(default_factory=dict)


class Client:
    """A user's place in the chats: one session after the other, without a gap between them.

    `events` gets every event of the user's chats, by the rule of the client: once, and in
    ascending seq within a chat. Two more kinds come from this class: `reset` (the server was
    restored from an older copy: forget all you know of it) and, at the end, `closed` with the
    `code` of the Goodbye. Chats never seen before begin with their newest `history` events.
    """

    def __init__(
        self, api: Api, login: Login, state: State | None = None, echo: bool = True, history: int = 0
    ) -> None:
        self.api, self.login, self.echo, self.history = api, login, echo, history
        self.state = state or State()
        self.events: asyncio.Queue[Packet] = asyncio.Queue()
        self.closed: Packet | None = None  # the Goodbye after which there is no new session
        self._ready = asyncio.Event()  # set while there is a session (and after the last one)
        self._writer: asyncio.StreamWriter | None = None
        self._request_id = 0
        self._waiting: dict[int, Handler] = {}  # by request_id: what to do with the answer
        self._paging: set[int] = set()  # chats of which a page is under way
        self._target: dict[int, int] = {}  # by chat: the seq to reach by paging
        self._listed: set[int] | None = None  # chats seen in the listing that is under way

    async def __aenter__(self) -> Client:
        self._task = asyncio.create_task(self._run())
        await self._ready.wait()
        if self.closed is not None:
            raise ConnectionLost(f"no session: {self.closed}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bye()

    # What a program calls

    async def request(self, packet_type: str, **fields: Any) -> Packet:
        """Send a packet and return its answer. Raises Nack, or ConnectionLost: outcome unknown."""
        await self._ready.wait()
        if self.closed is not None:
            raise ConnectionLost(f"closed: {self.closed}")
        answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._ask(lambda packet: None if answer.done() else answer.set_result(packet), packet_type, **fields)
        with contextlib.suppress(OSError):  # the reading side notices too, and answers LOST
            await self._writer.drain()  # blocks while the server does not read; reading goes on
        packet = await answer
        if packet is LOST:
            raise ConnectionLost("the connection ended before the answer came")
        if packet.get("success") is False:
            raise Nack(packet)
        return packet

    async def say(self, chat_id: int, content: str, client_id: bytes | None = None, **optional: Any) -> Packet:
        """Send a message, again and again until it is known to be written (or refused: Nack).

        Every attempt has the same client_id, so it is written once. Returns the Ack. A program
        that must not lose messages in its own crash stores client_id and content before this.
        """
        message = {"client_id": client_id or uuid4().bytes, "content": content, **optional}
        pause = 1.0
        while True:
            try:
                return await self.request("SendMessage", chat_id=chat_id, message=message)
            except ConnectionLost:
                if self.closed is not None:
                    raise  # else: once more in the next session
            except Nack as nack:
                if nack.code not in BUSY:
                    raise
                await asyncio.sleep(max(pause, nack.retry_after_ms / 1000))
                pause = min(pause * 2, 60)

    async def get_all(self, packet_type: str, chat_id: int, after_seq: int = 0, limit: int = 100) -> list[Packet]:
        """All `GetEvents` or `GetMessages` above after_seq, read forwards page by page."""
        key, found, more = packet_type.removeprefix("Get").lower(), [], True
        while more:
            page = await self.request(packet_type, chat_id=chat_id, after_seq=after_seq, limit=limit)
            found, more = found + page[key], page["has_more"]  # has_more decides, not the count
            after_seq = found[-1]["seq"] if found else after_seq
        return found

    async def older(self, chat_id: int, before_seq: int | None = None, limit: int = 50) -> tuple[list[Packet], bool]:
        """Messages below before_seq (the newest if None), ascending; and whether there are older ones."""
        fields = {} if before_seq is None else {"before_seq": before_seq}
        page = await self.request("GetMessages", chat_id=chat_id, limit=limit, **fields)
        return page["messages"], page["has_more"]

    async def ping(self) -> Packet:
        """The Pong: how many chats, and the sum of their last_seq."""
        return await self.request("Ping")

    async def bye(self) -> None:
        """End for good. What was sent before is still answered."""
        if self.closed is None and self._ready.is_set():
            self._ask(lambda _: None, "Bye")
            await asyncio.wait({self._task}, timeout=10)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def backoff(self, seconds: float) -> None:
        """The pause between two sessions; override it to show it, or to cut it short."""
        await asyncio.sleep(seconds)

    # Sessions

    async def _run(self) -> None:
        """One session after the other, until a Goodbye says that there is no use in another."""
        wait, goodbye = 1.0, {"code": "cancelled"}
        try:
            while True:
                goodbye, welcomed = await self._session()
                if goodbye.get("code") == "unauthenticated":
                    try:
                        self.login = await asyncio.to_thread(self.api.refresh, self.login)
                    except (OSError, ApiError) as error:
                        if getattr(error, "code", None) == "unauthenticated":
                            return  # log in again, with the password
                elif not goodbye.get("reconnect", True):
                    return
                wait = 1.0 if welcomed else min(wait * 2, 60.0)
                await self.backoff(max(wait * (1 + random.random()), goodbye.get("after_ms", 0) / 1000))
        finally:
            self.closed = goodbye
            self.events.put_nowait({"kind": "closed", "code": goodbye.get("code")})
            self._ready.set()

    async def _session(self) -> tuple[Packet, bool]:
        """One connection. Returns its Goodbye ({} if it went without) and whether it was welcomed."""
        heart: asyncio.Task[None] | None = None
        self._writer = None
        try:
            reader, self._writer = await asyncio.open_connection(*await asyncio.to_thread(self.api.tcp_address))
            self._ask(lambda _: None, "Hello", token=self.login.token, echo=self.echo)
            silence = 10.0
            while True:
                packet = await asyncio.wait_for(read_packet(reader), silence)
                kind = packet["packet_type"]
                if kind == "Welcome":
                    silence = 2 * packet["heartbeat_ms"] / 1000  # quieter than that is dead
                    self._on_welcome(packet)
                    heart = asyncio.create_task(self._heartbeat(packet["heartbeat_ms"] / 1000))
                elif kind == "Event":
                    self._on_event(packet)
                elif kind == "Goodbye":
                    return packet, heart is not None
                elif kind == "Limited":
                    return {}, heart is not None  # nothing is pushed any more: reconnect, catch up
                elif "request_id" in packet:
                    self._waiting.pop(packet["request_id"], lambda _: None)(packet)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError, ApiError):
            return {}, heart is not None
        finally:
            self._ready.clear()
            waiting, self._waiting = self._waiting, {}
            for handler in waiting.values():
                handler(LOST)
            if heart is not None:
                heart.cancel()
            if self._writer is not None:
                self._writer.close()

    def _ask(self, handler: Handler, packet_type: str, **fields: Any) -> None:
        """Write a packet; `handler` gets its answer, or LOST."""
        self._request_id += 1
        self._waiting[self._request_id] = handler
        self._writer.write(encode({"packet_type": packet_type, "request_id": self._request_id, **fields}))

    def _fetch(self, handler: Handler, packet_type: str, **fields: Any) -> None:
        """As _ask, for our own needs: while the server is busy, ask again."""
        writer = self._writer

        def again() -> None:
            if self._writer is writer and self._ready.is_set():  # still the same session
                self._fetch(handler, packet_type, **fields)

        def answered(packet: Packet) -> None:
            if packet.get("code") in BUSY:
                asyncio.get_running_loop().call_later(packet.get("retry_after_ms", 1000) / 1000, again)
            elif packet is not LOST:
                handler(packet)

        self._ask(answered, packet_type, **fields)

    async def _heartbeat(self, seconds: float) -> None:
        while True:
            self._fetch(self._on_pong, "Ping")
            await asyncio.sleep(seconds)

    # What the server tells. None of these waits, so each packet is done before the next is read.

    def _on_welcome(self, packet: Packet) -> None:
        if self.state.epoch != packet["epoch"]:
            if self.state.epoch is not None:
                self.events.put_nowait({"kind": "reset"})
            self.state.epoch = packet["epoch"]
            self.state.last.clear()
        self._paging, self._target, self._listed = set(), {}, set()
        self._waiting.pop(packet.get("request_id"), None)
        self._on_chats(packet)
        self._ready.set()

    def _on_chats(self, packet: Packet) -> None:
        """A page of the listing, from Welcome or GetChats: catch up with each chat in it."""
        if packet.get("success") is False:
            self._listed = None
            return
        for chat in packet["chats"]:
            self._listed.add(chat["id"])
            self.state.last.setdefault(chat["id"], max(0, chat["last_seq"] - self.history))
            self._reach(chat["id"], chat["last_seq"])
        if packet["has_more"]:
            self._fetch(self._on_chats, "GetChats", after_chat_id=packet["chats"][-1]["id"])
        else:
            for gone in set(self.state.last) - self._listed:
                del self.state.last[gone]  # left while we were away
            self._listed = None

    def _on_event(self, event: Packet) -> None:
        """The rule of the client."""
        chat_id, seq, last = event["chat_id"], event["seq"], self.state.last
        if self._listed is not None:
            self._listed.add(chat_id)
        if "chat" in event:  # we have just joined
            last[chat_id] = max(last.get(chat_id, 0), seq - 1)
        if seq > last.setdefault(chat_id, seq - 1) + 1:
            self._reach(chat_id, seq)  # a gap: it comes again, in its place
        elif seq == last[chat_id] + 1:
            last[chat_id] = seq
            self.events.put_nowait(event)
            if event["kind"] == "leave" and event["user_id"] == self.login.user_id:
                del last[chat_id]

    def _reach(self, chat_id: int, seq: int) -> None:
        """Page until everything up to seq is there; one page of a chat at a time."""
        self._target[chat_id] = max(self._target.get(chat_id, 0), seq)
        last = self.state.last.get(chat_id)
        if last is not None and last < self._target[chat_id] and chat_id not in self._paging:
            self._paging.add(chat_id)
            self._fetch(lambda p: self._on_page(chat_id, p), "GetEvents", chat_id=chat_id, after_seq=last, limit=100)

    def _on_page(self, chat_id: int, packet: Packet) -> None:
        self._paging.discard(chat_id)
        if packet.get("success") is False:
            self.state.last.pop(chat_id, None)  # we are not in it any more
            return
        for event in packet["events"]:
            if chat_id in self.state.last:
                self._on_event(event)
        self._reach(chat_id, packet["as_of"])

    def _on_pong(self, packet: Packet) -> None:
        """A checksum of all that we know. If it is wrong, list the chats again and catch up."""
        if "heads_sum" in packet and not self._paging and self._listed is None:
            if (packet["chats"], packet["heads_sum"]) != (len(self.state.last), sum(self.state.last.values())):
                self._listed = set()
                self._fetch(self._on_chats, "GetChats", after_chat_id=0)
