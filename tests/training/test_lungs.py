"""Networks that see the lungs alone, from the recipe to a finding, with the anatomy network that ships."""

import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pleura.data.dataset import Beforehand, FilmSet
from pleura.data.manifest import Dataset
from pleura.data.phantom import phantom
from pleura.data.split import Split, make_split
from pleura.errors import DatasetError, RecipeError, TrainingError
from pleura.frame import WHOLE, Frame
from pleura.inference.bundle import open_bundle
from pleura.inference.detector import Detector
from pleura.inference.preprocess import InputSpec, squeeze
from pleura.inference.shipped import shipped_anatomy
from pleura.training import lungs
from pleura.training.check import check_recipe
from pleura.training.export import _training as told_of
from pleura.training.export import export
from pleura.training.lungs import Anatomy, anatomy_of, lung_frames, lung_labels
from pleura.training.pictures import draw_augmented
from pleura.training.recipe import LossTerm, NetworkRecipe, Recipe, find_recipe, read_recipe
from pleura.training.run import RunFolder
from pleura.training.train import Report, train
from written_dataset import Given, written

PATIENTS, PX = 16, 320
PAINTED = Beforehand(painted=True)
RECIPE = Recipe(
    name="lungs",
    network=NetworkRecipe(
        "unet_timm", {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8, 8]}
    ),
    input=InputSpec(64, region="lungs"),
    anatomy="shipped",
    batch_size=4,
    epochs=1,
    precision="32",
    pictures_every=1,
)


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Phantoms of 16 patients, every second with a pneumothorax, and one film that is upside down."""

    def film(number: int) -> Given:
        made, name = phantom(number, PX, pneumothorax=number % 2 == 0), f"chest-{number:02d}"
        pixels = np.round(made.pixels * 255).astype(np.uint8)
        if number == PATIENTS - 1:
            pixels, name = pixels[::-1, ::-1], "chest-turned"
        return Given(name, name, pixels, made.mask, np.full(256, number, np.uint8))

    return written(tmp_path_factory.mktemp("chests"), "chests", map(film, range(PATIENTS)))


@pytest.fixture(scope="module")
def parts(chests: Dataset) -> Split:
    return make_split(chests, seed=0, test_fraction=0.2, tune_fraction=0.3)


@pytest.fixture(scope="module")
def run(chests: Dataset, parts: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train(RECIPE, chests, parts, out, device="cpu")
    return out


def test_frames_hold_the_lungs_and_are_found_once(
    chests: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    anatomy, ids = Anatomy.of(Path("shipped")), sorted(chests.by_id)
    frames = lung_frames(anatomy, chests, ids, progress=lambda *said: told.append(said))
    assert told[-1] == (len(ids), len(ids)) or not told  # an earlier test may have found them
    for number in range(PATIENTS - 1):
        name = f"chest-{number:02d}"
        within = phantom(number, PX, pneumothorax=number % 2 == 0).lungs
        inside = within[frames[name].window(within.shape)].sum() / within.sum()
        assert inside > 0.97
        assert frames[name] != WHOLE
    assert frames["chest-turned"] == WHOLE  # it would be turned first, and its mask is not
    monkeypatch.setattr(lungs, "Doorkeeper", None)  # nothing is looked at again
    assert lung_frames(anatomy, chests, ids) == frames
    (cache,) = (chests.root / "cache").glob("lungs-*.json")
    kept = cache.read_text()
    cache.write_text(kept[: len(kept) // 2])
    with pytest.raises(TypeError):  # half a cache is none, and the films would be looked at
        lung_frames(anatomy, chests, ids)
    cache.write_text(kept)


def test_collapses_are_painted_into_the_lungs_of_negative_films(
    chests: Dataset, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anatomy, ids = Anatomy.of(Path("shipped")), sorted(chests.by_id)
    labels = lung_labels(anatomy, chests, ids)
    assert list(labels) == ids
    assert cv2.imread(str(labels["chest-turned"]), cv2.IMREAD_UNCHANGED).shape == (1, 1)
    with monkeypatch.context() as patched:
        patched.setattr(lungs, "Doorkeeper", None)  # nothing is looked at again
        assert lung_labels(anatomy, chests, ids) == labels

    frames = lung_frames(anatomy, chests, ids)
    films = FilmSet(chests, ids, 128, squeeze, frames=frames, surround=0.125, lungs=labels)
    plain = FilmSet(chests, ids, 128, squeeze, frames=frames, surround=0.125)
    turned, healthy = ids.index("chest-turned"), ids.index("chest-01")
    within = phantom(1, PX, pneumothorax=False).lungs
    seen = cv2.resize(frames["chest-01"].cut(within).astype(np.float32), (128, 128)) > 0.05
    painted = 0
    for epoch in range(12):
        _, mask = films.augmented(healthy, "none", (0, epoch), PAINTED)
        assert (mask > 0)[~seen].mean() < 0.01
        painted += bool(mask.any())
        as_it_is = films.augmented(turned, "none", (0, epoch), PAINTED)
        for one, other in zip(as_it_is, plain.get(turned), strict=True):
            np.testing.assert_array_equal(one, other)
    assert painted >= 8
    for one, other in zip(films.get(healthy), plain.get(healthy), strict=True):
        np.testing.assert_array_equal(one, other)

    asked: list[bool] = []
    augmented = FilmSet.augmented

    def noted(self: FilmSet, index: int, name: str, seeds: Any, first: Beforehand) -> Any:
        asked.append(first.painted)
        assert not (first.painted and self.labels[index])
        return augmented(self, index, name, seeds, first)

    monkeypatch.setattr(FilmSet, "augmented", noted)
    train(replace(RECIPE, painted_collapses=0.9), chests, parts, tmp_path / "run", device="cpu")
    assert any(asked)
    assert not all(asked)


def test_many_films_are_looked_at_by_the_graph(
    chests: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the same frames, but for a place of the label map on an edge."""
    anatomy, ids = Anatomy.of(Path("shipped")), sorted(chests.by_id)
    frames = dict(lung_frames(anatomy, chests, ids))
    for cache in (chests.root / "cache").glob("lungs-*.json"):
        cache.unlink()
    monkeypatch.setattr(lungs, "_MANY_FILMS", len(ids))
    monkeypatch.setattr(lungs, "TorchRuntime", None)
    for film_id, found in lung_frames(anatomy, chests, ids).items():
        assert astuple(found) == pytest.approx(astuple(frames[film_id]), abs=0.01)


def test_from_a_recipe_to_a_finding(
    run: Path, chests: Dataset, parts: Split, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    export([run], chests, parts, bundle, graph="f32")
    manifest = open_bundle(bundle).manifest
    assert [member.role for member in manifest.members] == ["segmenter", "anatomy"]
    assert manifest.members[0].input.region == "lungs"
    assert manifest.data_card["anatomy"]["films"] == 2839
    assert [check["changed"] for check in manifest.exports["checked"]] == [[]] * len(
        manifest.exports["checked"]
    )
    detector = Detector.load(bundle, "cpu", cache=False)
    film = chests.radiograph(chests.by_id["chest-00"])
    (frame,) = detector.lungs([film])
    drawn = detector(film).probability_map
    assert drawn is not None
    inside = np.zeros(film.shape, bool)
    inside[frame.window(film.shape)] = True
    assert (drawn[inside] > 0).all()
    assert not drawn[~inside].any()


def test_it_learns_from_what_it_will_see(run: Path, chests: Dataset, parts: Split) -> None:
    """The middle of training films is what the detector gives its network, but for eight bits and a shift.

    The shift is of what is kept around them, which is whole pixels of the film and of the network.
    """
    caches = list((chests.root / "cache").glob("films-64-*.npy"))
    kept = {np.load(path, mmap_mode="r").shape[0]: np.load(path) for path in caches}
    film_ids = parts.part("train")
    frames = lung_frames(Anatomy.of(Path("shipped")), chests, film_ids)
    for pixels, film_id in zip(kept[len(film_ids)], film_ids, strict=True):
        film = chests.by_id[film_id]
        seen = chests.pixels(film)[frames[film_id].window((film.rows, film.columns))]
        wanted = cv2.resize(seen, (64, 64), interpolation=cv2.INTER_AREA)
        inner = pixels[0, 8:-8, 8:-8] / 255  # an eighth of 64 around it
        assert np.abs(inner - wanted).mean() < 0.005


def test_what_found_the_lungs_goes_along(
    run: Path, chests: Dataset, parts: Split, tmp_path: Path
) -> None:
    shutil.copytree(shipped_anatomy(), tmp_path / "same")
    export([run], chests, parts, tmp_path / "bundle", anatomy=tmp_path / "same")
    shutil.copytree(shipped_anatomy(), tmp_path / "other")
    weights = tmp_path / "other" / "best.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(TrainingError, match=r"another network found than .*other"):
        export([run], chests, parts, tmp_path / "none", anatomy=tmp_path / "other")


def test_a_film_that_it_was_shown_may_not_be_judged(
    chests: Dataset, parts: Split, tmp_path: Path
) -> None:
    shutil.copytree(shipped_anatomy(), tmp_path / "run")
    path = tmp_path / "run" / "anatomy.json"
    described = json.loads(path.read_text())
    described["shown_pixel_sha256"].append(chests.by_id[parts.test[0]].pixel_sha256[:16])
    path.write_text(json.dumps(described))
    recipe = replace(RECIPE, anatomy=str(tmp_path / "run"))
    with pytest.raises(TrainingError, match="was shown 1 of the"):
        train(recipe, chests, parts, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_model_has_the_anatomy_that_its_networks_learnt_from(
    run: Path, chests: Dataset, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where `pleura-weights` has come to ship another one since."""
    shutil.copytree(shipped_anatomy(), tmp_path / "other")
    weights = tmp_path / "other" / "best.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    runs = [(RECIPE, RunFolder(run))]
    assert anatomy_of(runs) is not None
    whole = replace(RECIPE, input=InputSpec(64), anatomy=None)
    assert anatomy_of([(whole, RunFolder(run))]) is None
    shipped = shipped_anatomy()
    monkeypatch.setattr(lungs, "shipped_anatomy", lambda: tmp_path / "other")
    with pytest.raises(TrainingError, match=r"learnt from the lungs that another network found"):
        anatomy_of(runs)
    with pytest.raises(TrainingError, match="another run: anatomy_sha256 is"):
        train(RECIPE, chests, parts, run, device="cpu")
    found = anatomy_of(runs, shipped)
    assert found is not None
    assert found.root == shipped


def test_a_bundle_does_not_say_where_the_anatomy_lay(run: Path) -> None:
    described = RunFolder(run).described()
    assert told_of(described)["recipe"]["anatomy"] == "shipped"
    described["recipe"]["anatomy"] = "/home/somebody/runs/eye"
    assert told_of(described)["recipe"]["anatomy"] == "eye"


def test_a_recipe_that_sees_lungs_names_who_finds_them() -> None:
    light = find_recipe("light")
    with pytest.raises(RecipeError, match="needs anatomy: shipped"):
        read_recipe(light, ["input.region=lungs"])
    with pytest.raises(RecipeError, match="needs anatomy: shipped"):
        read_recipe(light, ["anatomy=shipped"])
    recipe = read_recipe(light, ["input.region=lungs", "anatomy=shipped"])
    assert (recipe.input.region, recipe.anatomy) == ("lungs", "shipped")
    with pytest.raises(RecipeError, match="region"):
        read_recipe(light, ["input.region=heart", "anatomy=shipped"])


def test_a_network_with_a_loss_of_its_own_sees_films() -> None:
    own = replace(RECIPE, network=NetworkRecipe("mask_rcnn", {}), loss=(LossTerm("mask_rcnn"),))
    with pytest.raises(RecipeError, match=r"sees whole films; set input\.region: film"):
        check_recipe(own)


def test_a_preview_shows_what_is_in_the_frame(
    chests: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    framed: list[object] = []

    class Watched(FilmSet):
        def __init__(self, *given: object, frames: dict[str, Frame], **more: object) -> None:
            framed.append(frames)
            super().__init__(*given, frames=frames, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("pleura.training.pictures.FilmSet", Watched)
    draw_augmented(RECIPE, chests, tmp_path / "p.png", 2, 0)
    assert framed[0] is not None
    assert (tmp_path / "p.png").exists()


def test_a_preview_leaves_tested_films_alone(
    chests: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []

    class Watched(FilmSet):
        def __init__(
            self, dataset: Dataset, ids: list[str], *given: object, **more: object
        ) -> None:
            looked_at.extend(ids)
            super().__init__(dataset, ids, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("pleura.training.pictures.FilmSet", Watched)
    recipe = replace(RECIPE, anatomy=None, input=replace(RECIPE.input, region="film"))
    everything = [film.film_id for film in chests.films if film.label is not None]
    tested = everything[::2]
    shown = draw_augmented(recipe, chests, tmp_path / "p.png", 64, 0, unseen=tested)
    assert shown == len(looked_at)
    assert sorted(looked_at) == sorted(set(everything) - set(tested))
    with pytest.raises(DatasetError, match="no labelled film to show"):
        draw_augmented(recipe, chests, tmp_path / "p.png", 64, 0, unseen=everything)


def test_progress_is_told(chests: Dataset, parts: Split, tmp_path: Path) -> None:
    for cache in (chests.root / "cache").glob("lungs-*.json"):
        cache.unlink()
    told: list[tuple[int, int]] = []
    report = Report(lungs=lambda *said: told.append(said))
    train(RECIPE, chests, parts, tmp_path / "run", device="cpu", fit=False, report=report)
    count = len(parts.part("train")) + len(parts.part("tune"))
    assert told[-1] == (count, count)
