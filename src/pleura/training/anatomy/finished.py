"""The folder of an anatomy run, once it is finished.

RUN/
  anatomy.json       settings, start and films of the run (those with no drawn lungs, as in a data card)
  last.ckpt          everything needed to go on after the last completed epoch
  log.csv            one completed epoch a row
  best.safetensors   the network, with the density of known films
  admission.json     the thresholds of declining, and on which films they were fitted
"""

import json
from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.manifest import ANATOMY, Member
from pleura.inference.shipped import ANATOMY_RUN
from pleura.training.anatomy.fit import DOMAINS
from pleura.training.anatomy.settings import AnatomySettings
from pleura.training.run import RunFolder
from pleura.training.start import card_hashes

FORMAT_VERSION = 1
RUN_FILE, THRESHOLDS_FILE = ANATOMY_RUN, "admission.json"


def finished_anatomy(run: Path) -> tuple[Member, bytes, AdmissionThresholds]:
    """What a finished run gives a bundle: the member, its weights and its thresholds.

    Raises:
        TrainingError: there is none, it is not finished, or it is damaged.
    """
    try:
        described = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
        weights = RunFolder(run).best.read_bytes()
        thresholds = AdmissionThresholds(
            **json.loads((run / THRESHOLDS_FILE).read_text(encoding="utf-8"))
        )
        settings = AnatomySettings(
            **described["settings"]
            | {"withheld_kinds": tuple(described["settings"]["withheld_kinds"])}
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainingError(
            f"{run} holds no finished anatomy run ({Path(error.filename).name} is missing); make or finish "
            "one with `pleura train-anatomy`"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{run} is damaged ({error!r}); train it again") from error
    return (
        Member(
            network=ANATOMY,
            network_options=options_of(settings),
            input=settings.input,
            role=ANATOMY,
            training=described | {"effort": _effort(run, described)},
        ),
        weights,
        thresholds,
    )


def described_anatomy(run: Path) -> dict[str, Any] | None:
    """What the folder of a run, finished or not, says of it; None where it holds none.

    Raises:
        TrainingError: it is damaged.
    """
    path = run / RUN_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise TrainingError(f"{path} is damaged ({error}); train elsewhere") from error


def check_unseen(what: Path, shown: Collection[str] | None, dataset: Dataset, split: Split) -> None:
    """Raises TrainingError where an anatomy network was shown films that tune or test here.

    Args:
        what: its run, or its weights.
        shown: the films, by the beginnings of their `pixel_sha256`; None where it does not say.
        dataset, split: whose films are to be held out.
    """
    if shown is None:
        raise TrainingError(f"{what} does not say which films it was shown; train it again")
    held_out = {*split.test, *split.tune, *chain.from_iterable(split.folds)}
    if seen := card_hashes(dataset, held_out).intersection(shown):
        raise TrainingError(
            f"{what} was shown {len(seen)} of the {len(held_out)} films that tune or test here: it "
            "would know them when it is scored; train one on this split"
        )


def _effort(run: Path, described: Mapping[str, Any]) -> dict[str, float] | None:
    """Films shown, seconds of training and threads; None without a log."""
    logged = RunFolder(run).logged()
    if logged is None or "threads" not in described:
        return None
    return logged | {"threads": described["threads"]}


def options_of(settings: AnatomySettings) -> dict[str, Any]:
    """What the network is made with."""
    return {"encoder": settings.encoder, "domains": len(DOMAINS)}
