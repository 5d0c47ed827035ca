"""Lets two users chat in a group, and prints the events that they receive.

    pip install -r requirements.txt
    python example.py --server http://127.0.0.1:8080

Registers `ada` and `grace` with the password of --password if they do not exist (other names:
--names carol dave), creates a group, sends messages, prints the history, and exits.
"""

from __future__ import annotations

import argparse
import asyncio

from netbit_client import Account, Client, Packet, Refused


def arrive(server: str, username: str, password: str) -> Account:
    """Logs in; registers the user first if the name is free."""
    account = Account(server)
    try:
        account.register(username, password)
    except Refused as refused:
        if refused.code not in ("conflict", "forbidden"):  # taken, or registration is closed
            raise
    account.login(username, password)
    return account


async def listen(username: str, client: Client, names: dict[int, str], chat_id: int, until: str) -> None:
    """Prints the events of the chat until a message `until` arrives."""
    while True:
        event = await client.events.get()
        if event["kind"] in ("closed", "gone"):
            raise SystemExit(f"{username} receives no more events: {event}")
        if event.get("chat_id") != chat_id:
            continue
        print(f"  {username} receives #{event['seq']}: {describe(event, names)}")
        if event["kind"] == "message" and event["message"]["content"] == until:
            return


def describe(event: Packet, names: dict[int, str]) -> str:
    """Returns a text for an event, also for unknown kinds."""
    actor = names.get(event["actor_id"], "unknown user")
    if event["kind"] == "message":
        return f"{actor}: {event['message']['content']}"
    if event["kind"] == "join":
        return f"{names.get(event['user_id'], 'unknown user')} is in the chat now ({event['role']})"
    return f"{event['kind']} by {actor}"


async def main(server: str, first: str, second: str, password: str) -> None:
    one, two = [await asyncio.to_thread(arrive, server, name, password) for name in (first, second)]
    names = {one.user_id: first, two.user_id: second}
    async with Client(one) as client_one, Client(two) as client_two:
        chat_id = await asyncio.to_thread(one.create_group, "example", [second])
        print(f"chat {chat_id}")
        listeners = [
            asyncio.create_task(listen(first, client_one, names, chat_id, "bye")),
            asyncio.create_task(listen(second, client_two, names, chat_id, "bye")),
        ]
        question = await client_one.say(chat_id, f"hello {second}")
        print(f"written as message {question['message_id']}, event {question['seq']} of the chat")
        await client_two.say(chat_id, f"hello {first}", reply_to=question["message_id"])
        await client_one.say(chat_id, "bye")
        await asyncio.gather(*listeners)
        print("history, newest page first:")
        async for page in client_two.pages("Messages", chat_id, limit=2):
            print("  " + " | ".join(f"{names[message['sender_id']]}: {message['content']}" for message in page))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:8080", help="URL of the server")
    parser.add_argument("--names", nargs=2, default=["ada", "grace"], metavar="NAME")
    parser.add_argument("--password", default="correct horse")
    options = parser.parse_args()
    asyncio.run(main(options.server, options.names[0], options.names[1], options.password))
