#!/usr/bin/env python3
"""Forwards TCP connections to a server, and adds a round trip time.

    python3 scripts/measure/delay_proxy.py 127.0.0.1:5432 0.5

Needs Linux and Python 3.9. Delays each direction by half of the milliseconds, less the time that it
needs itself. Prints the address that it listens on, and the round trip time that it really adds:
the difference of the medians of 1,000 echoes through the proxy and without it. Then runs until it
is terminated.
"""
import queue
import socket
import statistics
import sys
import threading
import time


def forward(source, target, delay):
    waiting = queue.SimpleQueue()

    def send():
        while True:
            at, data = waiting.get()
            pause = at + delay - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            try:
                if not data:
                    return target.shutdown(socket.SHUT_WR)
                target.sendall(data)
            except OSError:
                return source.close()

    threading.Thread(target=send, daemon=True).start()
    while True:
        try:
            data = source.recv(1 << 18)
        except OSError:
            data = b""
        waiting.put((time.monotonic(), data))
        if not data:
            return


def serve(listener, target, delay):
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(target)
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=forward, args=(one, other, delay), daemon=True).start()


def proxy(target, delay):
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, target, delay), daemon=True).start()
    return listener.getsockname()


def echoes(address):
    """Returns the median round trip of an echo, in seconds."""
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        for _ in range(1_000):
            begun = time.monotonic()
            connection.sendall(b"x" * 100)
            connection.recv(1_000)
            took.append(time.monotonic() - begun)
    return statistics.median(took)


def echo_server():
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1_000):
            connection.sendall(data)

    def run():
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    wanted = float(sys.argv[2]) / 1_000
    # Without this, the interpreter keeps a thread for up to 5 ms.
    sys.setswitchinterval(1e-5)
    echo = echo_server()
    own = echoes(proxy(echo, 0)) - echoes(echo)
    delay = max(0.0, wanted - own) / 2
    added = echoes(proxy(echo, delay)) - echoes(echo)
    address = proxy((host, int(port)), delay)
    print(f"{address[0]}:{address[1]} adds {added * 1_000:.2f} ms", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
