"""Lines to archives, whichever way they speak."""

import ssl
from collections.abc import Callable

from pleura.pacs.c_store import Association
from pleura.pacs.lines import Line
from pleura.pacs.peers import Credentials, Destination, Peer
from pleura.pacs.stow import Web


def open_line(title: str, credentials: Credentials) -> Callable[[Destination], Line]:
    """What opens lines to archives; it raises `Away` where there is none to be had.

    Args:
        title: our own AE title.
        credentials: what proves to them who we are.

    Raises:
        ArchiveError: the files of TLS cannot be used.
    """
    tls = credentials.tls(ssl.Purpose.SERVER_AUTH)

    def opened(peer: Destination) -> Line:
        if isinstance(peer, Peer):
            return Association(peer, title, tls)
        return Web(peer, credentials)

    return opened
