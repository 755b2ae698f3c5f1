"""Connections of DICOM that cannot hold up the service, whatever the other end sends or does not."""

import ssl
import time
from socket import socket
from socketserver import TCPServer
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from pleura.service.node_settings import address_of

SECONDS = 60.0
"""For which the other end may be silent, or take for one piece of a message."""

_MOST_BYTES = 1 << 20  # of one piece; a peer that keeps to what is negotiated sends 16 KiB


class Server(ThreadedAssociationServer):
    """pynetdicom's, which lets a connection wait only for itself.

    Its own does the handshake of TLS before it takes the next connection, and without an end.

    Args:
        addresses: from which connections are taken; empty: from all.
    """

    def __init__(self, *given: Any, addresses: frozenset[str], **named: Any) -> None:
        self._addresses = addresses
        super().__init__(*given, **named)

    def get_request(self) -> Any:
        """The next connection; its handshake is done by the thread that reads from it."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        connection.settimeout(SECONDS)
        if self.ssl_context is None:
            return connection, address
        wrapped = self.ssl_context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, address

    def shutdown(self) -> None:
        """Ends it, as pynetdicom's, which looks for itself in the list of an entity that started it."""
        TCPServer.shutdown(self)
        self.server_close()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection from there is taken."""
        return not self._addresses or address_of(client_address[0]) in self._addresses


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
