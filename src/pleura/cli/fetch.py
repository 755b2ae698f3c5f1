"""`pleura fetch`: films of an archive that speaks DICOMweb, to a folder."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import Bar, console
from pleura.errors import MissingExtra

_MIB = 1 << 20


def fetch(
    url: Annotated[
        str,
        typer.Argument(
            help="The DICOMweb service, such as https://pacs.example/dicom-web.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder that films are written to.")
    ] = Path("films"),
    since: Annotated[
        datetime | None,
        typer.Option(help="Studies of this day and later.", formats=["%Y-%m-%d"]),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="Studies of this day and earlier.", formats=["%Y-%m-%d"]),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(help="A Study Instance UID; may be given several times.", show_default=False),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="Of series; may be given several times.", show_default="CR, DX"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="KEYWORD=VALUE of studies, such as AccessionNumber=A17; may be given several times.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Studies at most.", min=1, show_default="all")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file with the token that the service wants.", show_default=False),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            help="Who signed its certificate (PEM).", show_default="as the machine has it"
        ),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="Our own certificate (PEM).", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Of the certificate.", show_default=False)
    ] = None,
    film_limit: Annotated[float, typer.Option(help="Of one film, in MiB.", min=0.1)] = 256.0,
    workers: Annotated[
        int, typer.Option(help="Studies that are looked into at once.", min=1, max=64)
    ] = 4,
) -> None:
    """Fetch films from an archive by DICOMweb, each as it is there; run again, it goes on.

    Exit code 0: all that was found is in the folder. 1: some of it stands in OUT/failures.csv, or the archive
    does not answer.
    """
    try:
        from pleura.pacs.answers import is_uid
        from pleura.pacs.fetch import Wanted
        from pleura.pacs.fetch import fetch as fetch_films
        from pleura.pacs.web import Client
    except ImportError as error:
        raise MissingExtra.needing("pleura fetch", "dicom", error) from None
    from pleura.pacs.peers import Credentials, WebPeer, checked_url

    if (cert is None) != (key is None):
        raise typer.BadParameter("--cert and --key go together")
    address = checked_url(url)
    credentials = Credentials(token_file, cert, key, ca)
    credentials.check(WebPeer(address))
    for uid in study or ():
        if not is_uid(uid):
            raise typer.BadParameter(f"{uid!r} is no Study Instance UID")
    pairs = [_pair(one) for one in where or ()]
    if len(dict(pairs)) < len(pairs):
        raise typer.BadParameter(
            "--where names one keyword twice; an archive is asked for one value"
        )
    if since and until and since > until:
        raise typer.BadParameter("--since is after --until")
    if study and (since or until or where or limit):
        raise typer.BadParameter("--study names the studies: leave out what else finds them")
    wanted = Wanted(
        modalities=tuple(modality or ("CR", "DX")),
        since=since and since.date(),
        until=until and until.date(),
        studies=tuple(study or ()),
        where=dict(pairs),
        most=limit,
    )

    with Bar("Fetching", "studies") as bar:
        found = fetch_films(
            lambda: Client(address, credentials),
            wanted,
            out,
            most_bytes=int(film_limit * _MIB),
            workers=workers,
            progress=bar,
        )
    console.print(
        f"{found.films} films of {found.studies} studies fetched to {out}; {found.there} were there, "
        f"{found.others} other objects were left, {len(found.failed)} failed"
    )
    if found.failed:
        console.print(f"Why: {out}/failures.csv")
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isalnum():
        raise typer.BadParameter(f"{text!r} is not KEYWORD=VALUE", param_hint="--where")
    return name, value
