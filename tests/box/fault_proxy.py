"""A network that fails: a TCP proxy in front of a server, which does to the traffic what it is told.

proxy = Proxy("http://127.0.0.1:9000"); proxy.url -> "http://127.0.0.1:43127"
proxy.choose = seeded(1, request={"503": 0.1, "cut": 0.05}, down={"slow": 0.01})
proxy.cut(silent=True); ...; proxy.mend()        # nothing comes through, and nobody is told
"""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

STATUS = {"503": b"503 Slow Down", "500": b"500 Internal Server Error"}
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Slow Down</Message></Error>"
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
Choose = Callable[[str], str]
"""What to do with "request", "up" (more of one) or "down" (a part of an answer): a fault's name, or "" for none."""


class Proxy:
    """Listens on a port of its own; does to each part of the traffic what `choose` says, and counts faults."""

    def __init__(self, server: str) -> None:
        self.server_url = server
        self._server = (urlsplit(server).hostname, urlsplit(server).port)
        self.choose: Choose = lambda _: ""
        self.requests, self.faults = 0, Counter[str]()
        self._open: set[socket.socket] = set()
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def cut(self, *, silent: bool) -> None:
        """Let nothing through until `mend`: by saying so, or (`silent`) as a cable that was pulled."""
        if silent:
            self._flows.clear()
            return
        self._refuses = True
        for end in list(self._open):
            _end(end)

    def mend(self) -> None:
        """The network is back; what a silent cut held up arrives late."""
        self._refuses = False
        self._flows.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            if self._refuses:
                raise ConnectionRefusedError
            server = socket.create_connection(self._server)
        except OSError:  # as nobody listens: the client is told
            _end(client)
            return
        self._open |= {client, server}
        for source, target, way in ((client, server, "up"), (server, client, "down")):
            threading.Thread(target=self._relay, args=(source, target, way), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                begins = way == "up" and data.startswith(METHODS)
                self.requests += begins
                fault = self.choose("request" if begins else way)
                self.faults[fault] += 1
                if fault in STATUS:
                    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                    source.sendall(head % (STATUS[fault], len(BUSY)) + BUSY)
                    break
                if fault == "cut":
                    target.sendall(data[: len(data) // 2])
                    break
                if fault == "slow":
                    time.sleep(0.1)
                if fault == "flip":
                    data = data[:-1] + bytes([data[-1] ^ 1])
                target.sendall(data)
        for end in (source, target):
            self._open.discard(end)
            _end(end)


def seeded(seed: int | str, **chances: dict[str, float]) -> Choose:
    """Faults by chance: `request={"503": 0.1}`."""
    chance = random.Random(seed)

    def choose(kind: str) -> str:
        drawn = chance.random()
        for fault, share in chances.get(kind, {}).items():
            if drawn < share:
                return fault
            drawn -= share
        return ""

    return choose


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
