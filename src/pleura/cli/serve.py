"""`pleura serve`: the page and the API."""

import logging
import math
import os
import tempfile
import warnings
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.options import Device
from pleura.cli.progress import console
from pleura.errors import MissingExtra, ServiceError
from pleura.inference.runtimes.base import MAX_THREADS

if TYPE_CHECKING:
    from pleura.service.settings import Settings

TOKEN_VARIABLE = "PLEURA_TOKEN"
_DEFAULT_STORE = Path("pleura-store")
_GIB = 1 << 30
_MIB = 1 << 20
_STOP_SECONDS = 5


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):  # in every range without an end
        raise typer.BadParameter(f"give a number; got {value}")
    return value


def serve(
    *,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", "-b", help="The model.", show_default="the shipped one"),
    ] = None,
    store: Annotated[
        Path, typer.Option(help="Where films and findings are kept; a folder.")
    ] = _DEFAULT_STORE,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine it takes a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: a free one.", min=0, max=65535)] = 8350,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=f"A file with the token that lets one in. Or the variable {TOKEN_VARIABLE}.",
            show_default=False,
        ),
    ] = None,
    user_header: Annotated[
        str | None,
        typer.Option(
            help="The header in which the proxy of --proxy says who asks, such as X-Forwarded-User.",
            show_default=False,
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            help="The address of the proxy whose headers are believed.", show_default=False
        ),
    ] = None,
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify", help="Take out what tells whose a film is, before it is kept."
        ),
    ] = False,
    keep_days: Annotated[
        float | None,
        typer.Option(
            help="Delete films after so many days.",
            show_default="never",
            min=0.01,
            callback=_finite,
        ),
    ] = None,
    disk_limit: Annotated[
        float | None,
        typer.Option(
            help="Of the films, in GiB.", show_default="the disk", min=0.01, callback=_finite
        ),
    ] = None,
    upload_limit: Annotated[
        float, typer.Option(help="Of one upload, in GiB.", min=0.001, callback=_finite)
    ] = 2.0,
    film_limit: Annotated[
        float, typer.Option(help="Of one film, in MiB.", min=0.1, callback=_finite)
    ] = 256.0,
    pixel_limit: Annotated[
        float, typer.Option(help="Of one film, in millions of pixels.", min=0.1, callback=_finite)
    ] = 50.0,
    jobs: Annotated[
        str | None,
        typer.Option(
            help="A PostgreSQL URL for the durable jobs.", show_default="SQLite in the store"
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Films judged at once.", min=1, max=64)] = 2,
    device: Device = "auto",
    runtime: Annotated[str, typer.Option(help="auto, openvino, onnxruntime or torch.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16 or f16.")] = "auto",
    threads: Annotated[
        int, typer.Option(help="Of the network; 0: all there are.", min=0, max=MAX_THREADS)
    ] = 0,
    dicom_port: Annotated[
        int | None,
        typer.Option(
            help="Be a DICOM node, too: films come by C-STORE. 104 and 11112 are usual; 0: a free one.",
            show_default=False,
            min=0,
            max=65535,
        ),
    ] = None,
    dicom_title: Annotated[str, typer.Option(help="The node's own AE title.")] = "PLEURA",
    dicom_host: Annotated[
        str, typer.Option(help="Where the node listens; beyond this machine it takes callers.")
    ] = "127.0.0.1",
    dicom_caller: Annotated[
        list[str] | None,
        typer.Option(
            help="Who may send: TITLE@ADDRESS; may be given several times.", show_default=False
        ),
    ] = None,
    dicom_results: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the results of films that archives sent go: TITLE@HOST:PORT, or a DICOMweb URL.",
            show_default=False,
        ),
    ] = None,
    dicom_kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Which results are sent: seg, sr, sc; may be given several times.",
            show_default="all",
        ),
    ] = None,
    dicom_web_token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the token that a DICOMweb URL of --dicom-results wants.",
            show_default=False,
        ),
    ] = None,
    dicom_geometry: Annotated[
        bool,
        typer.Option(
            "--dicom-geometry", help="Of segmentations that are sent: as pleura predict has it."
        ),
    ] = False,
    dicom_cert: Annotated[
        Path | None,
        typer.Option(help="With a key and a CA: the node speaks TLS only.", show_default=False),
    ] = None,
    dicom_key: Annotated[
        Path | None, typer.Option(help="Of the certificate.", show_default=False)
    ] = None,
    dicom_ca: Annotated[
        Path | None,
        typer.Option(help="Who signed the others' certificates.", show_default=False),
    ] = None,
    check_audit: Annotated[
        bool,
        typer.Option("--check-audit", help="Only check that nobody changed the audit log."),
    ] = False,
) -> None:
    """Serve the page and the API; research only, not a medical device.

    Drop films on the page, see the findings, correct them. Nothing that was taken is lost, by kill -9
    neither: it goes on at the next start. docs/how-to/serve.md says how to run it in a hospital's network.
    """
    if check_audit:
        _check_audit(store)
        return
    _need_libraries()
    node = None
    if dicom_port is not None or dicom_results:
        _need_dicom()
        from pleura.outputs.dicom import KINDS
        from pleura.pacs.peers import peer_from
        from pleura.service.node_settings import NodeSettings, caller_from

        node = NodeSettings(
            dicom_port,
            dicom_title,
            dicom_host,
            callers=tuple(map(caller_from, dicom_caller or ())),
            peers=tuple(dict.fromkeys(map(peer_from, dicom_results or ()))),
            kinds=tuple(dict.fromkeys(dicom_kind or KINDS)),
            web_token_file=dicom_web_token_file,
            geometry=dicom_geometry,
            certificate=dicom_cert,
            key=dicom_key,
            authorities=dicom_ca,
        )
    elif any(
        (
            dicom_caller,
            dicom_geometry,
            dicom_kind,
            dicom_web_token_file,
            dicom_cert,
            dicom_key,
            dicom_ca,
        )
    ):
        raise typer.BadParameter(
            "what begins with --dicom- is for a DICOM node or for results: give --dicom-port or "
            "--dicom-results"
        )
    from pleura.inference.shipped import default_bundle
    from pleura.read import Limits
    from pleura.service.settings import Bounds, Settings

    settings = Settings(
        store=store,
        bundle=bundle or default_bundle(),
        host=host,
        port=port,
        token=_token(token_file),
        user_header=user_header,
        proxy=proxy,
        deidentify=deidentify,
        keep_days=keep_days,
        jobs_url=jobs,
        workers=workers,
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
        bounds=Bounds(
            upload_bytes=int(upload_limit * _GIB),
            film=Limits(int(film_limit * _MIB), int(pixel_limit * 1e6)),
            store_bytes=None if disk_limit is None else int(disk_limit * _GIB),
        ),
        node=node,
    )
    _run(settings)


def _run(settings: "Settings") -> None:
    import uvicorn

    from pleura.service.app import create_app

    os.umask(0o077)  # the store is nobody else's, also where its folder is older
    # Libraries may quote a film's header, or a body: patient data.
    warnings.filterwarnings("ignore", module="pydicom")
    for library in ("pydicom", "python_multipart"):
        logging.getLogger(library).setLevel(logging.CRITICAL)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                node, node_port = settings.node, app.state.running.node_port
                if node is not None and node_port is not None:
                    console.print(
                        f"DICOM node {node.title} at {node.host}:{node_port}", highlight=False
                    )
                port = self.servers[0].sockets[0].getsockname()[1]
                name = f"[{settings.host}]" if ":" in settings.host else settings.host
                console.print(
                    f"pleura serves at http://{name}:{port}", highlight=False, soft_wrap=True
                )

        async def shutdown(self, sockets: list[socket] | None = None) -> None:
            app.state.running.hush()
            await super().shutdown(sockets)

    app = create_app(settings)
    # Where a reader's mask goes that is too large for memory: it is the store's, and its room is watched.
    tempfile.tempdir = str(app.state.running.store.folders.spool)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,  # addresses hold ids, and the audit log has who saw what
        server_header=False,
        proxy_headers=False,  # `Access` sees to them
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    try:
        Server(config).run()
    finally:
        app.state.running.stop()


def _check_audit(store: Path) -> None:
    from pleura.service.audit import verify

    path = store / "audit.jsonl"
    if not path.is_file():
        raise ServiceError(f"{store} has no audit log; give the --store of a service")
    console.print(f"{verify(path)} lines, each as it was written")


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    from pleura.pacs.peers import read_token

    return read_token(file)


def _need_dicom() -> None:
    try:
        import highdicom  # noqa: F401
        import pynetdicom  # noqa: F401
        import requests  # noqa: F401
    except ImportError as error:
        raise MissingExtra.needing("What begins with --dicom-", "dicom", error) from None


def _need_libraries() -> None:
    try:
        import dbos  # noqa: F401
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra.needing("pleura serve", "serve", error) from None
