"""`pleura calibrate`: from a score that ranks films to a chance of disease, for a site."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pleura.cli.options import Device
from pleura.cli.progress import Bar, console, note

if TYPE_CHECKING:
    from pleura.data.manifest import Dataset, Film
    from pleura.evaluation.calibration import CalibrationNumbers
    from pleura.evaluation.recalibrate import Recalibration
    from pleura.inference.bundle import Bundle


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="The model: a bundle.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new bundle.", show_default=False)],
    data: Annotated[
        Path | None, typer.Option(help="A prepared dataset of local films.", show_default=False)
    ] = None,
    part: Annotated[
        str,
        typer.Option(
            help="tune, or all: every expert-labelled film that no split tests or sets aside."
        ),
    ] = "tune",
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Whose tuning films, if there are folds.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="platt, temperature, or isotonic (above 200 positives).")
    ] = "platt",
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of positives where it will be used, 0 to 1.", show_default="the films'"
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Fit what turns a bundle's score into a probability, without training it again.

    Decisions and masks stay as they are: only the number that a finding reports changes. With
    --prevalence alone, the calibrator a bundle has is moved to another share of positives. Films that
    trained the model are refused; test films are refused, and left out of all. The new bundle lists the films
    of its calibrator, so that it is not tested on them.
    """
    from pleura.errors import EvaluationError
    from pleura.evaluation.recalibrate import check_asked, moved, write_calibrated
    from pleura.inference.bundle import open_bundle

    opened = open_bundle(bundle)
    check_asked(out, prevalence)
    films: list[Film] = []
    if data is None:
        if prevalence is None:
            raise EvaluationError("nothing to do: give films (--data), a prevalence, or both")
        fitting = {
            "--part": part != "tune",
            "--split": split is not None,
            "--fold": fold is not None,
            "--method": method != "platt",
            "--device": device != "auto",
        }
        if given := [option for option, is_given in fitting.items() if is_given]:
            raise EvaluationError(
                f"{', '.join(given)}: how a calibrator is fitted on films, which are to be given (--data)"
            )
        calibrator = moved(opened.manifest.calibrator, prevalence)
    else:
        found, films = _on_films(opened, data, part, split, fold, method, prevalence, device)
        calibrator = found.calibrator
        console.print(_table(found))
        for doubt in found.doubts:
            note(doubt)
    identity = write_calibrated(out, opened, calibrator, films)
    told = (
        f"{out}: {identity.name} {identity.version}, SHA-256 {identity.sha256[:16]}...; {calibrator.kind} on "
        f"{calibrator.films} films of {calibrator.fitted_on}, {calibrator.positives} positive"
    )
    console.print(told + (f", for a prevalence of {prevalence:g}." if prevalence else "."))


def _on_films(
    opened: "Bundle",
    data: Path,
    part: str,
    split: Path | None,
    fold: int | None,
    method: str,
    prevalence: float | None,
    device: str,
) -> "tuple[Recalibration, list[Film]]":
    """The calibrator, and the films that it was fitted on."""
    from typing import cast, get_args

    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.errors import UnknownName
    from pleura.evaluation.calibration import check_enough
    from pleura.evaluation.parts import refuse_test
    from pleura.evaluation.recalibrate import recalibrate, without_calibrator
    from pleura.evaluation.run import score_films
    from pleura.inference.calibration import Kind
    from pleura.inference.detector import Detector

    refuse_test(part)
    if method not in get_args(Kind):
        raise UnknownName.among("kind of calibrator", method, get_args(Kind))
    dataset = Dataset.open(data)
    if part == "all":
        film_ids = _untested(dataset, split or data / SPLIT_FILE, given=split is not None)
    else:
        drawn = Split.load(split or data / SPLIT_FILE)
        drawn.check(dataset)
        film_ids = list(drawn.part(part, fold))
    detector = Detector.of(without_calibrator(opened), device)
    labels = [dataset.by_id[film_id].label for film_id in film_ids]
    check_enough(positives=labels.count(1), negatives=labels.count(0), kind=cast(Kind, method))
    with Bar("Scoring") as bar:
        _, scores = score_films(detector, dataset, film_ids, part=part, progress=bar)
    found = recalibrate(scores, part=part, kind=cast(Kind, method), prevalence=prevalence)
    return found, [dataset.by_id[score.film_id] for score in scores if not score.declined]


def _untested(dataset: "Dataset", split: Path, *, given: bool) -> list[str]:
    """The expert-labelled films but those that a split tests, or sets aside as of a tested patient."""
    from pleura.data.split import Split

    kept: set[str] = set()
    if given or split.exists():
        drawn = Split.load(split)
        drawn.check(dataset)
        kept = {*drawn.test, *drawn.aside}
    experts = [film.film_id for film in dataset.films if film.label_quality == "expert"]
    film_ids = [film_id for film_id in experts if film_id not in kept]
    if left := len(experts) - len(film_ids):
        console.print(f"Left out: {left} films that {split} tests or sets aside.", markup=False)
    return film_ids


def _table(found: "Recalibration") -> Table:
    table = Table("", title="Calibration on these films", title_justify="left")
    for heading in ("raw score", "calibrated, on films it was not fitted on"):
        table.add_column(heading, justify="right")

    for name, key in (("slope (1)", "slope"), ("intercept (0)", "intercept"), ("Brier", "brier")):
        table.add_row(name, _shown(found.before, key), _shown(found.after, key))
    table.add_row("ECE, and a perfect model's", _ece(found.before), _ece(found.after))
    return table


def _shown(of: "CalibrationNumbers | None", key: str) -> str:
    return "–" if of is None else str(getattr(of, key))


def _ece(of: "CalibrationNumbers | None") -> str:
    return "–" if of is None else f"{of.ece:.3f}, {of.ece_floor:.3f} to {of.ece_floor_95:.3f}"
