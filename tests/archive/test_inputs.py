"""What arguments stand for."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pleura.archive.inputs import MAX_LINE_BYTES, files_in
from pleura.errors import ArchiveError, ReadError


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with films in two folders, one below the other, and what is no film."""
    for name in ("b/2.dcm", "b/10.dcm", "b/c/1.dcm", "b/.hidden", "b/.git/x", "a [copy].png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str) -> list[tuple[str, bool]]:
    return [(str(place.path), place.named) for place in files_in(arguments)]


def test_folders_are_walked_in_order_and_files_are_named(films: Path) -> None:
    assert found("b", "b/2.dcm") == [
        ("b/10.dcm", False),
        ("b/2.dcm", False),
        ("b/c/1.dcm", False),
        ("b/2.dcm", True),
    ]


def test_patterns(films: Path) -> None:
    assert found("b/*.dcm") == [("b/10.dcm", True), ("b/2.dcm", True)]
    assert [path for path, _ in found("b/**/1*.dcm")] == ["b/10.dcm", "b/c/1.dcm"]
    assert found("*/c") == [("b/c/1.dcm", False)]  # a folder that a pattern gives is walked


def test_a_file_that_looks_like_a_pattern_is_itself(films: Path) -> None:
    assert found("a [copy].png") == [("a [copy].png", True)]


def test_lists(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsdecode(b"\xff.dcm")
    lines = b"b/2.dcm\r\n\nb/c\n# no comment\n\xff.dcm"
    (films / "list.txt").write_bytes(lines)
    want = [("b/2.dcm", True), ("b/c/1.dcm", False), ("# no comment", True), (odd, True)]
    assert found("@list.txt") == want
    Path("list.txt").write_bytes(b"\xef\xbb\xbf" + lines)
    assert found("@list.txt") == want
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    assert found("-") == want


def test_what_stands_for_nothing(films: Path) -> None:
    with pytest.raises(ReadError, match="nowhere does not exist"):
        found("nowhere")
    with pytest.raises(ReadError, match=r"\*\.png2 does not exist"):
        found("*.png2")
    with pytest.raises(ArchiveError, match="the list none"):
        found("@none")


@pytest.mark.parametrize("content", [b"x" * (MAX_LINE_BYTES + 1), b"a\0b\n"])
def test_what_is_no_list(films: Path, content: bytes) -> None:
    (films / "list").write_bytes(content)
    with pytest.raises(ArchiveError, match="list is no list of files"):
        found("@list")


def test_what_a_prediction_wrote_is_no_film(films: Path) -> None:
    out = films / "b"
    for name in ("masks/2.png", "overlays/2.jpg", "dicom/2/seg.dcm", "c/masks/3.png"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"")
    walked = [str(place.path) for place in files_in(["b"], Path("b"))]
    assert walked == ["b/10.dcm", "b/2.dcm", "b/c/1.dcm", "b/c/masks/3.png"]
    assert [place.path for place in files_in([str(films)], Path("b"))][1:] == [
        films / name for name in walked
    ]
    (films / "list").write_text("b/2.dcm\nb/dicom/2/seg.dcm\n")
    for argument in ("b/masks", "b/masks/2.png", "b/dicom/2", "b/mask?/*", "@list"):
        with pytest.raises(ArchiveError, match=r"where what is found is written.*--out"):
            list(files_in([argument], out))
        assert list(files_in([argument], Path("elsewhere")))


def test_what_another_prediction_wrote_is_no_film(films: Path) -> None:
    for name in ("journal.sqlite", "masks/2.png", "overlays/2.jpg", "dicom/2/sc.dcm"):
        path = films / "b/found" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    walked = [str(place.path) for place in files_in(["b"], Path("elsewhere"))]
    assert walked == ["b/10.dcm", "b/2.dcm", "b/c/1.dcm", "b/found/journal.sqlite"]
    assert len(list(files_in(["b/found/masks"]))) == 1  # as it is named


def test_a_folder_that_cannot_be_listed_is_a_film_that_fails(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def broken(path: str) -> object:
        if str(path) == "b/c":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    assert found("b") == [("b/10.dcm", False), ("b/2.dcm", False), ("b/c", True)]
    assert found("b/c") == [("b/c", True)]


def test_a_link_to_a_folder_is_not_followed_and_fails(films: Path) -> None:
    (films / "b/link").symlink_to(films / "b", target_is_directory=True)
    assert found("b")[2:] == [("b/link", True), ("b/c/1.dcm", False)]
    assert found("b/link")[:2] == [("b/link/10.dcm", False), ("b/link/2.dcm", False)]
