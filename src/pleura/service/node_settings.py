"""What the DICOM node is told: where it listens, who may send, where results go."""

import re
import ssl
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from pleura.errors import ServiceError

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


@dataclass(frozen=True)
class NodeSettings:
    """What the DICOM node is told.

    Attributes:
        port: TCP, to listen on; 0 takes a free one.
        title: its own AE title.
        host: to listen on.
        callers: who may send; empty on loopback only, where anybody may.
        peers: where the results of films that came by the node go.
        geometry: of their segmentations, as `pleura.outputs.dicom.dicom_results` has it.
        certificate, key: PEM files, for TLS both ways; None: none.
        authorities: a PEM file of those who signed the certificates of callers and peers, which TLS demands.

    Raises:
        ServiceError: a title is none, it listens beyond loopback and anybody could send, or of the
            three files of TLS some are missing.
    """

    port: int
    title: str = "PLEURA"
    host: str = "127.0.0.1"
    callers: tuple[Caller, ...] = ()
    peers: tuple[Peer, ...] = ()
    geometry: bool = False
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def __post_init__(self) -> None:
        _check_title(self.title)
        if self.host not in _LOOPBACK and not self.callers:
            raise ServiceError(
                f"a DICOM node on {self.host} can be reached from other machines, and DICOM knows no "
                "password: say who may send, with --dicom-caller TITLE@ADDRESS, or listen on 127.0.0.1"
            )
        files = (self.certificate, self.key, self.authorities)
        if any(files) and not all(files):
            raise ServiceError("TLS takes --dicom-cert, --dicom-key and --dicom-ca together")

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


def peer_from(text: str) -> Peer:
    """`TITLE@HOST:PORT`.

    Raises:
        ServiceError: it is not of that form.
    """
    title, at, place = text.rpartition("@")
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not at or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ServiceError(
            f"{text!r} is no place for results; give AE title, host and port, such as PACS@10.0.0.5:104"
        )
    return Peer(_check_title(title), host, int(port))


def _check_title(title: str) -> str:
    if not _TITLE.fullmatch(title):
        raise ServiceError(
            f"{title!r} is no AE title: 1 to 16 characters of ASCII, no backslash, no space at its ends"
        )
    return title
