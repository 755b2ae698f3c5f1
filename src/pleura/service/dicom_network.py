"""A server of DICOM connections that cannot hold up the service, whatever the other end does or does not."""

from socketserver import TCPServer
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from pleura.pacs.network import SECONDS
from pleura.service.node_settings import address_of


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
