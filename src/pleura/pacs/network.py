"""DICOM over TCP that cannot hold anyone up, whatever the other end sends or does not."""

import ssl
import time
from socket import socket
from typing import Any

SECONDS = 60.0
"""For which the other end may be silent, or take for one piece of a message."""

_MOST_BYTES = 1 << 20  # of one piece; a peer that keeps to what is negotiated sends 16 KiB


def guard(event: Any) -> None:
    """Bounds what is read at once, and the time for it; a handler of `EVT_CONN_OPEN` at either end.

    pynetdicom reads as much as the other end says it will send, and waits for it without an end.
    """
    transport = event.assoc.dul.socket
    connection: socket | ssl.SSLSocket = transport.socket
    connection.settimeout(SECONDS)

    def received(wanted: int) -> bytearray:
        if wanted > _MOST_BYTES:
            raise OSError("the other end says that it sends more than a piece of a message may be")
        until, got = time.monotonic() + SECONDS, bytearray()
        while len(got) < wanted:
            left = until - time.monotonic()
            if left <= 0.0:
                raise TimeoutError("the other end sends too slowly")
            connection.settimeout(left)
            part = connection.recv(wanted - len(got))
            if not part:
                break
            got += part
        connection.settimeout(SECONDS)
        return got

    transport.recv = received
