"""A session over WebSocket, in JSON or in MessagePack. Covers only the differences from TCP.

    async with WebSession(account, "json") as session:
        await session.send("Ping", request_id=1)
        pong = await session.read("Pong")

Needs `websockets` and `msgpack`.
"""

from __future__ import annotations

import json
from typing import Any

import msgpack
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from netbit_client import Account, Packet


class WebSession:
    """One authenticated connection. `form` is "json" or "msgpack"; the first message sets it."""

    def __init__(self, account: Account, form: str) -> None:
        self.account, self.form = account, form

    async def __aenter__(self) -> WebSession:
        self.socket = await connect(self.account.url.replace("http", "ws", 1) + "/ws", max_size=1 << 21)
        await self.send("Hello", token=self.account.token, request_id=0)
        self.welcome = await self.read("Welcome")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def send(self, packet_type: str, **fields: Any) -> None:
        packet = {"packet_type": packet_type, **fields}
        await self.socket.send(json.dumps(packet) if self.form == "json" else msgpack.packb(packet))

    async def next(self) -> Packet:
        """Returns the next packet. Raises EOFError when the server has closed the connection."""
        try:
            message = await self.socket.recv()
        except ConnectionClosed:
            raise EOFError from None
        assert isinstance(message, str) == (self.form == "json"), "the server answers in the session's form"
        if isinstance(message, str):
            return json.loads(message)
        return msgpack.unpackb(message, strict_map_key=False)

    async def read(self, packet_type: str) -> Packet:
        """Returns the next packet of this type and skips others."""
        while (packet := await self.next())["packet_type"] != packet_type:
            pass
        return packet
