"""What the service is told when it starts."""

from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from pleura.errors import ServiceError
from pleura.pacs.peers import LOOPBACK
from pleura.read import Limits
from pleura.service.node_settings import NodeSettings

_MIN_TOKEN = 16


@dataclass(frozen=True)
class Bounds:
    """How much the service takes at once.

    Attributes:
        upload_bytes: of one request's body, and of what its zips hold together.
        film: of one film.
        files_per_upload: files, those inside zips included.
        zip_ratio: how many times larger than its zip a member may be.
        uploads: that are received at once; one more is told to come back.
        idle_seconds: a client may be silent while it sends.
        least_rate: bytes a second that a client sends at least, on the average; after `idle_seconds`.
        decode_seconds: for one file, after which its process is killed.
        decoder_bytes: address space of a process that opens files.
        store_bytes: of the whole store; None: as much as the disk has.
        free_bytes: of the disk that are left free.
    """

    upload_bytes: int = 2 << 30
    film: Limits = field(default_factory=lambda: Limits(256 << 20, 50_000_000))
    files_per_upload: int = 2000
    zip_ratio: int = 200
    uploads: int = 8
    idle_seconds: float = 60.0
    least_rate: float = 16384.0
    decode_seconds: float = 60.0
    decoder_bytes: int = 4 << 30
    store_bytes: int | None = None
    free_bytes: int = 256 << 20


@dataclass(frozen=True)
class Settings:
    """What the service is told when it starts.

    Attributes:
        store: the folder with films, findings and the index; made where it is missing.
        bundle: the model.
        host, port: to listen on; port 0 takes a free one.
        token: who has it may ask; None on loopback only.
        user_header: a header in which the proxy says who asks; None: no header is believed.
        proxy: the address of the proxy, or several or networks with commas between; believed is what it
            alone says of whom it speaks for. None: there is none.
        deidentify: take out of every film what tells whose it is, before it is kept.
        keep_days: films older than that are deleted, corrected ones excepted; None keeps all.
        jobs_url: an SQLAlchemy URL (Postgres) for the durable jobs; None: SQLite in the store.
        workers: films that are judged at once, each with a process that opens files.
        device, runtime, precision, threads: as of `Detector.load`.
        bounds: see `Bounds`.
        node: the DICOM node; None: there is none.

    Raises:
        ServiceError: beyond loopback without a token, a token too short to be one, a proxy that is no
            address, or results of films whose identity was taken out are to be sent.
    """

    store: Path
    bundle: Path
    host: str = "127.0.0.1"
    port: int = 8350
    token: str | None = field(default=None, repr=False)
    user_header: str | None = None
    proxy: str | None = None
    deidentify: bool = False
    keep_days: float | None = None
    jobs_url: str | None = field(default=None, repr=False)
    workers: int = 2
    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    threads: int = 0
    bounds: Bounds = field(default_factory=Bounds)
    node: NodeSettings | None = None

    def __post_init__(self) -> None:
        if self.token is None and not self.on_loopback:
            raise ServiceError(
                f"{self.host} can be reached from other machines, which needs a token: give "
                "--token-file FILE, or listen on 127.0.0.1"
            )
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise ServiceError(
                f"the token has {len(self.token)} characters; take {_MIN_TOKEN} or more, "
                "such as those of: openssl rand -hex 24"
            )
        if self.deidentify and self.node is not None and self.node.peers:
            raise ServiceError(
                "--deidentify takes out whose a film is, and --dicom-results would send results of nobody's "
                "films to an archive; leave one of them out"
            )
        if self.token is None and self.user_header is not None:
            raise ServiceError(
                "a header that says who asks is believed only with a token, which the proxy sends along"
            )

        if self.proxy is None and self.user_header is not None:
            raise ServiceError(
                "a header that says who asks is believed only of the proxy: give its address, by --proxy"
            )
        if self.proxy is not None:
            for one in self.proxy.split(","):
                _check_address(one.strip())

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can ask."""
        return self.host in LOOPBACK


def _check_address(text: str) -> None:
    """Raises `ServiceError` unless it is an IP address or a network: connections have no names."""
    try:
        ip_network(text)
    except ValueError:
        raise ServiceError(
            f"--proxy {text!r} is no IP address or network; give one such as 127.0.0.1 or 10.0.0.0/24"
        ) from None
