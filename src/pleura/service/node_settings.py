"""What is told of the traffic with archives: where the DICOM node listens, who may send, where results go."""

import re
import ssl
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pleura.errors import ServiceError, UnknownName
from pleura.outputs.dicom import KINDS

_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Caller(NamedTuple):
    """Who may send: an AE title, and the address it sends from."""

    title: str
    address: str


class Peer(NamedTuple):
    """Where results go: an AE title and where it listens."""

    title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


class WebPeer(NamedTuple):
    """Where results go: the URL of a DICOMweb service, without the slash at its end."""

    url: str

    def __str__(self) -> str:
        return self.url


Destination = Peer | WebPeer


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
        web_token: the bearer's, for DICOMweb services among the peers; None: they want none.
        geometry: of their segmentations, as `pleura.outputs.dicom.dicom_results` has it.
        certificate, key: PEM files, for TLS both ways; None: none. DICOMweb services are shown them, too.
        authorities: a PEM file of those who signed the certificates of callers and peers, which TLS demands.

    Raises:
        ServiceError: a title is none, it listens beyond loopback and anybody could send, of the three files
            of TLS some are missing, or a token would be sent in the clear or to nobody.
        UnknownName: a kind is none.
    """

    port: int | None
    title: str = "PLEURA"
    host: str = "127.0.0.1"
    callers: tuple[Caller, ...] = ()
    peers: tuple[Destination, ...] = ()
    kinds: tuple[str, ...] = KINDS
    web_token: str | None = field(default=None, repr=False)
    geometry: bool = False
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def __post_init__(self) -> None:
        _check_title(self.title)
        if self.port is not None and self.host not in _LOOPBACK and not self.callers:
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
        if self.web_token is not None:
            self._check_web_token()

    def _check_web_token(self) -> None:
        web = [peer for peer in self.peers if isinstance(peer, WebPeer)]
        if not web:
            raise ServiceError(
                "a token for DICOMweb is for a --dicom-results that is a URL; there is none"
            )
        for peer in web:
            parts = urlsplit(peer.url)
            if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
                raise ServiceError(
                    f"{peer.url} is not encrypted, and the token could be read on its way; take https"
                )

    def contexts(self) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
        """TLS as a server and as a client, each side showing its certificate; None without TLS.

        Raises:
            ServiceError: a file cannot be used.
        """
        if self.certificate is None or self.key is None:
            return None, None
        made = []
        for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH):
            try:
                context = ssl.create_default_context(purpose, cafile=self.authorities)
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as error:
                files = f"{self.certificate}, {self.key}, {self.authorities}"
                raise ServiceError(f"the files of TLS ({files}) cannot be used: {error}") from None
            context.verify_mode = ssl.CERT_REQUIRED
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            made.append(context)
        return made[0], made[1]


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
    return Caller(_check_title(title), address)


def peer_from(text: str) -> Destination:
    """`TITLE@HOST:PORT`, or the URL of a DICOMweb service.

    Raises:
        ServiceError: it is not of that form.
    """
    if re.match(r"https?://", text, re.IGNORECASE):
        return _web_peer(text)
    title, at, place = text.rpartition("@")
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not at or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ServiceError(
            f"{text!r} is no place for results; give AE title, host and port, such as PACS@10.0.0.5:104, "
            "or the URL of a DICOMweb service, such as https://pacs.example/dicom-web"
        )
    return Peer(_check_title(title), host, int(port))


def _web_peer(text: str) -> WebPeer:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        named = False
    if not named or not text.isprintable() or " " in text:
        raise ServiceError(f"{text!r} is no URL; give one such as https://pacs.example/dicom-web")
    if parts.username is not None or parts.query or parts.fragment:
        raise ServiceError(
            "the URL of a DICOMweb service has no user, password, query or fragment: it stands in the log; "
            "a token goes into a file, --dicom-web-token-file"
        )
    return WebPeer(text.rstrip("/"))


def _check_title(title: str) -> str:
    if not _TITLE.fullmatch(title):
        raise ServiceError(
            f"{title!r} is no AE title: 1 to 16 characters of ASCII, no backslash, no space at its ends"
        )
    return title
