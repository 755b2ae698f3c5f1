"""`pleura phantom`: synthetic films for demos and tests."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import Bar, console


def phantom(
    out: Annotated[
        Path, typer.Option(help="Folder to write: new, empty, or begun by the same command.")
    ],
    patients: Annotated[int, typer.Option(help="Imaginary patients.", min=1)] = 100,
    films_per_patient: Annotated[
        tuple[int, int], typer.Option(help="Fewest and most films of a patient.", metavar="MIN MAX")
    ] = (1, 3),
    positive_share: Annotated[
        float, typer.Option(help="Share of films with a pneumothorax.", min=0.0, max=1.0)
    ] = 0.3,
    size: Annotated[
        int, typer.Option(help="Longer side of a film, in pixels.", min=64, max=2048)
    ] = 512,
    seed: Annotated[int, typer.Option(help="Another seed, other films.", min=0)] = 0,
    processes: Annotated[
        int | None, typer.Option(help="How many make films; one a core without.", min=1)
    ] = None,
) -> None:
    """Make synthetic chest films with and without a pneumothorax, in the layout of the SIIM-ACR challenge.

    For demos and tests only: a score on phantoms says nothing about people.
    """
    from pleura.data.phantom import write_phantoms

    with Bar("Making phantoms") as bar:
        corpus = write_phantoms(
            out,
            patients,
            films_per_patient=films_per_patient,
            positive_share=positive_share,
            size=size,
            seed=seed,
            processes=processes,
            progress=bar,
        )
    console.print(
        f"{corpus.films} synthetic films of {corpus.patients} patients in {corpus.root}, "
        f"{corpus.positives} with a pneumothorax. For demos and tests only."
    )
