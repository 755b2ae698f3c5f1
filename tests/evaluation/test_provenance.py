"""A model is not scored on what it was made from, and says so where that is allowed or unknown."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_scores import finding

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import EvaluationError, LeakError
from pleura.evaluation.provenance import check_provenance
from pleura.evaluation.report import evaluate
from pleura.evaluation.run import count_openings, score_films
from pleura.finding import Target
from pleura.inference.bundle import CARD_HASH_CHARACTERS, Bundle, BundleManifest, Member
from pleura.inference.preprocess import InputSpec

MASK = np.zeros((160, 160), bool)
MASK[:20, :20] = True


class Bundled:
    """A detector of a bundle that calls every film positive."""

    def __init__(self, card, target=None):
        manifest = BundleManifest(
            "model", "1", (Member("none", {}, InputSpec(64)),), data_card=card
        )
        if target:
            manifest = replace(manifest, target=target)
        self.bundle = Bundle.in_memory(manifest, [b""])
        self.openings = []
        self.root = None

    def __call__(self, film):
        self.openings.append(count_openings(self.root) if self.root else None)
        return finding(film.source, MASK, 0.9, model=self.bundle.identity)


def card(dataset, train, tune):
    def listed(ids):
        return {"pixel_sha256": [dataset.by_id[i].pixel_sha256[:CARD_HASH_CHARACTERS] for i in ids]}

    return {
        "dataset_sha256": dataset.sha256,
        "parts": {"train": listed(train), "tune": listed(tune), "test": {"films": 1}},
    }


def card_of(dataset: Dataset, split: Split):
    return card(dataset, split.train, split.tune)


@pytest.fixture(scope="module")
def hashed(blocks: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """`blocks` in a folder of its own, with pixel hashes that differ from their beginning."""
    root = tmp_path_factory.mktemp("hashed")
    for name in ("images", "masks"):
        (root / name).symlink_to(blocks.root / name)
    films = tuple(replace(f, pixel_sha256=f.pixel_sha256[::-1]) for f in blocks.films)
    return replace(blocks, root=root, films=films)


@pytest.fixture(scope="module")
def split(hashed: Dataset) -> Split:
    return make_split(hashed, seed=0, test_fraction=0.25, tune_fraction=0.3)


def test_under_its_own_split_a_bundle_is_scored(hashed: Dataset, split: Split) -> None:
    detector = Bundled(card_of(hashed, split))
    for part in ("tune", "test"):
        evaluation = evaluate(detector, hashed, split.part(part), part=part, resamples=100)
        assert evaluation.run.provenance.overlap == 0
        assert not any("made this model" in c or "unknown" in c for c in evaluation.caveats)


def test_under_another_split_it_is_refused_before_the_test_is_opened(
    hashed: Dataset, split: Split
) -> None:
    other = make_split(hashed, seed=5, test_fraction=0.25, tune_fraction=0.3)
    made = set(split.train) | set(split.tune)
    leaked = [i for i in other.test if i in made]
    assert leaked
    detector = Bundled(card_of(hashed, split))
    before = count_openings(hashed.root)
    with pytest.raises(
        LeakError, match=rf"{leaked[0]}.*Give films that it has not seen"
    ) as refused:
        evaluate(detector, hashed, other.test, part="test")
    assert str(refused.value).startswith(f"{len(leaked)} of {len(other.test)} films")
    assert count_openings(hashed.root) == before
    assert detector.openings == []


def test_training_films_are_refused_on_every_part_and_tuning_films_on_a_test(
    hashed: Dataset, split: Split
) -> None:
    detector = Bundled(card_of(hashed, split))
    with pytest.raises(LeakError, match="films to be scored trained model"):
        score_films(detector, hashed, split.train[:1], part="tune")
    with pytest.raises(LeakError, match="trained or tuned model"):
        score_films(detector, hashed, split.tune[:1], part="test")
    score_films(detector, hashed, split.tune[:1], part="tune")


def test_films_that_its_anatomy_network_was_shown_are_refused_on_a_test(
    hashed: Dataset, split: Split
) -> None:
    made = card(hashed, split.train[1:], split.tune)
    shown = [hashed.by_id[split.test[0]].pixel_sha256[:CARD_HASH_CHARACTERS]]
    score_films(Bundled(made), hashed, split.test[:1], part="test")
    detector = Bundled(made | {"anatomy": {"films": 1, "pixel_sha256": shown}})
    with pytest.raises(LeakError, match=split.test[0]):
        score_films(detector, hashed, split.test[:1], part="test")
    score_films(detector, hashed, split.test[:1], part="tune")


def calibrated(of: dict, dataset: Dataset, ids) -> dict:
    part = card(dataset, ids, [])["parts"]["train"]
    return of | {"parts": of.get("parts", {}) | {"calibrate": part}}


def test_films_of_its_calibrator_are_refused_on_a_test_and_said_elsewhere(
    hashed: Dataset, split: Split
) -> None:
    for made, known in ((card_of(hashed, split), 0), ({}, None)):
        detector = Bundled(calibrated(made, hashed, split.test[:1]))
        with pytest.raises(LeakError, match=f"trained or tuned model.*{split.test[0]}"):
            score_films(detector, hashed, split.test, part="test")
        forced = check_provenance(
            detector, hashed, [hashed.by_id[i] for i in split.test], test=True, allow_overlap=True
        )
        assert forced.calibrated_on == 2  # with the other film of its patient
        assert forced.overlap == (None if known is None else 2)
        detector = Bundled(calibrated(made, hashed, split.tune[:1]))
        run, _ = score_films(detector, hashed, split.test, part="test")
        assert (run.provenance.overlap, run.provenance.calibrated_on) == (known, 0)
        found = evaluate(detector, hashed, split.tune, part="tune", resamples=100)
        says = f"2 films of {len(split.tune)} fitted the model's calibrator"
        assert sum(caveat.startswith(says) for caveat in found.caveats) == 1


def test_a_run_begun_before_calibrators_were_on_record_goes_on(
    hashed: Dataset, split: Split, tmp_path: Path
) -> None:
    detector = Bundled(card_of(hashed, split))
    score_films(detector, hashed, split.tune, part="tune", out=tmp_path)
    told = json.loads((tmp_path / "run.json").read_text())
    del told["provenance"]["calibrated_on"]
    (tmp_path / "run.json").write_text(json.dumps(told))
    before = len(detector.openings)
    score_films(detector, hashed, split.tune, part="tune", out=tmp_path)
    assert len(detector.openings) == before  # nothing is scored again


def test_another_film_of_a_training_patient_is_refused(hashed: Dataset) -> None:
    (a, b) = [f for f in hashed.films if f.patient_id == "patient-03"]
    detector = Bundled(card(hashed, [a.film_id], []))
    with pytest.raises(LeakError, match=b.film_id):
        score_films(detector, hashed, [b.film_id], part="tune")


def test_an_overlap_that_is_allowed_is_said_first(
    hashed: Dataset, split: Split, tmp_path: Path
) -> None:
    detector = Bundled(card_of(hashed, split))
    films = (*split.train[:3], *split.tune)
    evaluation = evaluate(
        detector, hashed, films, part="tune", out=tmp_path, resamples=100, allow_overlap=True
    )
    assert evaluation.caveats[0].startswith(f"3 films of {len(films)} made this model")
    facts = json.loads((tmp_path / "evaluation.json").read_text())
    assert facts["run"]["provenance"]["overlap"] == 3
    assert facts["caveats"][0] == evaluation.caveats[0]
    assert "Not an independent evaluation" in (tmp_path / "report.html").read_text()


def test_the_opening_is_on_record_before_the_first_film_is_judged(
    hashed: Dataset, split: Split
) -> None:
    detector = Bundled(card_of(hashed, split))
    detector.root = hashed.root
    before = count_openings(hashed.root)
    score_films(detector, hashed, split.test, part="test")
    assert detector.openings == [before + 1] * len(split.test)  # each judged once


def test_another_target_is_refused(hashed: Dataset, split: Split) -> None:
    pneumonia = Bundled(card_of(hashed, split), Target("Pneumonia", "233604007"))
    with pytest.raises(EvaluationError, match=r"looks for Pneumonia \(SCT 233604007\).*36118008"):
        score_films(pneumonia, hashed, split.test, part="test")
    said_otherwise = Bundled(card_of(hashed, split), Target("Collapsed lung", "36118008"))
    score_films(said_otherwise, hashed, split.tune, part="tune")


@pytest.mark.parametrize(
    "unusable",
    [
        {},
        {"parts": 7},
        {"parts": {"train": {"pixel_sha256": ["0" * 16]}}},
        {"parts": {"train": {"pixel_sha256": "0" * 16}, "tune": {"pixel_sha256": []}}},
        {"parts": {"train": {"pixel_sha256": ["short"]}, "tune": {"pixel_sha256": []}}},
        {"parts": {"train": {"pixel_sha256": [16]}, "tune": {"pixel_sha256": []}}},
    ],
)
def test_a_card_that_does_not_say_leaves_it_unknown(hashed: Dataset, unusable: dict) -> None:
    known = check_provenance(Bundled(unusable), hashed, hashed.films, test=True)
    assert known.overlap is None


def test_caveats_of_models_from_elsewhere(hashed: Dataset, split: Split) -> None:
    elsewhere = card_of(hashed, split) | {"dataset_sha256": "0" * 64}
    for detector, says in (
        (Bundled({}), "training films of this model are unknown"),
        (Bundled(elsewhere), "made from another dataset"),
    ):
        evaluation = evaluate(detector, hashed, split.tune, part="tune", resamples=100)
        assert says in evaluation.caveats[0]


@pytest.mark.parametrize(
    ("stamps", "layout", "says"),
    [
        (["NIH ChestX-ray14"], "siim", "Pretraining overlap: the weights this model started from"),
        (["NIH ChestX-ray14"], "folders", "Whether films scored here are among those"),
        (["PadChest"], "siim", "Whether films scored here are among those"),
        ([], "siim", None),
        (None, "siim", None),
        ("damaged", "siim", None),
        ([1], "siim", None),
    ],
)
def test_films_behind_the_weights_it_started_from_are_said(
    hashed: Dataset, split: Split, stamps, layout: str, says: str | None
) -> None:
    described = {**hashed.description, "corpora": [{"name": "blocks", "layout": layout}]}
    dataset = replace(hashed, description=described)
    detector = Bundled(card_of(hashed, split) | {"pretraining": stamps})
    found = evaluate(detector, dataset, split.tune, part="tune", resamples=100)
    assert found.run.provenance.pretraining_overlap is (says is not None and "overlap" in says)
    about = [caveat for caveat in found.caveats if "started from" in caveat]
    assert len(about) == (says is not None)
    assert says is None or says in about[0]
