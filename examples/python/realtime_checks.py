"""Checks of resume, WebSocket and UDP for run_against_server.py."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from netbit_client import Account, Client, Packet
from udp_client import PING, UdpClient
from websocket_client import WebSession

PATIENCE = 20  # seconds
PASSWORD = "correct horse"


async def soon(awaited: Any) -> Any:
    return await asyncio.wait_for(awaited, PATIENCE)


async def until(condition: Callable[[], bool], often: Callable[[], None] = lambda: None) -> None:
    """Waits until `condition` holds, and calls `often` meanwhile."""

    async def wait() -> None:
        while not condition():
            often()
            await asyncio.sleep(0.05)

    await soon(wait())


class RealtimeChecks:
    """The checks. Dora and Emil share a group."""

    def __init__(self, server: Any) -> None:
        self.server = server

    async def call(self, account: Account, method: str, path: str, body: Packet | None = None) -> Packet:
        return await asyncio.to_thread(account.call, method, path, body)

    async def ticket(self, account: Account) -> Packet:
        return await self.call(account, "POST", "/api/udp/ticket", {"device_id": "phone"})

    async def two_more_users_share_a_group(self) -> None:
        self.dora, self.emil = self.server.account(), self.server.account()
        for name, account in (("dora", self.dora), ("emil", self.emil)):
            await asyncio.to_thread(account.register, name, PASSWORD)
            await asyncio.to_thread(account.login, name, PASSWORD)
        self.chat = await asyncio.to_thread(self.dora.create_group, "realtime", ["emil"])

    async def replay_shows_missed_messages_in_their_current_state(self) -> None:
        path = f"/api/chats/{self.chat}/messages"
        ids = [(await self.call(self.dora, "POST", path, {"content": str(n)}))["id"] for n in range(5)]
        await self.call(self.dora, "PATCH", f"{path}/{ids[0]}", {"content": "edited"})
        await self.call(self.dora, "DELETE", f"{path}/{ids[1]}")
        await self.call(self.dora, "PUT", f"{path}/{ids[2]}/reactions/%2B1")
        async with WebSession(self.emil, "msgpack") as session:
            await session.send("Resume", epoch=session.welcome["epoch"], cursors={self.chat: 2})
            events = [await soon(session.read("Event")) for _ in range(8)]
            assert [event["seq"] for event in events] == list(range(3, 11))
            assert [event["kind"] for event in events[5:]] == ["edit", "delete", "react"]
            assert events[0]["message"]["content"] == "edited"
            assert events[1]["message"]["deleted"] and events[1]["message"]["content"] == ""
            assert events[2]["message"]["reactions"] == [{"emoji": "+1", "user_ids": [self.dora.user_id]}]
            assert (await soon(session.read("Synced")))["seq"] == 10

    async def disconnected_client_gets_every_event_once(self) -> None:
        client = Client(self.emil, history=1 << 40)
        async with client:
            for n in range(5):
                await self.call(self.dora, "POST", f"/api/chats/{self.chat}/messages", {"content": f"cut {n}"})
                if n % 2:
                    client._writer.transport.abort()  # simulate a network failure
            seqs = []
            while len(seqs) < 15:
                event = await soon(client.events.get())
                if event.get("chat_id") == self.chat:
                    seqs.append(event["seq"])
            assert seqs == list(range(1, 16)), seqs

    async def json_over_websocket_equals_rest(self) -> None:
        async with WebSession(self.emil, "json") as session:
            message = {"client_id": str(uuid4()), "content": "from a browser"}
            await session.send("SendMessage", request_id=7, chat_id=self.chat, message=message)
            packets = [await soon(session.next()), await soon(session.next())]
            while {"Ack", "Event"} - {packet["packet_type"] for packet in packets}:
                packets.append(await soon(session.next()))
            (event,) = [packet for packet in packets if packet["packet_type"] == "Event"]
            listed = await self.call(self.dora, "GET", f"/api/chats/{self.chat}/messages?limit=1")
            assert event["message"] == listed["items"][0]
            assert event["message"]["client_id"] == message["client_id"]

    async def mark_reaches_the_other_device(self) -> None:
        async with WebSession(self.emil, "json") as phone, WebSession(self.emil, "msgpack") as desk:
            await phone.send("Mark", request_id=1, chat_id=self.chat, read_seq=12)
            marks = await soon(desk.read("Marks"))
            assert (marks["chat_id"], marks["marks"][0]["read_seq"]) == (self.chat, 12)
            assert marks["unread_count"] > 0

    async def presence_and_typing_reach_udp_and_sessions(self) -> None:
        emil = await UdpClient.open(await self.ticket(self.emil))
        try:
            async with WebSession(self.dora, "json") as dora:
                await until(lambda: emil.people.get(self.dora.user_id, ("",))[0] == "online")
                emil.set_status("dnd")
                while not any(
                    view["user_id"] == self.emil.user_id and view["status"] == "dnd"
                    for view in (await soon(dora.read("Presence")))["users"]
                ):
                    pass
                await dora.send("Typing", chat_id=self.chat)
                assert await soon(emil.typing.get()) == (self.chat, self.dora.user_id)
                emil.type_in(self.chat)
                assert (await soon(dora.read("Typing")))["user_id"] == self.emil.user_id
        finally:
            emil.close()

    async def altered_replayed_and_foreign_datagrams_get_no_answer(self) -> None:
        client = await UdpClient.open(await self.ticket(self.emil))
        stranger = await UdpClient.open({**await self.ticket(self.dora), "key_up": "A" * 43 + "="})
        try:
            await until(lambda: client.confirmed == client.version)
            good = client.seal(PING, known=client.known, pad="." * 48)
            client.send(good)
            before = client.replies
            await until(lambda: client.replies > before)
            await asyncio.sleep(1)  # receive packets that are still in flight
            before = client.replies
            client.send(good)
            client.send(good[:-1] + bytes([good[-1] ^ 1]))
            client.send(b"\x4e" * 600)
            await asyncio.sleep(0.5)
            assert (client.replies, stranger.replies) == (before, 0)
        finally:
            client.close()
            stranger.close()

    async def udp_converges_with_30_percent_loss(self) -> None:
        dice = random.Random(7)
        drop = lambda _: dice.random() < 0.3  # noqa: E731
        clients = [await UdpClient.open(await self.ticket(account), drop=drop) for account in (self.dora, self.emil)]
        dora, emil = clients
        try:
            for status in ("away", "online", "dnd", "away"):
                dora.set_status(status)
                await asyncio.sleep(0.05)
            emil.set_status("dnd")

            def sees(client: UdpClient, other: Account, status: str) -> bool:
                return client.people.get(other.user_id, ("",))[0] == status

            turn = 0

            def keepalive() -> None:  # once a second, to keep the test short
                nonlocal turn
                turn += 1
                if turn % 20 == 0:
                    dora.ping()
                    emil.ping()

            await until(lambda: sees(dora, self.emil, "dnd") and sees(emil, self.dora, "away"), keepalive)
        finally:
            for client in clients:
                client.close()

    async def logout_ends_websocket_and_udp(self) -> None:
        again = self.server.account()
        await asyncio.to_thread(again.login, "emil", PASSWORD)
        udp = await UdpClient.open(await self.ticket(again))
        try:
            async with WebSession(again, "json") as session:
                await until(lambda: udp.confirmed == udp.version)
                await asyncio.to_thread(again.logout)
                assert (await soon(session.read("Goodbye")))["code"] == "revoked"
                with contextlib.suppress(EOFError):
                    raise AssertionError(await soon(session.next()))
            before = udp.confirmed
            udp.set_status("away")
            udp.ping()
            await asyncio.sleep(0.5)
            assert udp.confirmed == before
        finally:
            udp.close()
