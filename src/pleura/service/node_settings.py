"""What is told of the traffic with archives: where the DICOM node listens, who may send, where results go."""

import ssl
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pleura.errors import ServiceError, UnknownName
from pleura.outputs.dicom import KINDS
from pleura.pacs.peers import LOOPBACK, Credentials, Destination, WebPeer, check_title


class Caller(NamedTuple):
    """Who may send: an AE title, and the address it sends from."""

    title: str
    address: str


@dataclass(frozen=True)
class NodeSettings:
    """What is told of the traffic with archives.

    Attributes:
        port: TCP, of the DICOM node; 0 takes a free one; None: there is no node, and films come by STOW-RS.
        title: its own AE title.
        host: to listen on.
        callers: who may send; empty on loopback only, where anybody may.
        peers: where the results of films that archives sent, by C-STORE or STOW-RS, go.
        kinds: which results, of `pleura.outputs.dicom.KINDS`.
        web_token_file: with the bearer's token, for the DICOMweb service among the peers; None: none.
        geometry: of their segmentations, as `pleura.outputs.dicom.dicom_results` has it.
        certificate, key: PEM files, for TLS both ways; None: none. DICOMweb services are shown them, too.
        authorities: a PEM file of those who signed the certificates of callers and peers, which TLS demands.

    Raises:
        ServiceError: it listens beyond loopback and anybody could send, of the three files of TLS some are
            missing, or a token is for nobody.
        ArchiveError: a title is none, or a token would be sent in the clear.
        UnknownName: a kind is none.
    """

    port: int | None
    title: str = "PLEURA"
    host: str = "127.0.0.1"
    callers: tuple[Caller, ...] = ()
    peers: tuple[Destination, ...] = ()
    kinds: tuple[str, ...] = KINDS
    web_token_file: Path | None = None
    geometry: bool = False
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def __post_init__(self) -> None:
        check_title(self.title)
        if self.port is not None and self.host not in LOOPBACK and not self.callers:
            raise ServiceError(
                f"a DICOM node on {self.host} can be reached from other machines, and DICOM knows no "
                "password: say who may send, with --dicom-caller TITLE@ADDRESS, or listen on 127.0.0.1"
            )
        if self.port is None and self.callers:
            raise ServiceError(
                "--dicom-caller says who may send to a DICOM node: give --dicom-port, too"
            )
        files = (self.certificate, self.key, self.authorities)
        if any(files) and not all(files):
            raise ServiceError("TLS takes --dicom-cert, --dicom-key and --dicom-ca together")
        for kind in self.kinds:
            if kind not in KINDS:
                raise UnknownName.among("kind of result", kind, KINDS)
        web = [peer for peer in self.peers if isinstance(peer, WebPeer)]
        if self.web_token_file is not None and len({urlsplit(peer.url)[:2] for peer in web}) != 1:
            raise ServiceError(
                "a token for DICOMweb is for one service, a --dicom-results that is a URL; there is none, or "
                "are several, of which each would see the other's"
            )
        for peer in web:
            self.credentials.check(peer)

    @property
    def credentials(self) -> Credentials:
        """What proves to peers who we are."""
        return Credentials(self.web_token_file, self.certificate, self.key, self.authorities)

    def contexts(self) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
        """TLS as a server and as a client, each side showing its certificate; None without TLS.

        Raises:
            ArchiveError: a file cannot be used.
        """
        tls = self.credentials.tls
        return tls(ssl.Purpose.CLIENT_AUTH), tls(ssl.Purpose.SERVER_AUTH)


def address_of(text: str) -> str:
    """An IP address as all its spellings are compared; ::ffff:10.0.0.5 is 10.0.0.5.

    Raises:
        ValueError: it is none.
    """
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def caller_from(text: str) -> Caller:
    """`TITLE@ADDRESS`.

    Raises:
        ServiceError: it is not of that form.
    """
    title, at, address = text.rpartition("@")
    try:
        address = address_of(address)
    except ValueError:
        at = ""
    if not at:
        raise ServiceError(
            f"{text!r} is no caller; give AE title and IP address, such as PACS@10.0.0.5"
        )
    return Caller(check_title(title), address)
