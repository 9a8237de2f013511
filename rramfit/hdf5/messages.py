"""What both sides agree on: the form of messages, and the attributes that hold digests.

A message to a reader is its length in 4 bytes, then JSON; one to the original is 16 characters.
"""

from __future__ import annotations

import json
import socket
from typing import Any

__all__ = [
    "CONTENT",
    "DATA",
    "END",
    "ENDED",
    "FORK",
    "FORKED",
    "receive",
    "receive_exactly",
    "send",
]

DATA, CONTENT = "sha256", "content_sha256"
FORK, END = b"f%15d", b"e%15d"
FORKED, ENDED = b"F%15d", b"E%15d"
_LONGEST = 2**28  # bytes; a message above it was not written by our own code


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    text = json.dumps(message).encode()
    connection.sendall(len(text).to_bytes(4, "big") + text)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Receive one message; None at the end of the connection, also within a message."""
    head = receive_exactly(connection, bytearray(4))
    length = int.from_bytes(head or b"", "big")
    if not 0 < length <= _LONGEST:
        return None
    text = receive_exactly(connection, bytearray(length))
    if text is None:
        return None
    message: dict[str, Any] = json.loads(bytes(text))
    return message


def receive_exactly(connection: socket.socket, buffer: Any) -> Any:
    """Fill a buffer; None if the connection ends before it is full."""
    view = memoryview(buffer).cast("B")
    at = 0
    while at < len(view):
        try:
            got = connection.recv_into(view[at:])
        except ConnectionError:
            return None
        if not got:
            return None
        at += got
    return buffer
