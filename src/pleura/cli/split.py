"""`pleura split`: draw the test, tuning and training films of a prepared dataset."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from pleura.cli.progress import console
from pleura.data.manifest import Dataset, Film
from pleura.data.split import SPLIT_FILE, Split, divide_folds, make_split
from pleura.errors import DatasetError

TEST_FRACTION, TUNE_FRACTION = 0.2, 0.15


def split(
    data: Annotated[Path, typer.Argument(help="The prepared dataset.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Decides which patients go where.")] = 0,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the films to test on.")
    ] = TEST_FRACTION,
    tune_fraction: Annotated[
        float, typer.Option(help="Share of the films left after the test part to tune on.")
    ] = TUNE_FRACTION,
    folds: Annotated[
        int | None, typer.Option(help="Make this many folds instead of one tuning part.")
    ] = None,
    balanced_tuning: Annotated[
        bool, typer.Option("--balanced-tuning", help="Tune on as many negatives as positives.")
    ] = False,
    test_corpus: Annotated[
        list[str] | None,
        typer.Option(help="Test and tune on films of this corpus only; may be given again."),
    ] = None,
    refreeze: Annotated[
        bool, typer.Option("--refreeze", help="Draw a new test part although one is frozen.")
    ] = False,
    within: Annotated[
        Path | None,
        typer.Option(
            help="Divide each fold of this split into FOLDS finer ones and leave all other films where they "
            "are: training then goes on from its networks with more films, still out of fold.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default=f"DATA/{SPLIT_FILE}")
    ] = None,
) -> None:
    """Split a dataset by patient, stratified by presence and by the size of the mask.

    The test part is drawn once: where the file exists already and has one, its test films stay as they are
    and only tuning and training films are drawn anew.
    """
    sizes = {"--tune-fraction": tune_fraction != TUNE_FRACTION}
    if within is not None:
        sizes["--test-fraction"] = test_fraction != TEST_FRACTION
        sizes["--test-corpus"] = bool(test_corpus)
        sizes["--balanced-tuning"] = balanced_tuning
    if folds is not None and (given := [option for option, is_given in sizes.items() if is_given]):
        raise DatasetError(
            f"{', '.join(given)}: there is nothing of the kind to draw with "
            f"{'--folds' if within is None else '--within'}; leave one of them out"
        )
    dataset = Dataset.open(data)
    path = out or data / SPLIT_FILE
    if within is not None:
        if folds is None:
            raise DatasetError("--within divides folds: say into how many with --folds")
        coarse = Split.load(within)
        if path.exists() and path.samefile(within):
            raise DatasetError(
                f"{path} is the split to divide, and networks were trained by it; name another file "
                "with --out"
            )
        made = divide_folds(dataset, coarse, folds, seed=seed)
        if path.exists() and not refreeze and Split.load(path).test_sha256 != made.test_sha256:
            raise DatasetError(
                f"{path} holds a frozen test part, other than that of {within}; name another file with "
                "--out, or give that test part up with --refreeze"
            )
        _write(made, dataset, path)
        return
    frozen = Split.load(path) if path.exists() and not refreeze else None
    made = make_split(
        dataset,
        seed=seed,
        test_fraction=test_fraction,
        folds=folds,
        tune_fraction=tune_fraction,
        balanced_tuning=balanced_tuning,
        test_corpora=test_corpus or None,
        frozen=frozen,
    )
    _write(made, dataset, path, kept=frozen is not None and bool(frozen.test))


def _write(made: Split, dataset: Dataset, path: Path, *, kept: bool = False) -> None:
    made.save(path)
    console.print(_table(dataset, made))
    for note in made.notes:
        console.print(f"Note: {note}", style="yellow", markup=False, highlight=False)
    if kept:
        console.print("The test part is the one the file had before.")
    console.print(f"split {made.sha256[:16]}, test part {made.test_sha256[:16]}", highlight=False)
    console.print(f"Written to {path}", markup=False, highlight=False)


def _table(dataset: Dataset, made: Split) -> Table:
    table = Table("part")
    for name in ("films", "positive", "share", "patients", "median mask"):
        table.add_column(name, justify="right")
    for part, film_ids in _parts(made):
        films = [dataset.by_id[film_id] for film_id in film_ids]
        if films or part in ("test", "train"):
            table.add_row(part, *_cells(films))
    return table


def _parts(made: Split) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "test", made.test
    for number, (film_ids, companions) in enumerate(zip(made.folds, made.companions, strict=True)):
        yield f"fold {number}", film_ids
        yield f"  kept with fold {number}", companions
    yield "tune", made.tune
    yield "train in every fold" if made.folds else "train", made.train
    yield "unlabelled", made.unlabelled
    yield "aside", made.aside


def _cells(films: list[Film]) -> list[str]:
    positive = [film for film in films if film.label == 1]
    labelled = sum(film.label is not None for film in films)
    areas = [film.mask_area_fraction for film in positive if film.mask_area_fraction]
    return [
        f"{len(films):,}",
        f"{len(positive):,}" if labelled else "–",
        f"{len(positive) / labelled:.1%}" if labelled else "–",
        f"{len({film.patient_id for film in films}):,}",
        f"{median(areas):.2%}" if areas else "–",
    ]
