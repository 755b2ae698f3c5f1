"""The model card, from a bundle and its evaluations."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_scores import random_scores

from pleura.errors import EvaluationError
from pleura.evaluation.card import read_about, write_card
from pleura.evaluation.provenance import Provenance
from pleura.evaluation.report import NUMBERS_FILE
from pleura.evaluation.run import Run
from pleura.evaluation.summary import summarise
from pleura.files import write_json
from pleura.finding import ModelIdentity
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.bundle import Bundle, BundleManifest, Member, open_bundle, write_bundle
from pleura.inference.calibration import Calibrator
from pleura.inference.manifest import ANATOMY
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from tiny_graphs import graph

ABOUT = {
    "summary": "A made-up model of <two> sentences.",
    "sections": {"Known confounders": ["Chest tubes.", "Skin folds & bandages."]},
}
TRAINING = {
    "recipe": {"name": "small"},
    "fold": 2,
    "start": {"encoder": "imagenet"},
    "parameters": 1234567,
    "effort": {"films": 1800, "seconds": 7200.0, "threads": 2},
}


def numbers(
    path: Path, model: ModelIdentity, part: str, overlap: int | None = 0
) -> dict[str, object]:
    run = Run(part, model, "0" * 64, None, "0" * 64, 80, Provenance(overlap, same_dataset=True))
    told = summarise(run, random_scores(80, separation=2.0), resamples=100).facts()
    path.mkdir(exist_ok=True)
    write_json(path / NUMBERS_FILE, told)
    return told


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    held = numbers(tmp_path / "oof", ModelIdentity("cv", "4 folds", "1" * 64), "out-of-fold")
    members = [Member("unet_timm", {"encoder": "resnet10t"}, InputSpec(64), training=TRAINING)] * 2
    manifest = BundleManifest(
        "made-up",
        "3",
        tuple(members),
        operating_point=OperatingPoint(0.4, 0.0019, 0.25, "Youden", "out-of-fold"),
        calibrator=Calibrator("platt", slope=1.0, intercept=0.0, fitted_on="out-of-fold"),
        metrics={"out-of-fold": held, "aim": {"value": 0.5}},
        about=ABOUT,
    )
    write_bundle(tmp_path / "bundle", manifest, [], graphs=[graph(), graph()])
    return open_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("ending", [".md", ".html"])
def test_a_card_tells_use_numbers_and_training(bundle: Bundle, tmp_path: Path, ending: str) -> None:
    told = numbers(tmp_path / "test", bundle.identity, "test")
    out = tmp_path / f"card{ending}"
    half = tmp_path / f".card{ending}.9999999.partial"  # of a process that was killed
    half.touch()
    write_card(out, bundle, [tmp_path / "test"])
    assert not half.exists()
    text = out.read_text()
    auc = told["numbers"]["metrics"]["auc"]  # type: ignore[index]
    assert text.count(f"{auc['value']:.3f}") >= 2  # out of fold, and on the test part
    assert f"{auc['low']:.3f} to {auc['high']:.3f}" in text
    assert "the procedure: each film was judged by the one network" in text
    assert "this model, on films that nothing was trained on" in text
    assert bundle.manifest.intended_use.split(".")[1].strip() in text  # not a medical device
    assert "Known confounders" in text
    assert "&lt;two>" in text.replace("&gt;", ">")
    assert "0.190 %" in text
    assert "1,234,567" in text
    assert "3,600 films shown in all, 8.0 core hours" in text
    assert "had seen before is not counted" not in text
    assert bundle.identity.sha256 in text


def test_a_kind_of_film_with_bars_in_its_name_keeps_to_its_cell(
    bundle: Bundle, tmp_path: Path
) -> None:
    told = numbers(tmp_path / "test", bundle.identity, "test")
    findings = {"name": "Edema|Effusion\nor both", "films": 9, "positives": 4, "metrics": {}}
    findings["metrics"] = told["numbers"]["metrics"]  # type: ignore[index]
    strata = [{"name": "Finding Labels", "of_label": False, "strata": [findings]}]
    write_json(tmp_path / "test" / NUMBERS_FILE, {**told, "strata": strata})
    write_card(tmp_path / "card.md", bundle, [tmp_path / "test"])
    rows = (tmp_path / "card.md").read_text().splitlines()
    row = next(row for row in rows if row.startswith("| Finding Labels"))
    assert row.startswith(r"| Finding Labels: Edema\|Effusion or both | 9 | 4 |")
    assert len(re.findall(r"(?<!\\)\|", row)) == 7  # six cells, as in the heading


@pytest.mark.parametrize("ending", [".md", ".html"])
@pytest.mark.parametrize(
    ("overlap", "says"),
    [
        (12, "12 of 80 films made it (trained or tuned it)"),
        (None, "whether it was made from these films is not known"),
    ],
)
def test_a_card_calls_no_film_unseen_that_is_not_known_to_be(
    bundle: Bundle, tmp_path: Path, ending: str, overlap: int | None, says: str
) -> None:
    numbers(tmp_path / "test", bundle.identity, "test", overlap)
    out = tmp_path / f"card{ending}"
    write_card(out, bundle, [tmp_path / "test"])
    assert says in out.read_text()
    assert "nothing was trained on" not in out.read_text()


def test_a_card_says_where_films_shown_are_not_all(bundle: Bundle, tmp_path: Path) -> None:
    first, second = bundle.manifest.members
    started = TRAINING | {"start": {"encoder": "w.safetensors", "sha256": "0" * 64}}
    manifest = replace(bundle.manifest, members=(first, replace(second, training=started)))
    write_card(tmp_path / "card.md", replace(bundle, manifest=manifest), [])
    assert "started from had seen before is not counted" in (tmp_path / "card.md").read_text()


def test_a_bundle_that_says_little_has_a_card_too(tmp_path: Path) -> None:
    spec = InputSpec(64, region="lungs")
    member = Member("unet_timm", {"encoder": "resnet10t"}, spec)
    eye = Member(ANATOMY, {"encoder": "resnet10t"}, InputSpec(64), role=ANATOMY)
    manifest = BundleManifest("m", "1", (member, eye), admission=AdmissionThresholds())
    write_bundle(tmp_path / "b", manifest, [], graphs=[graph(), graph()])
    for name in ("card.md", "card.html"):
        write_card(tmp_path / name, open_bundle(tmp_path / "b"))
        text = (tmp_path / name).read_text()
        assert "not calibrated" in text
        assert "64, of the lungs" in text


def test_an_evaluation_of_another_model_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = replace(bundle.identity, sha256="2" * 64)
    numbers(tmp_path / "other", other, "test")
    with pytest.raises(EvaluationError, match=r"is of another model \(SHA-256 2{16}"):
        write_card(tmp_path / "card.md", bundle, [tmp_path / "other"])
    assert not (tmp_path / "card.md").exists()


def test_what_is_no_evaluation_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    for place in (tmp_path, Path(__file__)):
        with pytest.raises(EvaluationError, match=r"holds no evaluation\.json"):
            write_card(tmp_path / "card.md", bundle, [place])
    for text in ("{}", "[]", "{"):
        (tmp_path / NUMBERS_FILE).write_text(text)
        with pytest.raises(EvaluationError, match="is damaged"):
            write_card(tmp_path / "card.md", bundle, [tmp_path])
    told = numbers(tmp_path, bundle.identity, "test")
    for version in (3, 5, None):
        write_json(tmp_path / NUMBERS_FILE, {**told, "format_version": version})
        with pytest.raises(EvaluationError, match=f"is of format {version}; this pleura reads 4"):
            write_card(tmp_path / "card.md", bundle, [tmp_path])
    with pytest.raises(EvaluationError, match=r"a \.html or a \.md file; got card\.pdf"):
        write_card(tmp_path / "card.pdf", bundle)


def test_what_people_say_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "about.yaml"
    path.write_text("summary: One.\nsections: {Never: [to treat]}\n")
    assert read_about(path).sections == {"Never": ("to treat",)}
    path.write_text("summary: One.\nsection: {}\n")
    with pytest.raises(EvaluationError, match="did you mean 'sections'"):
        read_about(path)
