"""`pleura train-anatomy`: the network that looks at a film before any other does, to a run folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pleura.cli.options import Device, PreparedDataset
from pleura.cli.progress import Bar, console


def train_anatomy(
    *,
    lungs: Annotated[
        Path,
        typer.Option(
            help="Films with drawn lungs: a folder with images/ and labels/.", show_default=False
        ),
    ],
    data: PreparedDataset,
    out: Annotated[Path, typer.Option(help="The run's folder.", show_default=False)],
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="Show only this corpus's training films; may be given again.",
            show_default="all corpora",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Safetensors that the encoder starts from.", show_default="random"),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="A finished run to go on from, which draws the lungs on some of the dataset's films.",
            show_default="none",
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest.")] = 1e-3,
    size: Annotated[int, typer.Option(help="Of the network's input, in px.")] = 192,
    epochs: Annotated[int, typer.Option(help="How many.")] = 16,
    epoch_films: Annotated[int, typer.Option(help="Films shown in each.")] = 512,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    withhold: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of impostor that is never shown, to score it as an unknown one; may be given again.",
            show_default="none",
        ),
    ] = None,
    withhold_lungs: Annotated[
        str, typer.Option(help="Films with drawn lungs that are never shown: none, even or odd.")
    ] = "none",
    device: Device = "auto",
) -> None:
    """Train the network that finds the lungs, sees how a film lies, and declines what is no chest film.

    It learns lungs from drawn ones, and the rest from the split's training films: as they are, turned,
    inverted and spoilt, beside pictures of other things that are made up on the way. Labels play no part,
    and films that tune or test are never shown; the thresholds are fitted on those that tune. The same
    command resumes a run that was interrupted. `pleura export RUN --anatomy RUN` puts it into a bundle.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.training.anatomy import AnatomySettings
    from pleura.training.anatomy import train_anatomy as train
    from pleura.training.anatomy.run import AnatomyReport

    settings = AnatomySettings(
        size=size,
        epochs=epochs,
        epoch_films=epoch_films,
        learning_rate=learning_rate,
        seed=seed,
        withheld_kinds=tuple(withhold or ()),
        withheld_lungs=withhold_lungs,
    )
    with Bar("Reading films") as reading, Bar("Training") as films, Bar("Fitting") as fitting:
        try:
            thresholds = train(
                lungs,
                Dataset.open(data),
                Split.load(split or data / SPLIT_FILE),
                out,
                corpora=corpus or (),
                settings=settings,
                init=init,
                teacher=teacher,
                device=device,
                report=AnatomyReport(reading, films, fitting, _epoch_line),
            )
        except KeyboardInterrupt:
            console.print(
                f"Interrupted. The same command resumes {out} after its last whole epoch."
            )
            raise typer.Exit(130) from None
    console.print(
        f"It declines {thresholds.declined} of {thresholds.films} tuning films, which it has not seen."
    )
    console.print(f"The run is in {out}.")


def _epoch_line(row: dict[str, Any]) -> None:
    console.print(
        f"epoch {row['epoch']:>3}  loss: lungs {row['lungs']:.3f}  presentation {row['presentation']:.3f}  "
        f"inverted {row['inverted']:.3f}  {row['films_per_second']:.1f} films/s"
    )
