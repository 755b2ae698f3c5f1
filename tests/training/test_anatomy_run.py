"""Training the anatomy network: what it is shown, what it loses, and a run from films to a bundle."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load, load_file, save_file

from pleura.data.dataset import FilmSet
from pleura.data.lung_films import LungFilm, read_lung_films
from pleura.data.manifest import Dataset
from pleura.data.phantom import phantom
from pleura.data.split import Split, make_split
from pleura.errors import RecipeError, TrainingError, UnknownName
from pleura.inference.admission.answers import Answers
from pleura.inference.bundle import CARD_HASH_CHARACTERS, Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.manifest import ANATOMY
from pleura.inference.preprocess import InputSpec, squeeze
from pleura.networks import create
from pleura.networks.anatomy import AnatomyOutput
from pleura.networks.encoder import read_shown
from pleura.training import fabric
from pleura.training.anatomy import AnatomySettings, fit, run, train_anatomy
from pleura.training.anatomy.finished import finished_anatomy
from pleura.training.anatomy.fit import fit_thresholds
from pleura.training.anatomy.loop import losses_of
from pleura.training.anatomy.parity import compare_looks
from pleura.training.anatomy.run import AnatomyReport
from pleura.training.anatomy.samples import NO_CHEST, Batch, Material, Samples, framed
from pleura.training.anatomy.teacher import agreed_planes
from pleura.training.graph import graph_of
from pleura.training.lungs import Anatomy
from pleura.training.quantise import half
from tiny_graphs import graph as tiny_graph

SLOW_KINDS = ("hand", "skull", "abdomen", "spine", "lateral chest", "text")
SETTINGS = AnatomySettings(
    size=64,
    encoder="mobilenetv2_050",
    epochs=2,
    epoch_films=8,
    batch_size=4,
    precision="32",
    withheld_kinds=SLOW_KINDS,
)


@pytest.fixture(scope="module")
def lungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms with their lungs drawn, by the side of the image."""
    folder = tmp_path_factory.mktemp("lungs")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for seed in range(3):
        made = phantom(seed, 96)
        label = made.lungs.astype(np.uint8)
        label[:, 48:] *= 2
        cv2.imwrite(str(folder / "images" / f"{seed}.png"), np.rint(255 * made.pixels))
        cv2.imwrite(str(folder / "labels" / f"{seed}.png"), label)
    return folder


@pytest.fixture
def material(lungs: Path, blocks: Dataset, blocks_split: Split) -> Material:
    ids = blocks_split.train
    return Material(
        read_lung_films(lungs),
        FilmSet(blocks, ids, 64, squeeze),
        lambda i: blocks.pixels(blocks.by_id[ids[i]]),
    )


@pytest.fixture(autouse=True)
def few_films(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MOST_CHESTS", 6)
    monkeypatch.setattr(fit, "PHANTOMS", 2)


def trained(lungs: Path, blocks: Dataset, split: Split, out: Path, **more) -> None:
    settings = more.pop("settings", SETTINGS)
    train_anatomy(lungs, blocks, split, out, settings=settings, device="cpu", **more)


@pytest.fixture(scope="module")
def finished(
    lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("anatomy") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "MOST_CHESTS", 6)
        patch.setattr(fit, "PHANTOMS", 2)
        trained(lungs, blocks, blocks_split, out)
    return out


def test_a_run_is_whole(finished: Path, blocks_split: Split) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"anatomy.json", "last.ckpt", "log.csv", "best.safetensors", "admission.json"}
    member, weights, thresholds = finished_anatomy(finished)
    assert (member.network, member.role) == ("anatomy", ANATOMY)
    assert member.input == InputSpec(64, 1, 0.5, 0.5)
    assert thresholds.films == len(blocks_split.tune)
    assert len(weights) > 100_000
    effort = member.training["effort"]
    assert (effort["films"], effort["threads"]) == (16, torch.get_num_threads())
    assert str(finished) not in str(member.training)  # no places of this machine


def test_interrupted_it_goes_on_to_the_same_end(
    finished: Path, lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    def stop(row: dict) -> None:
        raise KeyboardInterrupt

    out, rows = tmp_path / "run", []
    with pytest.raises(KeyboardInterrupt):
        trained(lungs, blocks, blocks_split, out, report=AnatomyReport(epoch=stop))
    for place in (out, out / "run.json"):
        with pytest.raises(TrainingError, match="no finished anatomy run"):
            finished_anatomy(place)
    trained(lungs, blocks, blocks_split, out, report=AnatomyReport(epoch=rows.append))
    assert [row["epoch"] for row in rows] == [2]
    for name in ("best.safetensors", "admission.json"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


@pytest.fixture
def init(tmp_path: Path) -> Path:
    """Weights to start from, of which nothing is known."""
    torch.manual_seed(99)
    options = {"encoder": SETTINGS.encoder, "domains": 3}
    network = create(ANATOMY, channels=1, size=SETTINGS.size, **options)
    tensors = {name: one.contiguous() for name, one in network.state_dict().items()}
    save_file(tensors, tmp_path / "init.safetensors")
    return tmp_path / "init.safetensors"


STILL = replace(SETTINGS, epochs=1, learning_rate=1e-9)


def test_interrupted_in_its_first_epoch_it_starts_again_from_its_weights(
    init: Path, lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out, given = tmp_path / "run", {"settings": STILL, "init": init}
    with pytest.raises(KeyboardInterrupt):
        trained(lungs, blocks, blocks_split, out, report=AnatomyReport(films=stop), **given)
    assert (out / "anatomy.json").exists()
    trained(lungs, blocks, blocks_split, out, **given)
    before, after = load_file(init), load((out / "best.safetensors").read_bytes())
    assert torch.allclose(before["lungs.weight"], after["lungs.weight"], atol=1e-6)
    assert json.loads((out / "anatomy.json").read_text())["start"]["encoder"] == init.name


def test_a_run_goes_on_from_its_own_start_in_its_own_precision(
    init: Path,
    lungs: Path,
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, began = tmp_path / "run", []

    def fabric_for(precision: str, device: str, before: str | None = None) -> Fabric:
        began.append(before)
        return fabric.fabric_for(precision, device, before)

    monkeypatch.setattr(run, "fabric_for", fabric_for)
    trained(lungs, blocks, blocks_split, out, settings=STILL, init=init)
    trained(lungs, blocks, blocks_split, out, settings=STILL, init=init)
    assert began == [None, "32-true"]
    with pytest.raises(TrainingError, match="init_sha256 differ"):
        trained(lungs, blocks, blocks_split, out, settings=STILL)
    described = json.loads((out / "anatomy.json").read_text())
    del described["init_sha256"]  # a run of before
    (out / "anatomy.json").write_text(json.dumps(described))
    trained(lungs, blocks, blocks_split, out, settings=STILL)


def test_films_that_its_teacher_or_its_start_was_shown_are_not_held_out(
    finished: Path, lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    others = make_split(blocks, seed=9, test_fraction=0.25, tune_fraction=0.3)
    copy = tmp_path / "copy.safetensors"  # its run is not beside it, its header is
    shutil.copy(finished / "best.safetensors", copy)
    for given in ({"teacher": finished}, {"init": finished / "best.safetensors"}, {"init": copy}):
        with pytest.raises(TrainingError, match="films that tune or test here"):
            trained(lungs, blocks, others, tmp_path / "run", settings=STILL, **given)
    assert not (tmp_path / "run").exists()


def test_films_that_its_teacher_was_shown_are_on_record(
    finished: Path, lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    """Also those that this run was not shown itself."""
    shutil.copytree(finished, tmp_path / "teacher")
    described = json.loads((finished / "anatomy.json").read_text())
    described["shown_pixel_sha256"].append("0123456789abcdef")
    (tmp_path / "teacher" / "anatomy.json").write_text(json.dumps(described))
    out, settings = tmp_path / "run", replace(STILL, taught_films=4)
    trained(lungs, blocks, blocks_split, out, settings=settings, teacher=tmp_path / "teacher")
    shown = {*described["shown_pixel_sha256"]}
    assert set(Anatomy.of(out).shown or ()) == shown
    assert read_shown(out / "best.safetensors") == shown


def test_a_folder_is_one_runs(
    finished: Path, lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="settings differ"):
        trained(lungs, blocks, blocks_split, finished, settings=replace(SETTINGS, seed=1))
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingError, match="holds no anatomy run"):
        trained(lungs, blocks, blocks_split, tmp_path)
    with pytest.raises(UnknownName, match="corpus of training films"):
        trained(lungs, blocks, blocks_split, tmp_path / "new", corpora=["block"])


def test_only_training_films_are_shown(blocks: Dataset, blocks_split: Split) -> None:
    shown = run._shown(blocks, blocks_split, ())
    assert set(shown) == set(blocks_split.train)
    assert not set(shown) & {*blocks_split.tune, *blocks_split.test}


def test_into_a_bundle(finished: Path, blocks: Dataset, blocks_split: Split) -> None:
    """Its network goes along, unless it was shown what is to be tuned or tested on."""
    anatomy = Anatomy.of(finished)
    anatomy.check_unseen(blocks, blocks_split)
    assert anatomy.member.role == "anatomy"
    assert anatomy.thresholds == finished_anatomy(finished)[2]
    shown = anatomy.card()
    hashes = {blocks.by_id[i].pixel_sha256[:CARD_HASH_CHARACTERS] for i in blocks_split.train}
    assert (shown["films"], set(shown["pixel_sha256"])) == (len(blocks_split.train), hashes)
    assert "shown_pixel_sha256" not in anatomy.member.training

    others = make_split(blocks, seed=9, test_fraction=0.25, tune_fraction=0.3)
    held_out = {*others.test, *others.tune}
    seen = held_out & set(blocks_split.train)
    with pytest.raises(TrainingError, match=f"shown {len(seen)} of the {len(held_out)} films"):
        anatomy.check_unseen(blocks, others)
    divided = replace(
        blocks_split,
        tune=(),
        folds=(blocks_split.tune[:1], blocks_split.tune[1:]),
        companions=((), ()),
    )
    anatomy.check_unseen(blocks, divided)


def test_a_run_that_does_not_say_what_it_was_shown_is_refused(
    finished: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    described = json.loads((finished / "anatomy.json").read_text())
    del described["shown_pixel_sha256"]
    (tmp_path / "run" / "anatomy.json").write_text(json.dumps(described))
    with pytest.raises(TrainingError, match="does not say which films"):
        Anatomy.of(tmp_path / "run").check_unseen(blocks, blocks_split)


def test_its_graph_sees_the_same(finished: Path, blocks: Dataset) -> None:
    member, weights, thresholds = finished_anatomy(finished)
    graph = half(graph_of(member, weights))
    assert len(graph) < 0.7 * len(weights)
    rng = np.random.default_rng(0)
    batches = [rng.random((1, 1, 64, 64), dtype=np.float32) for _ in range(3)]
    for runtime in ("onnxruntime", "openvino"):
        found = compare_looks(member, weights, graph, batches, runtime)
        assert found.films == 3
        assert found.labels_same > 0.97
        assert found.novelty_differs < 0.05
    altered = bytearray(weights)
    with pytest.raises(TrainingError, match="no film"):
        compare_looks(member, bytes(altered), graph, [], "onnxruntime")
    detector = Detector.of(
        Bundle.in_memory(
            BundleManifest(
                "m",
                "1",
                (Member("unet_timm", {}, InputSpec(64)), member),
                admission=thresholds,
            ),
            (),
            [tiny_graph(), graph],
        ),
        "cpu",
    )
    assert (
        detector(blocks.radiograph(blocks.films[0])).decision == "declined"
    )  # blocks are no chests


def test_a_teacher_draws_only_what_it_draws_alike() -> None:
    image = np.zeros((64, 64), np.float32)
    labels = np.zeros((128, 128), np.uint8)
    labels[30:90, 20:50], labels[30:90, 78:108], labels[60:90, 50:78] = 1, 2, 3
    mirrored = np.array([0, 2, 1, 3], np.uint8)[labels[:, ::-1]]
    planes = agreed_planes(labels, mirrored, image)
    assert planes is not None
    assert planes.shape == (64, 64, 3)
    for number in range(3):
        drawn = cv2.resize((labels == number + 1).astype(np.uint8), (64, 64)) > 0
        assert np.array_equal(planes[..., number] > 0, drawn)
    other = mirrored.copy()
    other[70:90] = 0  # on the mirror image a third of each lung is missing
    assert agreed_planes(labels, other, image) is None
    assert agreed_planes(np.where(labels == 2, np.uint8(0), labels), mirrored, image) is None


def test_a_successor_starts_from_its_teacher(
    finished: Path, lungs: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, epochs=1, learning_rate=1e-9, taught_films=4)
    trained(lungs, blocks, blocks_split, tmp_path / "run", teacher=finished, settings=settings)
    member, weights, _ = finished_anatomy(tmp_path / "run")
    assert member.training["start"]["encoder"] == "best.safetensors"
    assert member.training["films"]["taught"] == 0  # of blocks it is sure of nothing
    before, after = (load(one)["lungs.weight"] for one in (finished_anatomy(finished)[1], weights))
    assert torch.allclose(before, after, atol=1e-6)
    with pytest.raises(TrainingError, match="holds another run"):
        trained(lungs, blocks, blocks_split, tmp_path / "run", settings=settings)


def test_samples_are_the_same_again(material: Material) -> None:
    for number in range(SETTINGS.epoch_films):
        one, again = (Samples(material, SETTINGS, 0)[number] for _ in range(2))
        assert all(
            torch.equal(torch.as_tensor(a), torch.as_tensor(b))
            for a, b in zip(one, again, strict=True)
        )
        assert one.image.shape == (1, 64, 64)
        assert one.planes.shape == (3, 16, 16)
        assert -1 <= one.presentation <= NO_CHEST
        assert (one.presentation == NO_CHEST) == (one.inverted == -1)
    other = Samples(material, SETTINGS, 1)[0]
    assert not torch.equal(other.image, Samples(material, SETTINGS, 0)[0].image)
    with pytest.raises(IndexError):
        Samples(material, SETTINGS, 0)[SETTINGS.epoch_films]


def test_planes_keep_to_the_side_of_the_image(material: Material) -> None:
    """Mirrored too, the first plane lies left of the second."""
    shown = Samples(material, replace(SETTINGS, epoch_films=60), 0)
    seen = 0
    for number in range(60):
        sample = shown[number]
        if sample.planes_known[0]:
            middles = [
                float((plane.sum(0) * torch.arange(16)).sum() / plane.sum())
                for plane in sample.planes[:2]
            ]
            assert middles[0] < middles[1]
            seen += 1
    assert seen > 10


def test_framed_knows_what_it_cuts() -> None:
    planes = np.zeros((100, 100, 3), np.uint8)
    planes[30:60, 20:80, 0] = 255
    image = planes[..., 0].astype(np.float32) / 255
    for seed in range(40):
        film, drawn, whole = framed(image, planes, np.random.default_rng(seed))
        assert film.shape == drawn.shape[:2]
        assert whole == (int((film > 0).sum()) == 30 * 60)
        _, _, uncut = framed(image, planes, np.random.default_rng(seed), inside=0.0)
        assert uncut


def test_losses_by_hand() -> None:
    """One film with lungs that are half right everywhere, one impostor that is told as one to even odds."""
    output = AnatomyOutput(torch.zeros(2, 3, 2, 2), torch.zeros(2, 6), torch.zeros(2))
    planes = torch.zeros(2, 3, 2, 2)
    planes[0, :, 0] = 1
    known = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    batch = Batch(
        torch.zeros(2, 1, 8, 8), planes, known, torch.tensor([-1, 4]), torch.tensor([1, -1])
    )
    found = losses_of(output, batch)
    dice = (2 * 1 + 1) / (2 + 2 + 1)  # of each known plane: overlap 2 x 0.5, areas 4 x 0.5 and 2
    assert float(found["lungs"]) == pytest.approx(np.log(2) + 1 - dice)
    assert float(found["presentation"]) == pytest.approx(np.log(5))
    assert float(found["inverted"]) == pytest.approx(0.5 * np.log(2))
    nothing = losses_of(output, batch._replace(planes_known=torch.zeros(2, 3)))
    assert float(nothing["lungs"]) == 0


def test_thresholds_by_hand() -> None:
    """Of 800 films two may be declined by each threshold alone."""
    labels = np.zeros((100, 100), np.uint8)
    labels[40:80, 20:80] = 1  # 24 %
    normal = Answers(labels, np.array([0.9, 0, 0, 0, 0.1]), 0.0, 1.0)
    strange = [replace(normal, novelty=value) for value in (5.0, 9.0, 9.0)]
    fitted = fit_thresholds([normal] * 797 + strange, "made-up films")
    assert fitted.novelty == pytest.approx(5.0, rel=0.002)  # the third largest, and a little
    assert (fitted.films, fitted.declined) == (800, 2)
    assert fitted.no_chest == 0.25  # never lower
    assert fitted.lung_share == 0.05  # never higher
    few = replace(normal, labels=np.where(np.arange(100)[:, None] < 44, labels, np.uint8(0)))
    assert few.lung_share == pytest.approx(0.024)
    assert fit_thresholds([few] * 400, "films").lung_share == pytest.approx(0.024, rel=0.02)
    assert fitted.fitted_on == "made-up films"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"epochs": 0}, RecipeError),
        ({"epoch_films": 3}, RecipeError),
        ({"size": 0}, RecipeError),
        ({"size": 100}, RecipeError),
        ({"size": 8192}, RecipeError),
        ({"learning_rate": -1e-3}, RecipeError),
        ({"learning_rate": float("nan")}, RecipeError),
        ({"seed": -1}, RecipeError),
        ({"precision": "64"}, UnknownName),
        ({"withheld_lungs": "first"}, UnknownName),
        ({"withheld_kinds": ("foot",)}, UnknownName),
    ],
)
def test_impossible_settings(changes: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        replace(SETTINGS, **changes)


def test_halves_of_the_drawn_lungs() -> None:
    films = [
        LungFilm(str(n), np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3), np.uint8))
        for n in range(5)
    ]
    kept = {
        name: [f.name for f in run._kept_lungs(films, name)] for name in ("none", "even", "odd")
    }
    assert kept == {"none": ["0", "1", "2", "3", "4"], "even": ["1", "3"], "odd": ["0", "2", "4"]}
