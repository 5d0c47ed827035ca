"""Presence and typing over UDP: a ticket, encrypted datagrams, and recovery from loss.

    udp = await UdpClient.open(ticket)              # the answer of POST /api/udp/ticket
    udp.set_status("away")
    udp.people                                      # {user_id: (status, version)}

Needs `cryptography` and `msgpack`.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import Callable
from typing import Any

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MAGIC, HEADER = 0x4E, struct.Struct("<BBQQ")
PING, PONG, STATUS, TYPING, BATCH = 1, 2, 3, 4, 5
STATUSES = {0: "offline", 1: "online", 2: "away", 3: "dnd"}
PAD = "." * 48  # keeps a Ping at least as large as its Pong


class UdpClient(asyncio.DatagramProtocol):
    """A client with one ticket. `drop(datagram)` simulates loss in both directions, for tests."""

    def __init__(self, ticket: dict[str, Any], drop: Callable[[bytes], bool] = lambda _: False) -> None:
        self.connection_id = int(ticket["connection_id"])
        self.up, self.down = (ChaCha20Poly1305(base64.b64decode(ticket[key])) for key in ("key_up", "key_down"))
        self.drop, self.counter, self.known = drop, 0, 0
        self.people: dict[int, tuple[str, int]] = {}
        self.typing: asyncio.Queue[tuple[int, int]] = asyncio.Queue()  # (chat_id, user_id)
        # The clock makes the version of a restarted device newer than its earlier ones.
        self.status, self.version = "online", time.time_ns() // 1_000_000
        self.confirmed = 0  # the version of this device's status that the server has
        self.replies = 0

    @classmethod
    async def open(cls, ticket: dict[str, Any], **options: Any) -> UdpClient:
        host, _, port = ticket["address"].rpartition(":")
        loop = asyncio.get_running_loop()
        client = cls(ticket, **options)
        await loop.create_datagram_endpoint(lambda: client, remote_addr=(host.strip("[]"), int(port)))
        client.ping()
        return client

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def close(self) -> None:
        self.transport.close()

    def seal(self, kind: int, **fields: Any) -> bytes:
        self.counter += 1
        header = HEADER.pack(MAGIC, kind, self.connection_id, self.counter)
        nonce = bytes(4) + struct.pack("<Q", self.counter)
        return header + self.up.encrypt(nonce, msgpack.packb(fields), header)

    def send(self, datagram: bytes) -> None:
        if not self.drop(datagram):
            self.transport.sendto(datagram)

    def ping(self) -> None:
        """Sends the keepalive, which repeats the full state."""
        self.send(self.seal(PING, known=self.known, status=self.status, version=self.version, pad=PAD))

    def set_status(self, status: str) -> None:
        self.status, self.version = status, self.version + 1
        self.send(self.seal(STATUS, status=status, version=self.version))

    def type_in(self, chat_id: int) -> None:
        self.send(self.seal(TYPING, chat_id=chat_id))

    def datagram_received(self, datagram: bytes, _: Any) -> None:
        if self.drop(datagram):
            return
        header, sealed = datagram[: HEADER.size], datagram[HEADER.size :]
        _, kind, _, counter = HEADER.unpack(header)
        try:
            fields = msgpack.unpackb(self.down.decrypt(bytes(4) + struct.pack("<Q", counter), sealed, header))
        except InvalidTag:
            return
        self.replies += 1
        if kind == PONG:
            self.confirmed = max(self.confirmed, fields["version"])
        elif kind == TYPING:
            self.typing.put_nowait((fields["chat_id"], fields["user_id"]))
        elif kind == BATCH:
            self._take(fields)

    def _take(self, batch: dict[str, Any]) -> None:
        for user_id, status, version in batch["users"]:
            if version > self.people.get(user_id, ("", 0))[1]:
                self.people[user_id] = STATUSES.get(status, "offline"), version
        if batch["from"] <= self.known:
            self.known = max(self.known, batch["to"])
        self.ping()  # acknowledges
