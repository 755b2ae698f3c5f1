"""A whole evaluation with a made-up detector: numbers, files, resuming, test openings, the page."""

import csv
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up_scores import MODEL, finding, random_scores, score

from pleura.data.manifest import Dataset, Film, dataset_description, write_manifest
from pleura.errors import EvaluationError
from pleura.evaluation.figures import corners
from pleura.evaluation.metrics import roc_curve
from pleura.evaluation.numbers import METRICS
from pleura.evaluation.page import choose
from pleura.evaluation.pixel_sweep import sweep
from pleura.evaluation.provenance import Provenance
from pleura.evaluation.report import evaluate
from pleura.evaluation.run import Run, score_films
from pleura.evaluation.run import count_openings as openings
from pleura.evaluation.summary import summarise
from pleura.finding import PNEUMOTHORAX, ModelIdentity

SHAPE = (48, 40)


def truth_of(n):
    """Films 0, 3, 6 ... are positive; their mask is 8 rows of 10 px."""
    mask = np.zeros(SHAPE, bool)
    if n % 3 == 0:
        mask[8:16, 5:15] = True
    return mask


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "data"
    films = []
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for n in range(12):
        mask = truth_of(n)
        pixels = np.random.default_rng(n).integers(0, 255, SHAPE).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"f{n}.png"), pixels)
        if mask.any():
            cv2.imwrite(str(root / "masks" / f"f{n}.png"), mask.astype(np.uint8) * 255)
        films.append(
            Film(
                film_id=f"f{n}",
                corpus="a" if n < 6 else "b",
                source_path=f"f{n}.dcm",
                label_quality="silver" if n == 11 else "expert",
                label=int(mask.any()),
                patient_id=f"p{n // 2}",
                patient_basis="table",
                rows=SHAPE[0],
                columns=SHAPE[1],
                stored_rows=SHAPE[0],
                stored_columns=SHAPE[1],
                bits=8,
                pixel_sha256=f"{n:064x}",
                thumbnail="0" * 512,
                image=f"images/f{n}.png",
                mask=f"masks/f{n}.png" if mask.any() else None,
                mask_area_px=int(mask.sum()),
                mask_area_fraction=float(mask.mean()),
            )
        )
    films.append(replace(films[0], film_id="unlabelled", label=None, mask=None, mask_area_px=None))
    write_manifest(root / "manifest.csv", films)
    description = json.dumps(dataset_description(PNEUMOTHORAX, []))
    (root / "dataset.json").write_text(description, encoding="utf-8")
    return Dataset.open(root)


IDS = [f"f{n}" for n in range(12)]


class Perfect:
    """Draws the labelled mask, but misses film 3, alarms on film 4 and declines film 5."""

    def __init__(self, break_at=None, model=MODEL):
        self.calls, self.break_at, self.model = [], break_at, model

    def __call__(self, film):
        self.calls.append(film.source)
        if film.source == self.break_at:
            raise KeyboardInterrupt
        n = int(film.source.removeprefix("f"))
        if n == 5:
            return finding(film.source, value=None, model=self.model)
        mask = {3: truth_of(1), 4: truth_of(0)}.get(n, truth_of(n))
        found = finding(film.source, mask, 0.9 if mask.any() else 0.1 + 0.01 * n, model=self.model)
        return replace(found, probability_map=mask.astype(np.float32) * np.float32(0.8))


def test_the_numbers_by_hand(dataset):
    evaluation = evaluate(Perfect(), dataset, IDS, part="tune", resamples=200)
    numbers = evaluation.numbers
    assert (numbers.films, numbers.patients, numbers.positives, numbers.declined) == (12, 6, 4, 1)
    assert (numbers.tp, numbers.fp, numbers.tn, numbers.fn) == (3, 1, 7, 1)
    value = {key: interval.value for key, interval in numbers.metrics.items()}
    assert value["competition_dice"] == pytest.approx(10 / 12)
    assert value["dice_positives"] == value["iou_positives"] == 0.75
    assert value["sensitivity"] == 0.75
    assert value["specificity"] == 7 / 8  # the declined negative counts as called negative
    assert value["ppv"] == 3 / 4
    assert value["npv"] == 7 / 8
    assert value["coverage"] == 11 / 12
    # Positives .9 .9 .9 .13, negatives .9 .11 .12 .0 .17 .18 .2 .21: 3 x 7.5 + 3 beaten, of 32
    assert value["auc"] == pytest.approx((3 * 7.5 + 3) / 32)
    assert numbers.all_empty["competition_dice"] == pytest.approx(8 / 12)
    assert numbers.all_empty["npv"] == pytest.approx(8 / 12)
    assert numbers.all_empty["average_precision"] == pytest.approx(4 / 12)
    assert numbers.all_empty["ppv"] is None
    assert list(evaluation.by_corpus) == ["a", "b"]
    assert evaluation.by_corpus["b"].metrics["competition_dice"].value == 1.0
    assert evaluation.test_openings is None


def test_the_table_is_for_reading(dataset):
    rows = evaluate(Perfect(), dataset, IDS, part="tune", resamples=200).table()
    assert [row[0] for row in rows] == list(METRICS.values())
    name, value, baseline, films = rows[0]
    assert (name, baseline, films) == ("Competition Dice", "0.667", "12")
    assert re.fullmatch(r"0\.833 \(0\.\d{3} to [01]\.\d{3}\)", value)


def test_the_order_of_films_does_not_matter(dataset):
    once = evaluate(Perfect(), dataset, IDS, part="tune", resamples=200).facts()
    again = evaluate(Perfect(), dataset, IDS[::-1], part="tune", resamples=200).facts()
    assert once["run"] == again["run"]
    for key, interval in once["numbers"]["metrics"].items():
        for field in ("value", "low", "high"):
            assert again["numbers"]["metrics"][key][field] == pytest.approx(interval[field])


def test_what_is_written(dataset, tmp_path):
    out = tmp_path / "new" / "evaluation"
    seen = []
    evaluation = evaluate(
        Perfect(),
        dataset,
        IDS,
        part="tune",
        out=out,
        command="pleura evaluate <b> --part tune",
        resamples=200,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert {p.name for p in out.iterdir()} == {
        "run.json",
        "films.csv",
        "evaluation.json",
        "report.html",
    }
    with (out / "films.csv").open(encoding="utf-8") as file:
        assert [row["film_id"] for row in csv.DictReader(file)] == IDS
    facts = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert facts == evaluation.facts()
    assert facts["format_version"] == 4
    assert facts["run"]["model"]["sha256"] == MODEL.sha256
    assert seen == [(n, 12) for n in range(13)]

    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Research software. Not a medical device." in page
    assert "pleura evaluate &lt;b&gt; --part tune" in page
    # Missed, alarm, worst, best, declined, rightly cleared: every film is in one of them.
    assert page.count("data:image/jpeg") == 1 + 1 + 1 + 2 + 1 + 6
    assert "Pneumothorax (SCT 36118008)" in page
    assert "0.833" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # nothing is fetched
    assert all(caveat[:20] in page for caveat in evaluation.caveats)


def test_a_page_without_pictures_has_the_numbers_and_no_film(dataset, tmp_path):
    evaluate(
        Perfect(), dataset, IDS, part="tune", out=tmp_path / "e", resamples=100, pictures=False
    )
    page = (tmp_path / "e" / "report.html").read_text(encoding="utf-8")
    assert "data:image" not in page
    assert "0.833" in page


def test_an_interrupted_run_goes_on_where_it_stopped(dataset, tmp_path):
    out = tmp_path / "evaluation"
    with pytest.raises(KeyboardInterrupt):
        score_films(Perfect(break_at="f7"), dataset, IDS, part="test", out=out)
    with (out / "films.csv").open("a", encoding="utf-8") as file:
        file.write("f7,p3,b,exp")  # a row cut short, as by a power cut
    (out / ".evaluation.json.9999999.partial").touch()  # of a process that was killed
    second = Perfect()
    run, scores = score_films(second, dataset, IDS, part="test", out=out)
    assert second.calls == ["f0", *IDS[7:]]  # the first film says which model this is
    assert scores == score_films(Perfect(), dataset, IDS, part="tune")[1]
    assert run.films == 12
    assert openings(dataset.root) == 1  # taking it up again is not a new opening
    assert {path.name for path in out.iterdir()} == {"run.json", "films.csv"}


def test_a_folder_holds_one_evaluation(dataset, tmp_path):
    out = tmp_path / "evaluation"
    score_films(Perfect(), dataset, IDS, part="tune", out=out)
    other = ModelIdentity("another", "2", "cd" * 32)
    for detector, ids, part in (
        (Perfect(model=other), IDS, "tune"),
        (Perfect(), IDS[1:], "tune"),
        (Perfect(), IDS, "train"),
    ):
        with pytest.raises(EvaluationError, match="another model, dataset or list of films"):
            score_films(detector, dataset, ids, part=part, out=out)
    (out / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"run\.json is damaged"):
        score_films(Perfect(), dataset, IDS, part="tune", out=out)
    (out / "run.json").unlink()
    with pytest.raises(EvaluationError, match="what it is of is not known"):
        score_films(Perfect(), dataset, IDS, part="tune", out=out)


def test_one_process_at_a_time_evaluates_into_a_folder(dataset, tmp_path):
    class Twice(Perfect):
        def __call__(self, film):
            if film.source == "f2":
                with pytest.raises(EvaluationError, match="another process evaluates into"):
                    score_films(Perfect(), dataset, IDS, part="test", out=tmp_path / "e")
            return super().__call__(film)

    score_films(Twice(), dataset, IDS, part="test", out=tmp_path / "e")
    assert openings(dataset.root) == 1
    score_films(Perfect(), dataset, IDS, part="test", out=tmp_path / "e")  # free again
    assert len((tmp_path / "e" / "films.csv").read_text().splitlines()) == 1 + len(IDS)


def test_an_output_that_is_no_folder(dataset, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(EvaluationError, match="cannot be made a folder"):
        score_films(Perfect(), dataset, IDS, part="test", out=tmp_path / "file")
    assert openings(dataset.root) == 0


def test_openings_of_the_test_part_are_counted(dataset, tmp_path):
    evaluate(Perfect(), dataset, IDS, part="tune", resamples=100)
    assert openings(dataset.root) == 0
    first = evaluate(Perfect(), dataset, IDS, part="test", resamples=100, split_sha256="12" * 32)
    again = evaluate(Perfect(), dataset, IDS, part="test", resamples=100, out=tmp_path / "e")
    same = evaluate(Perfect(), dataset, IDS, part="test", resamples=100, out=tmp_path / "e")
    assert [e.test_openings for e in (first, again, same)] == [1, 2, 2]
    lines = (dataset.root / "test-openings.jsonl").read_text(encoding="utf-8").splitlines()
    entry = json.loads(lines[0])
    assert (entry["n"], entry["model_sha256"]) == (12, MODEL.sha256)
    assert entry["split_sha256"] == "12" * 32
    assert entry["when"].endswith("+00:00")
    assert any("opened 2 times" in caveat for caveat in again.caveats)
    assert not any("opened" in caveat for caveat in first.caveats)


def test_an_opening_that_cannot_be_recorded_does_not_happen(dataset):
    (dataset.root / "test-openings.jsonl").mkdir()
    with pytest.raises(EvaluationError, match="cannot be put on record"):
        score_films(Perfect(), dataset, IDS, part="test")


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([], "no films"),
        (["f0", "f0"], "f0 is listed twice"),
        (["f0", "nobody"], "film nobody is not in"),
        (["unlabelled"], "unlabelled is unlabelled"),
    ],
)
def test_films_that_cannot_be_evaluated(dataset, ids, says):
    with pytest.raises(EvaluationError, match=says):
        score_films(Perfect(), dataset, ids, part="tune")


def test_one_model_at_a_time(dataset):
    class Turncoat(Perfect):
        def __call__(self, film):
            self.model = MODEL if film.source != "f2" else ModelIdentity("other", "9", "ef" * 32)
            return super().__call__(film)

    with pytest.raises(EvaluationError, match="f2 was judged by other 9"):
        score_films(Turncoat(), dataset, IDS, part="tune")


def test_a_sweep_over_a_dataset(dataset):
    seen = []
    swept = sweep(Perfect(), dataset, IDS, part="tune", progress=lambda *at: seen.append(at))
    assert len(swept) == 12
    assert seen[-1] == (12, 12)
    areas, shared = swept.areas(0, 0)
    assert areas.tolist() == [80, 0, 0, 0, 80, 0, 80, 0, 0, 80, 0, 0]
    assert shared.tolist() == [80, 0, 0, 0, 0, 0, 80, 0, 0, 80, 0, 0]
    for film_id, says in (("nobody", "not in"), ("unlabelled", "unlabelled in")):
        with pytest.raises(EvaluationError, match=says):
            sweep(Perfect(), dataset, [film_id], part="tune")


RUN = Run("tune", MODEL, "0" * 64, None, "0" * 64, 1, Provenance(0, same_dataset=True))


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_keeps_its_reasons(label):
    evaluation = summarise(RUN, [score(n, label, 0.1) for n in range(3)], resamples=100)
    auc = evaluation.numbers.metrics["auc"]
    assert auc.value is None
    assert auc.reason in str(auc)
    assert evaluation.numbers.all_empty["auc"] is None
    missing = "sensitivity" if label == 0 else "specificity"
    assert evaluation.numbers.metrics[missing].value is None
    assert evaluation.numbers.all_empty[missing] is None
    json.dumps(evaluation.facts(), allow_nan=False)


def test_one_film_and_only_declined_films():
    for films in ([score(0, 1, 0.9, pred=10, shared=10)], [score(n, n, None) for n in range(2)]):
        evaluation = summarise(RUN, films, resamples=100)
        json.dumps(evaluation.facts(), allow_nan=False)
        assert evaluation.by_corpus == {}
    assert evaluation.numbers.metrics["coverage"].value == 0.0
    assert evaluation.numbers.metrics["auc"].value == 0.5


def test_a_classifier_does_not_localise_where_it_declines_every_film():
    films = [score(n, n % 2, 0.3, pred=None, shared=None) for n in range(8)]
    films += [score(n, n % 2, None, corpus="b") for n in range(8, 12)]
    found = summarise(RUN, films, resamples=100)
    for numbers in (found.numbers, *found.by_corpus.values()):
        assert numbers.metrics["competition_dice"].reason == "the model does not localise"
    (strata,) = (s.strata for s in found.strata if s.name == "Corpus")
    assert [s.metrics["dice_positives"].value for s in strata] == [None, None]


def test_caveats_are_said_where_they_hold():
    many = random_scores(300, films_per_patient=2)
    assert len(summarise(replace(RUN, part="test"), many, resamples=100).caveats) == 2
    tuned = summarise(replace(RUN, calibrated=True), many, resamples=100).caveats
    assert "operating point and its calibrator were fitted on tuning films" in tuned[0]
    odd = [
        *random_scores(20),
        score(20, 1, 0.4, truth=0, corpus="b", label_quality="silver"),
        score(21, 0, None),
    ]
    said = " ".join(summarise(RUN, odd, resamples=100).caveats)
    for words in (
        "Few films of one kind",
        "1 film of 22 with labels that no person checked",
        "declined 1 film.",
        "a patient of its own",
        "1 film labelled positive without a mask",
        "Several corpora are pooled",
    ):
        assert words in said


def test_galleries_show_each_film_in_its_place():
    films = [
        score(0, 1, 0.2, truth=5),
        score(1, 1, 0.3, truth=9),
        score(2, 0, 0.6, pred=3),
        score(3, 0, 0.8, pred=1),
        score(4, 1, 0.9, pred=10, shared=2),
        score(5, 1, 0.9, pred=10, shared=9),
        score(6, 1, 0.9, pred=10, shared=5),
        score(7, 0, None),
        score(8, 0, 0.1),
        score(9, 0, 0.4),
    ]
    chosen = {name: [s.film_id for s in found] for name, _, found in choose(films)}
    assert chosen == {
        "Missed": ["f1", "f0"],
        "False alarms": ["f3", "f2"],
        "Worst outlines": ["f4"],
        "Best outlines": ["f5", "f6"],
        "Rightly cleared": ["f9", "f8"],
        "Declined": ["f7"],
    }


def test_a_curve_of_fewer_points_is_the_same_curve():
    films = random_scores(400)
    fpr, tpr, _ = roc_curve([f.presence_score for f in films], [f.label for f in films])
    x, y = corners(fpr, tpr)
    assert len(x) < 0.7 * len(fpr)
    at = fpr + tpr  # rises strictly along the curve
    assert (np.diff(at) > 0).all()
    np.testing.assert_allclose(np.interp(at, x + y, x), fpr, atol=1e-12)
    np.testing.assert_allclose(np.interp(at, x + y, y), tpr, atol=1e-12)
