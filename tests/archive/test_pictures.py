"""The pictures of a prediction: every film its own, whatever the files are called."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from made_up import box_film, dicom_of, findings_of

from pleura.archive.pictures import Names, Pictures
from pleura.archive.rows import Task, stem_of


class Journal:
    """One that has these names."""

    def __init__(self, *names: str) -> None:
        self.names = {name.lower() for name in names}

    def has_name(self, name: str) -> bool:
        return name.lower() in self.names


def taken(names: Names, *sources: str) -> list[str]:
    return [names.take(Task(n, Path(source), source, True)) for n, source in enumerate(sources, 1)]


def test_films_of_one_name_keep_their_own_pictures() -> None:
    sources = ["a/1.png", "b/1.png", "c/1~2.png", "d/1.PNG", "e/1~2.dcm", "f/1~5.dcm"]
    names = taken(Names(Journal()), *sources)
    assert names == ["1", "1~2", "1~2~3", "1~4", "1~2~5", "1~5"]
    assert len({name.lower() for name in names}) == len(sources)


def test_names_of_the_journal_are_taken_too() -> None:
    names = Names(Journal("X", "x~1", "y"))
    assert taken(names, "x.dcm", "y.dcm", "z.dcm") == ["x~1~", "y~2", "z"]
    names.settled(3)  # in the journal, which here does not know them
    assert taken(names, "z.dcm") == ["z"]


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("a/1.2.840.5", "1.2.840.5"),
        ("a/1.2.840.5.dcm", "1.2.840.5"),
        (b"a/\xff\xfe.dcm".decode("utf-8", "surrogateescape"), "__"),
        ("x" * 251 + ".dcm", "x" * 180),
        ("ü" * 125, "ü" * 90),
        ("a\nb", "a_b"),
        ("a/...dcm", "_.."),
        ("a/..dcm", "_."),
    ],
)
def test_any_file_name_gives_a_picture_its_name(source: str, stem: str) -> None:
    assert stem_of(source) == stem


def test_pictures_are_written_whole_and_their_sizes_known(tmp_path: Path) -> None:
    film = box_film()
    positive, negative, declined = findings_of(film)
    pictures = Pictures(tmp_path, masks=True, overlays=True)
    mask, overlay, dicom, sizes, _ = pictures.write("x", film, positive)
    assert dicom is None
    assert (mask, overlay) == ("masks/x.png", "overlays/x.jpg")
    assert sizes == {name: (tmp_path / name).stat().st_size for name in (mask, overlay)}
    written = cv2.imread(str(tmp_path / mask), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, positive.mask.astype(np.uint8) * 255)
    mask, overlay, _, sizes, _ = pictures.write("y", film, declined)  # has no mask
    assert (mask, overlay, list(sizes)) == (None, "overlays/y.jpg", ["overlays/y.jpg"])
    pictures = Pictures(tmp_path / "masks", masks=True, overlays=False)
    assert pictures.write("z", film, negative).overlay is None
    assert not (tmp_path / "masks/overlays").exists()


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/.x.png.77.partial").write_bytes(b"half")
    (tmp_path / "masks/x.png").write_bytes(b"whole")
    Pictures(tmp_path, masks=True, overlays=True)
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["x.png"]
    assert not Pictures(tmp_path, masks=False, overlays=False)


def test_results_of_a_film_that_is_no_longer_positive_lose_their_segmentation(
    tmp_path: Path,
) -> None:
    film = dicom_of(box_film())
    positive, negative, _ = findings_of(film)
    pictures = Pictures(tmp_path, masks=False, overlays=False, dicom=True)
    assert pictures
    written = pictures.write("x", film, positive)
    assert written.dicom == "dicom/x"
    assert set(written.sizes) == {f"dicom/x/{kind}.dcm" for kind in ("seg", "sr", "sc")}
    assert written.sizes == {name: (tmp_path / name).stat().st_size for name in written.sizes}
    pictures.write("x", film, negative)
    assert sorted(path.name for path in (tmp_path / "dicom/x").iterdir()) == ["sc.dcm", "sr.dcm"]


def test_a_film_that_is_no_dicom_says_why_it_has_no_results(tmp_path: Path) -> None:
    film = box_film()
    pictures = Pictures(tmp_path, masks=False, overlays=False, dicom=True)
    pictures.write("x", dicom_of(film), findings_of(film)[0])  # of an earlier run
    written = pictures.write("x", film, findings_of(film)[0])
    assert not list((tmp_path / "dicom/x").iterdir())
    assert (written.dicom, written.sizes) == (None, {})
    assert written.without is not None
    assert written.without.startswith("it is PNG, and DICOM results belong to a DICOM film")
