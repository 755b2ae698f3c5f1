"""Where an archive is, by AE title or by URL, and what proves who we are."""

import logging
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pleura.errors import ArchiveError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOKEN, _MOST_TOKEN = re.compile(rb"[\x21-\x7e]+"), 16384
_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")


class Peer(NamedTuple):
    """An archive that speaks DIMSE: an AE title and where it listens."""

    title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


class WebPeer(NamedTuple):
    """An archive that speaks DICOMweb: its URL, without the slash at its end."""

    url: str

    def __str__(self) -> str:
        return self.url


Destination = Peer | WebPeer


@dataclass(frozen=True)
class Credentials:
    """What proves who we are, and whom we trust.

    Attributes:
        token_file: with the bearer's token, for DICOMweb; read for each connection, as tokens end and are
            written anew; None: none is wanted.
        certificate, key: PEM files, for TLS; None: none, and C-STORE without TLS.
        authorities: a PEM file of those who signed the others' certificates; None, for DICOMweb alone: those
            that the machine trusts, or of REQUESTS_CA_BUNDLE.
    """

    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def token(self) -> str | None:
        """The token, as its file holds it now.

        Raises:
            ArchiveError: it holds none.
        """
        return None if self.token_file is None else read_token(self.token_file)

    def check(self, peer: Destination) -> None:
        """Refuses to send the token where it could be read on its way, or where nobody asks for one.

        Raises:
            ArchiveError: the peer speaks DIMSE, the URL is of another machine and not encrypted, the file
                holds no token, or another file is not there.
        """
        for file in (self.certificate, self.key, self.authorities):
            if file is not None and not file.is_file():
                raise ArchiveError(f"{file} is no file; give a certificate or key in PEM")
        if self.token() is None:
            return
        if isinstance(peer, Peer):
            raise ArchiveError(f"C-STORE knows no token, and {peer} is no URL; leave the token out")
        parts = urlsplit(peer.url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ArchiveError(
                f"{peer.url} is not encrypted, and the token could be read on its way; take https"
            )

    def tls(self, purpose: ssl.Purpose) -> ssl.SSLContext | None:
        """TLS in which both sides show a certificate, we none where we have none; None without any file.

        Args:
            purpose: SERVER_AUTH as a client, CLIENT_AUTH as a server.

        Raises:
            ArchiveError: a file cannot be used.
        """
        if self.certificate is None and self.authorities is None:
            return None
        try:
            context = ssl.create_default_context(purpose, cafile=self.authorities)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{self.certificate}, {self.key}, {self.authorities}"
            raise ArchiveError(f"the files of TLS ({files}) cannot be used: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def read_token(file: Path) -> str:
    """The token that a file holds; warns where others can read it.

    Raises:
        ArchiveError: it cannot be read, or does not hold one word of ASCII.
    """
    try:
        token = file.read_bytes()[: _MOST_TOKEN + 1].strip()
        if file.stat().st_mode & 0o077:
            logging.getLogger(__name__).warning("others than you can read %s: chmod 600 it", file)
    except OSError as error:
        raise ArchiveError(
            f"{file} cannot be read ({error.strerror}); it should hold a token"
        ) from None
    if not _TOKEN.fullmatch(token) or len(token) > _MOST_TOKEN:
        raise ArchiveError(
            f"{file} holds no token: one word of printable ASCII characters, {_MOST_TOKEN:,} at most, and "
            "nothing else"
        )
    return token.decode()


def peer_from(text: str) -> Destination:
    """`TITLE@HOST:PORT`, or the URL of a DICOMweb service.

    Raises:
        ArchiveError: it is not of that form.
    """
    if re.match(r"https?://", text, re.IGNORECASE):
        return WebPeer(checked_url(text))
    title, at, place = text.rpartition("@")
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not at or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ArchiveError(
            f"{text!r} is no archive; give AE title, host and port, such as PACS@10.0.0.5:104, or the URL of "
            "a DICOMweb service, such as https://pacs.example/dicom-web"
        )
    return Peer(check_title(title), host, int(port))


def checked_url(text: str) -> str:
    """The URL of a DICOMweb service, without the slash at its end.

    Raises:
        ArchiveError: it is none, or holds what must not stand in a log.
    """
    try:
        parts = urlsplit(text)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        named = False
    if not named or not text.isprintable() or " " in text:
        raise ArchiveError(f"{text!r} is no URL; give one such as https://pacs.example/dicom-web")
    if parts.username is not None or "?" in text or "#" in text:
        raise ArchiveError(
            "the URL of a DICOMweb service has no user, password, query or fragment: it stands in logs; a "
            "token goes into a file"
        )
    return text.rstrip("/")


def check_title(title: str) -> str:
    """The AE title, if it is one.

    Raises:
        ArchiveError: it is none (PS3.5 6.2).
    """
    if not _TITLE.fullmatch(title):
        raise ArchiveError(
            f"{title!r} is no AE title: 1 to 16 characters of ASCII, no backslash, no space at its ends"
        )
    return title
