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
