"""Verification: each kind of fault is planted once in a small whole dataset, and found under its name."""

import csv
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic import film, write_dataset, write_png
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.corpora import CorpusSpec
from pleura.data.duplicates import thumbnail
from pleura.data.manifest import Dataset, Film, mask_sha256
from pleura.data.prepare import prepare
from pleura.data.split import Split, make_split
from pleura.data.verify import Verification, verify
from pleura.data.verify.measure import immerkaer_noise, measure, stays_inside
from pleura.data.verify.outliers import MIN_COMPARED, odd_poses, robust_z
from pleura.data.verify.problems import CODES, Problems

SIDE = 128
N = 30


def picture(seed: int) -> np.ndarray:
    """A dark field with a bright body, two dark lungs and noise: uint8 (SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE), 30.0, np.float32)
    cv2.ellipse(image, (64, 75), (51 + seed % 5, 69), 0, 0, 360, 190.0, -1)
    for x in (40, 88):
        cv2.ellipse(image, (x + seed % 3, 64), (15, 32), 0, 0, 360, 80.0, -1)
    blobs = cv2.resize(rng.normal(0, 14, (8, 8)).astype(np.float32), (SIDE, SIDE))
    image += blobs + rng.normal(0, 3, image.shape).astype(np.float32)
    return np.clip(image, 1, 254).astype(np.uint8)


def square(area_px: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask.flat[SIDE * 40 : SIDE * 40 + area_px] = 255
    return mask


def thumb(image: np.ndarray) -> str:
    return thumbnail(image.astype(np.float32) / 255)


def build(root: Path) -> list[Film]:
    """A dataset with nothing wrong: 30 films of 15 patients, every third positive."""
    films = []
    for n in range(N):
        image, label = picture(n), int(n % 3 == 0)
        area = 90 + n if label else 0
        write_png(root / f"images/f{n:02d}.png", image)
        if label:
            write_png(root / f"masks/f{n:02d}.png", square(area))
        films.append(
            film(
                f"f{n:02d}",
                f"p{n // 2:02d}",
                label,
                area / SIDE**2,
                rows=SIDE,
                columns=SIDE,
                mask_area_px=area,
                mask_sha256=mask_sha256(square(area) > 0) if label else None,
                thumbnail=thumb(image),
                annotations=label,
            )
        )
    write_dataset(root, films)
    return films


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Film]]:
    root = tmp_path_factory.mktemp("whole")
    return root, build(root)


@pytest.fixture
def broken(tmp_path: Path) -> tuple[Path, list[Film]]:
    """The same, of its own, to break."""
    return tmp_path, build(tmp_path)


def found(root: Path, films: list[Film], split: Split | None = None) -> Verification:
    return verify(write_dataset(root, films), split, processes=1)


def codes(result: Verification) -> dict[str, tuple[str, ...]]:
    return {problem.code: problem.films for problem in result.problems}


def test_a_whole_dataset_is_safe(whole: tuple[Path, list[Film]]) -> None:
    root, _ = whole
    calls: list[tuple[int, int]] = []
    result = verify(
        Dataset.open(root), processes=1, progress=lambda done, total: calls.append((done, total))
    )
    assert result.safe_to_train
    assert codes(result) == {}
    assert calls == [(n, N) for n in range(1, N + 1)]
    (row,) = result.corpora
    assert (row.films, row.positive, row.negative, row.unlabelled, row.patients) == (
        30,
        10,
        20,
        0,
        15,
    )
    assert row.share == pytest.approx(1 / 3)
    assert result.looks["aspect"].tolist() == [1.0] * N
    brightness = picture(0).mean() / 255
    assert result.looks["brightness"][0] == pytest.approx(brightness, abs=1e-6)


def test_several_processes_find_the_same(whole: tuple[Path, list[Film]]) -> None:
    root, _ = whole
    one = verify(Dataset.open(root), processes=1)
    two = verify(Dataset.open(root), processes=2)
    assert {k: v for k, v in one.facts().items() if k != "seconds"} == {
        k: v for k, v in two.facts().items() if k != "seconds"
    }


def test_missing_and_damaged_files_are_errors(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    (root / "images/f01.png").unlink()
    data = (root / "images/f02.png").read_bytes()
    (root / "images/f02.png").write_bytes(data[: len(data) // 8])
    (root / "images/f04.png").write_bytes(b"")
    (root / "masks/f03.png").unlink()
    (root / "masks/f06.png").write_bytes(b"no picture")
    write_png(root / "masks/f09.png", np.zeros((7, 9), np.uint8))
    result = found(root, films)
    assert not result.safe_to_train
    assert codes(result) == {
        "image-missing": ("f01",),
        "image-unreadable": ("f02", "f04"),
        "mask-missing": ("f03",),
        "mask-unreadable": ("f06", "f09"),
    }
    assert np.isnan(result.looks["brightness"][[1, 2, 4]]).all()


def test_images_that_are_not_the_films_are_errors(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    write_png(root / "images/f01.png", picture(1)[:, :50])
    write_png(root / "images/f02.png", np.full((SIDE, SIDE), 77, np.uint8))
    write_png(root / "images/f04.png", 255 - picture(4))
    half = cv2.resize(picture(5), (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    write_png(root / "images/f05.png", half)  # a dataset prepared at a reduced size: not wrong
    films[5] = replace(films[5], stored_rows=SIDE // 2, stored_columns=SIDE // 2)
    write_png(root / "images/f07.png", half)  # but of this one the manifest says otherwise
    found_codes = codes(found(root, films))
    assert found_codes.pop("image-size") == ("f01", "f07")
    assert found_codes.pop("image-blank") == ("f02",)
    assert found_codes.pop("image-changed") == ("f04",)
    assert set(found_codes) <= {"odd-brightness", "odd-contrast", "odd-noise", "odd-sharpness"}


def test_masks_that_do_not_match_are_errors(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    write_png(root / "masks/f00.png", square(5))
    write_png(root / "masks/f03.png", square(0))
    films[6] = replace(films[6], mask=None)
    films[7] = replace(films[7], mask="masks/f06.png", mask_area_px=96)
    films[8] = replace(films[8], label=None, label_quality="none", mask="masks/f06.png")
    result = codes(found(root, films))
    assert result["mask-area"] == ("f00", "f03")
    assert result["mask-changed"] == ("f07",)  # a negative film has none
    assert result["mask-empty"] == ("f03",)
    assert result["positive-without-mask"] == ("f06",)
    assert result["negative-with-mask"] == ("f07",)
    assert result["unlabelled-with-mask"] == ("f08",)


def test_a_mask_of_the_same_area_elsewhere_is_an_error(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    write_png(root / "masks/f03.png", np.ascontiguousarray(square(93)[::-1]))
    assert films[3].mask_area_px == 93
    result = found(root, films)
    assert codes(result) == {"mask-changed": ("f03",)}
    assert not result.safe_to_train


def test_mask_sizes_and_masks_on_black(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    black = picture(0)
    black[40:44] = 0
    write_png(root / "images/f00.png", black)
    write_png(root / "masks/f03.png", square(SIDE * 66))
    films[3] = replace(films[3], mask_area_px=SIDE * 66, mask_area_fraction=66 / SIDE)
    write_png(root / "masks/f06.png", square(1))
    films[6] = replace(films[6], mask_area_px=1, mask_area_fraction=1 / SIDE**2)
    result = codes(found(root, films))
    assert result["mask-on-blank"] == ("f00",)
    assert result["mask-huge"] == ("f03",)
    assert result["mask-tiny"] == ("f06",)


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "a/../../b.png", "..\\b.png", ""])
def test_paths_out_of_the_dataset_are_not_followed(
    whole: tuple[Path, list[Film]], path: str
) -> None:
    root, films = whole
    assert not stays_inside(path)
    result = measure(Dataset.open(root), replace(films[1], image=path))
    assert result.faults == (("path-outside", path),)
    assert result.looks is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (500, 1)])
def test_films_of_any_size_are_measured(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape) * 60
    write_png(tmp_path / "images/a.png", image)
    entry = film("a", "a", rows=shape[0], columns=shape[1])
    result = measure(write_dataset(tmp_path, [entry]), entry)
    assert result.looks is not None
    assert all(np.isfinite(value) for value in vars(result.looks).values())
    wrong = measure(Dataset.open(tmp_path), replace(entry, rows=0, columns=0))
    assert [code for code, _ in wrong.faults] == ["image-size"]


def test_a_header_that_claims_too_large_a_picture_is_a_fault(tmp_path: Path) -> None:
    write_png(tmp_path / "images/a.png", picture(0))
    data = bytearray((tmp_path / "images/a.png").read_bytes())
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "images/a.png").write_bytes(data)
    entry = film("a", "a")
    (fault,) = measure(write_dataset(tmp_path, [entry]), entry).faults
    assert fault[0] == "image-unreadable"


def test_copies_and_contradictions(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    films[1] = replace(films[1], pixel_sha256="same")
    films[2] = replace(films[2], pixel_sha256="same")
    films[3] = replace(films[3], pixel_sha256="both")
    films[4] = replace(films[4], pixel_sha256="both")
    copy = cv2.imdecode(cv2.imencode(".jpg", picture(10))[1], cv2.IMREAD_GRAYSCALE)
    write_png(root / "images/f11.png", copy)
    films[11] = replace(films[11], thumbnail=thumb(copy))
    write_png(root / "images/f13.png", picture(12))
    films[13] = replace(films[13], thumbnail=thumb(picture(12)))
    result = codes(found(root, films))
    assert result["equal-pixels"] == ("f01", "f02")
    assert result["equal-pixels-other-label"] == ("f03", "f04")
    assert result["near-copies"] == ("f10", "f11")
    assert result["near-copies-other-label"] == ("f12", "f13")


def test_corpora_that_give_the_answer_away(whole: tuple[Path, list[Film]]) -> None:
    root, films = whole
    data = Dataset.open(root)
    twins = [replace(f, film_id=f"x{f.film_id}", corpus="b") for f in films if f.label == 1]
    thrice = twins + [replace(f, film_id=f"y{f.film_id}") for f in twins]
    result = verify(replace(data, films=(*films, *thrice)), processes=1)
    assert "one-class-corpus" in codes(result)
    assert "uneven-corpora" in codes(result)
    assert "b (expert): positive" in str(result.facts())
    negatives = tuple(f for f in films if f.label == 0)
    alone = verify(replace(data, films=negatives), processes=1)
    assert not alone.safe_to_train
    assert "one-class" in codes(alone)


def test_unknown_patients_ages_spacing_aspect_views_and_repeated_ids(
    broken: tuple[Path, list[Film]],
) -> None:
    root, films = broken
    films[1] = replace(films[1], patient_basis="film")
    films[2] = replace(films[2], age_years=414.0)
    films[4] = replace(films[4], spacing_basis="implausible")
    films[5] = replace(films[5], film_id="f07")
    films[8] = replace(films[8], thumbnail="xyz")
    write_png(root / "images/f10.png", picture(10)[:30])
    films[10] = replace(films[10], rows=30)
    films[11] = replace(films[11], view="lateral")
    films[12] = replace(films[12], view="PA")
    result = codes(found(root, films))
    assert result["unknown-patients"] == ("f01",)
    assert result["implausible-age"] == ("f02",)
    assert result["implausible-spacing"] == ("f04",)
    assert result["repeated-id"] == ("f07",)
    assert result["damaged-row"] == ("f08",)
    assert result["odd-aspect"] == ("f10",)
    assert result["small"] == ("f10",)
    assert result["not-frontal"] == ("f11",)


def test_the_other_tables_are_read(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    with (root / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["film_id", "number", "rle"])
        for entry in films:
            writer.writerow([entry.film_id, 0, "1 2" if entry.label else "-1"])
        writer.writerow(["f03", 1, "9 9"])
    (root / "failures.csv").write_text("source,reason\na.dcm,truncated\nb.dcm,no pixels\n")
    result = found(root, films)
    assert codes(result) == {"not-prepared": (), "annotations-differ": ("f03",)}
    assert result.problems[0].details == ("a.dcm: truncated", "b.dcm: no pixels")
    assert result.problems[0].count == 2
    assert result.safe_to_train


def test_leaks_and_stale_splits_are_errors(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    split = make_split(write_dataset(root, films), seed=0)
    assert codes(found(root, films, split)) == {}
    tested, trained = split.test[0], split.train[0]
    by_id = {f.film_id: n for n, f in enumerate(films)}
    leaky = list(films)
    leaky[by_id[trained]] = replace(
        leaky[by_id[trained]], patient_id=leaky[by_id[tested]].patient_id
    )
    result = found(root, leaky, split)
    assert not result.safe_to_train
    assert {tested, trained} <= set(codes(result)["leak"])
    assert "split-stale" in codes(found(root, films[1:], split))


def test_robust_z_by_hand() -> None:
    values = np.array([*range(-10, 11), 100.0, np.nan])
    scores = robust_z(values, ["a"] * 23)
    # 22 values, median 0.5, absolute deviations 0.5, 0.5, 1.5, 1.5, ...: their median is 5.5.
    assert scores[-2] == pytest.approx(99.5 / (1.4826 * 5.5))
    assert scores[0] == pytest.approx(-10.5 / (1.4826 * 5.5))
    assert scores[-1] == 0.0
    assert robust_z(np.ones(40), ["a"] * 40).tolist() == [0.0] * 40
    assert robust_z(values[:5], ["a"] * 5).tolist() == [0.0] * 5
    assert robust_z(np.empty(0), []).tolist() == []


def test_each_corpus_is_its_own_measure() -> None:
    rng = np.random.default_rng(0)
    bright, dark = rng.normal(0.8, 0.01, 50), rng.normal(0.2, 0.01, 50)
    scores = robust_z(np.concatenate([bright, dark]), ["a"] * 50 + ["b"] * 50)
    assert np.abs(scores).max() < 4
    # Too few to have a spread of their own: compared with all.
    few = robust_z(np.concatenate([bright, dark[:3]]), ["a"] * 50 + ["b"] * 3)
    assert (few[50:] < -20).all()


def test_noise_is_measured_right() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0.5, 0.02, (400, 400)).astype(np.float32)
    assert immerkaer_noise(noise) == pytest.approx(0.02, rel=0.02)
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    assert immerkaer_noise(ramp) == pytest.approx(0.0, abs=1e-6)


def test_odd_looks_are_found(broken: tuple[Path, list[Film]]) -> None:
    root, films = broken
    rng = np.random.default_rng(0)
    noisy = np.clip(picture(1) + rng.normal(0, 60, (SIDE, SIDE)), 1, 254).astype(np.uint8)
    for name, image in (("f01", noisy), ("f02", picture(2) // 3 + 1), ("f04", 255 - picture(4))):
        write_png(root / f"images/{name}.png", image)
        place = int(name[1:])
        films[place] = replace(films[place], thumbnail=thumb(image))
    films[5] = replace(films[5], thumbnail=thumb(picture(5)[::-1]))
    result = codes(found(root, films))
    assert "f01" in result["odd-noise"]
    assert "f02" in result["odd-brightness"]
    assert "f02" in result["odd-contrast"]
    assert result["looks-inverted"] == ("f04",)


def test_poses_need_enough_films_and_survive_flat_ones() -> None:
    upright = [film(str(n), str(n), thumbnail=thumb(picture(n))) for n in range(MIN_COMPARED)]
    assert odd_poses(upright) == {}
    assert odd_poses(upright[1:]) == {}
    assert odd_poses([]) == {}
    flat = film("flat", "flat", thumbnail=thumb(np.full((SIDE, SIDE), 9, np.uint8)))
    inverted = film("inverted", "i", thumbnail=thumb(255 - picture(3)))
    odd = odd_poses([*upright, flat, inverted])
    assert {code: [f.film_id for f, _ in found] for code, found in odd.items()} == {
        "unlike-the-rest": ["flat"],
        "looks-inverted": ["inverted"],
    }


def test_films_upside_down_are_found() -> None:
    # A phantom's lungs are all but symmetric; a bright belly makes up and down differ.
    def torso(seed: int) -> np.ndarray:
        image = picture(seed)
        image[64:] = 220
        image[:24] = 20
        return image

    films = [film(str(n), str(n), thumbnail=thumb(torso(n))) for n in range(MIN_COMPARED)]
    turned = film("turned", "t", thumbnail=thumb(torso(3)[::-1]))
    assert [f.film_id for f, _ in odd_poses([*films, turned])["looks-turned"]] == ["turned"]


def test_an_empty_dataset_is_not_safe(tmp_path: Path) -> None:
    result = found(tmp_path, [])
    assert not result.safe_to_train
    assert codes(result) == {"one-class": ()}
    result.save(tmp_path / "verify.json")
    assert json.loads((tmp_path / "verify.json").read_text())["films"] == 0


def test_problems_are_gathered_gravest_first() -> None:
    problems = Problems()
    problems.add("mask-tiny", "a")
    problems.add("image-missing", "b", "gone")
    problems.add("mask-tiny", "c")
    first, second = problems.gathered()
    assert (first.code, first.severity, first.films, first.details) == (
        "image-missing",
        "error",
        ("b",),
        ("gone",),
    )
    assert (second.films, second.count) == (("a", "c"), 2)
    assert second.message == CODES["mask-tiny"][1]
    with pytest.raises(KeyError):
        problems.add("no-such-code")


def test_the_verb_writes_json_and_a_page_and_tells_by_its_exit_code(
    broken: tuple[Path, list[Film]],
) -> None:
    root, films = broken
    films[1] = replace(films[1], age_years=414.0, corpus="<script>[b]")
    write_dataset(root, films)
    run = CliRunner().invoke(app, ["verify", str(root), "--processes", "1"])
    assert run.exit_code == 0, run.output
    assert "Safe to train on" in run.output
    assert "No split yet" in run.output
    facts = json.loads((root / "verify.json").read_text())
    assert facts["safe_to_train"] is True
    assert facts["problems"][0]["code"] == "implausible-age"
    page = (root / "verify.html").read_text()
    assert "<script>[b]" not in page
    assert "&lt;script&gt;[b]" in page
    assert page.count("<svg") == 6
    assert page.count("data:image/jpeg") == 1
    (root / "images/f02.png").unlink()
    assert CliRunner().invoke(app, ["split", str(root)]).exit_code == 0
    run = CliRunner().invoke(app, ["verify", str(root), "--processes", "1", "--out", f"{root}/o"])
    assert run.exit_code == 1
    assert "NOT safe" in run.output
    assert json.loads((root / "o/verify.json").read_text())["split_sha256"]


def test_the_split_verb_keeps_the_test_part_unless_told(whole: tuple[Path, list[Film]]) -> None:
    root, _ = whole
    path = root / "s.json"

    def run(*options: str) -> tuple[Split, str]:
        result = CliRunner().invoke(app, ["split", str(root), "--out", str(path), *options])
        assert result.exit_code == 0, result.output
        return Split.load(path), result.output

    first, said = run("--seed", "1")
    assert "median" in said
    second, said = run("--seed", "2", "--folds", "3", "--test-corpus", "a")
    assert second.test == first.test
    assert "had before" in said
    assert len(second.folds) == 3
    third, said = run("--seed", "2", "--refreeze")
    assert third.test != first.test
    assert "had before" not in said


def test_real_films_are_safe_and_one_turned_about_is_found(real_data: Path, tmp_path: Path) -> None:
    root = real_data / "siim" / "png"
    data = prepare([CorpusSpec(root)], tmp_path / "data", size=512, processes=1)
    split = make_split(data, seed=0, folds=3)
    result = verify(data, split, processes=1)
    assert result.safe_to_train, result.problems
    assert result.corpora[0].positive == 39
    assert not {"looks-inverted", "looks-turned", "near-copies"} & set(codes(result))
    inverted = 1 - data.pixels(data.films[0])
    turned = np.ascontiguousarray(data.pixels(data.films[1])[::-1])
    films = list(data.films)
    for n, pixels in enumerate((inverted, turned)):
        films[n] = replace(films[n], thumbnail=thumbnail(pixels))
    odd = odd_poses(films)
    assert [f.film_id for f, _ in odd["looks-inverted"]] == [films[0].film_id]
    assert [f.film_id for f, _ in odd["looks-turned"]] == [films[1].film_id]
