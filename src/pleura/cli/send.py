"""`pleura send`: the DICOM results of `pleura predict` to an archive."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import Bar, console
from pleura.errors import MissingExtra, UnknownName


def send(
    out: Annotated[
        Path,
        typer.Argument(help="What pleura predict --dicom was given as --out.", show_default=False),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="The archive: TITLE@HOST:PORT, or the URL of its DICOMweb service.",
            show_default=False,
        ),
    ],
    title: Annotated[str, typer.Option(help="Our own AE title.")] = "PLEURA",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Which results: seg, sr, sc; may be given several times.", show_default="all"
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the token that a DICOMweb service wants.", show_default=False
        ),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Who signed its certificate (PEM).", show_default=False)
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="Our own certificate (PEM), for TLS.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Of the certificate.", show_default=False)
    ] = None,
) -> None:
    """Send DICOM results to an archive; run again, it sends what has not arrived.

    Exit code 0: the archive has all that it takes. 1: it refused some, or is away. OUT/sent.csv says what
    became of each.
    """
    try:
        from pleura.pacs.open import open_line
        from pleura.pacs.peers import Credentials, check_title, peer_from
        from pleura.pacs.send import send as send_results
    except ImportError as error:
        raise MissingExtra.needing("pleura send", "dicom", error) from None
    from pleura.outputs.dicom import KINDS

    for one in kind or ():
        if one not in KINDS:
            raise UnknownName.among("kind of result", one, KINDS)
    if (cert is None) != (key is None):
        raise typer.BadParameter("--cert and --key go together")
    peer = peer_from(to)
    credentials = Credentials(token_file, cert, key, ca)
    credentials.check(peer)
    with Bar("Sending", "films") as bar:
        found = send_results(
            out,
            peer,
            open_line(check_title(title), credentials),
            kinds=tuple(kind or KINDS),
            progress=bar,
        )
    console.print(
        f"{found.sent} results sent to {peer}; {found.there} were there, {found.left} are of a kind that it "
        f"does not take, {len(found.refused)} refused"
    )
    for path in found.strange[:3]:
        console.print(f"Not a result of pleura, or damaged, and not sent: {path}")
    if found.strange[3:]:
        console.print(f"... and {len(found.strange) - 3} more")
    if found.refused:
        console.print(f"Why: {out}/sent.csv, the first {found.refused[0]}")
    if found.refused or found.strange:
        raise typer.Exit(1)
