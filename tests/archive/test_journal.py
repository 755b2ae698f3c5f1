"""What is to do and what is done, on disk."""

import csv
import os
from pathlib import Path

import pytest
from bright import Bright, predict, write_film

from pleura.archive.inputs import Place
from pleura.archive.journal import Journal, forget
from pleura.archive.rows import JOURNAL, Row, Stamp
from pleura.archive.run import identity_of
from pleura.errors import ArchiveError

IDENTITY = {"model": "ab", "runtime": "numpy"}
FACTS = {"decision": "negative", "file": "a", "notes": []}


def places(root: Path, *names: str) -> list[Place]:
    return [Place(root / name, True) for name in names]


def names(journal: Journal) -> list[str]:
    return [task.path.name for task in journal.waiting()]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for n, name in enumerate(("a", "b", "c", "d")):
        write_film(tmp_path / "in" / f"{name}.png", n)
    return tmp_path / "in"


def seen(detector: Bright) -> list[str]:
    return sorted(Path(name).stem for batch in detector.seen for name in batch)


def test_each_file_waits_once_in_the_order_given(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(
            [Place(Path("z"), False), *places(tmp_path, "b", "a"), Place(Path("z"), True)]
        )
        tasks = list(journal.waiting())
        assert [(task.id, task.source, task.named) for task in tasks] == [
            (1, "z", True),  # met in a folder, and named
            (2, str(tmp_path / "b"), True),
            (3, str(tmp_path / "a"), True),
        ]
        journal.expect(places(tmp_path, "c"))
        assert names(journal) == ["c"]  # the others wait no more


def test_a_journal_of_nothing_takes_another_identity(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.agree("masks", "off", "on") == "off"
        journal.expect(places(tmp_path, "a"))
    other = {"model": "cd", "runtime": "numpy"}
    with Journal(tmp_path, other) as journal:  # the first judged nothing
        assert journal.agree("masks", None, "on") == "on"
        (task,) = journal.waiting()
        journal.record([Row(task, "judged", Stamp(1, 2), facts=FACTS | {"file": task.source})])
    with pytest.raises(ArchiveError, match="made with model cd, and this is model ab"):
        Journal(tmp_path, IDENTITY)
    forget(tmp_path)
    Journal(tmp_path, IDENTITY).__exit__()
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_that_are_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.dcm")
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(places(tmp_path, odd))
        (task,) = journal.waiting()
        assert task.source == str(tmp_path / odd)
        journal.record([Row(task, "judged", Stamp(1, 2), facts=FACTS | {"file": task.source})])
        assert [facts["file"] for facts in journal.findings()] == [str(tmp_path / odd)]
        assert list(journal.sources()) == [str(tmp_path / odd)]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        Journal(tmp_path, IDENTITY),
        pytest.raises(ArchiveError, match="another process is predicting into"),
    ):
        Journal(tmp_path, IDENTITY)
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(places(tmp_path, "a"))
        with pytest.raises(ArchiveError, match="another process is predicting into"):
            forget(tmp_path)
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.counts() == {"waiting": 1}


def test_what_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"something else entirely" * 100)
    with pytest.raises(ArchiveError, match="is damaged"):
        Journal(tmp_path, IDENTITY)
    forget(tmp_path)
    Journal(tmp_path, IDENTITY).__exit__()


def test_a_journal_that_is_damaged_further_in_is_told_as_one(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(places(tmp_path, *(f"{n}{'a' * 200}" for n in range(100))))
    path = tmp_path / JOURNAL
    whole = path.read_bytes()
    path.write_bytes(whole[: 12 * 4096] + b"\xaa" * (len(whole) - 12 * 4096))
    with (
        pytest.raises(ArchiveError, match=r"is damaged .*malformed"),
        Journal(tmp_path, IDENTITY) as journal,
    ):
        journal.expect(places(tmp_path, "b"))


def test_a_journal_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir()  # as in a folder that may not be written
    for begin in (lambda: Journal(tmp_path, IDENTITY), lambda: forget(tmp_path)):
        with pytest.raises(ArchiveError, match=r"cannot be written .*unable to open"):
            begin()


def test_choices_are_kept(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.agree("overlays", None, "on") == "on"
        assert journal.agree("overlays", None, "off") == "on"  # as it was begun
        assert journal.agree("overlays", "on", "off") == "on"
        assert journal.agree("masks", "off", "on") == "off"
        with pytest.raises(ArchiveError, match="begun with masks off, and this is masks on"):
            journal.agree("masks", "on", "on")


def test_a_full_disk_is_told_whatever_is_written(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        journal._database.execute("PRAGMA max_page_count = 1")  # as large as it is
        many = (f"{n}{'a' * 200}" for n in range(100))
        with pytest.raises(
            ArchiveError, match=r"cannot be written .*full.*goes on where it stopped"
        ):
            journal.expect(places(tmp_path, *many))
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.counts() == {}
        journal._database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(ArchiveError, match="cannot be written"):
            journal.agree("overlays", "on" * 4000, "off")


def test_a_batch_is_recorded_whole_or_not_at_all(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(places(tmp_path, "a", "b"))
        a, b = journal.waiting()
        bad = FACTS | {"probability": float("nan")}
        with pytest.raises(ValueError, match="JSON"):
            journal.record([Row(a, "judged", facts=FACTS), Row(b, "judged", facts=bad)])
    with Journal(tmp_path, IDENTITY) as journal:
        assert names(journal) == ["a", "b"]
        assert journal.counts() == {"waiting": 2}


def test_failures_are_counted_by_reason(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(places(tmp_path, *"abcd"))
        reasons = ["cut", "lateral", "cut", "cut"]
        for task, reason in zip(list(journal.waiting()), reasons, strict=True):
            journal.record([Row(task, "failed", kind="DecodeError", reason=reason)])
        assert journal.reasons(5) == [("DecodeError", "cut", 3), ("DecodeError", "lateral", 1)]
        assert journal.reasons(1) == [("DecodeError", "cut", 3)]
        assert list(journal.failures())[1] == (str(tmp_path / "b"), "lateral")


def test_more_rows_than_are_fetched_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path, IDENTITY) as journal:
        journal.expect(places(tmp_path, *(f"{n:04}" for n in range(1000))))
        done = 0
        for task in journal.waiting():  # recorded while they are gone through
            journal.record([Row(task, "judged", Stamp(0, 0), facts=FACTS | {"file": task.source})])
            done += 1
        assert done == 1000
        found = [facts["file"] for facts in journal.findings()]
        assert found == [str(tmp_path / f"{n:04}") for n in range(1000)]


def test_what_is_done_is_not_done_again(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(out, films / "a.png", films / "b.png")
    table = (out / "findings.csv").read_bytes()
    again = Bright()
    predict(out, films / "a.png", films / "b.png", detector=again)
    assert again.seen == []
    assert (out / "findings.csv").read_bytes() == table
    more = Bright()
    tally, _ = predict(out, films, detector=more)
    assert (seen(more), tally.total()) == (["c", "d"], 4)


def test_a_file_that_changed_is_judged_again(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(out, films)
    write_film(films / "b.png", 99, bright=True)
    os.utime(films / "b.png", ns=(1, 1))
    again = Bright()
    tally, _ = predict(out, films, detector=again)
    assert seen(again) == ["b"]
    assert tally == {"positive": 1, "negative": 3}
    assert len(list((out / "masks").iterdir())) == 4


def test_a_film_whose_mask_was_lost_is_judged_again(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(out, films)
    (out / "masks/a.png").unlink()
    (out / "masks/c.png").write_bytes(b"")  # as a power cut leaves it
    again = Bright()
    predict(out, films, detector=again)
    assert seen(again) == ["a", "c"]
    assert (out / "masks/c.png").stat().st_size > 50


def test_a_file_that_could_not_be_opened_is_tried_again(films: Path, tmp_path: Path) -> None:
    out, late = tmp_path / "out", films / "late.png"
    listing = tmp_path / "list"
    (films / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    listing.write_text("\n".join(str(films / name) for name in ("a.png", "late.png", "broken.png")))
    failures = []
    _, counts = predict(out, Path(f"@{listing}"), failed=failures.append)
    assert counts == {"judged": 1, "failed": 2}
    assert "cannot be read (No such file" in failures[0].message
    write_film(late, 7)
    failures.clear()
    _, counts = predict(out, Path(f"@{listing}"), failed=failures.append)
    assert counts == {"judged": 2, "failed": 1}
    assert failures == []  # the broken one is not tried again


def test_a_folder_that_cannot_be_listed_is_reported_and_tried_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_film(films / "shut" / "e.png", 9)
    scandir, listdir = os.scandir, os.listdir

    def refuse(path: object) -> None:
        if Path(str(path)).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))

    failures = []
    with monkeypatch.context() as shut:
        shut.setattr(os, "scandir", lambda path: refuse(path) or scandir(path))
        shut.setattr(os, "listdir", lambda path: refuse(path) or listdir(path))
        _, counts = predict(tmp_path / "out", films, failed=failures.append)
    assert counts == {"judged": 4, "failed": 1}
    assert failures[0].message == (
        f"{films / 'shut'}: this folder cannot be listed (Permission denied), so that films may be missing; "
        "see to it, then run the same command again"
    )
    _, counts = predict(tmp_path / "out", films)
    assert counts == {"judged": 5}


def test_a_link_to_a_folder_is_reported(films: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "elsewhere" / "e.png", 9)
    (films / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    failures = []
    _, counts = predict(tmp_path / "out", films, failed=failures.append)
    assert counts == {"judged": 4, "failed": 1}
    assert f"{films / 'link'}: is a link to a folder" in failures[0].message


@pytest.mark.parametrize("name", ["masks", "overlays", "dicom"])
def test_films_that_lie_where_pictures_go_are_neither_overwritten_nor_removed(
    tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    write_film(out / name / "p.png", 1, bright=True)
    before = (out / name / "p.png").read_bytes()
    for arguments in ([out], [out / name]):
        with pytest.raises(ArchiveError, match="--out"):
            predict(out, *arguments, dicom=name == "dicom")
        forget(out)
        assert (out / name / "p.png").read_bytes() == before


def test_starting_afresh_removes_what_the_journal_wrote_and_nothing_else(
    films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict(out, films, overlays=True)
    write_film(films / "late.png", 50)
    with Journal(out, identity_of(Bright())) as journal:
        journal.expect([Place(films / "late.png", True)])
        waiting = next(iter(journal.waiting())).id
    # as a run leaves it that was killed before it recorded them
    killed = [out / "masks" / "late.png", out / "overlays" / f"late~{waiting}.jpg"]
    own = out / "masks" / "mine.png"
    for path in (*killed, own):
        path.write_bytes(b"x")
    forget(out)
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert left == ["failures.csv", "findings.csv", "findings.json", "masks/mine.png"]


def test_a_film_that_repeats_one_that_changed_is_judged_by_itself(
    films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_film(films / "a.png", 7, bright=True)
    (films / "b.png").write_bytes((films / "a.png").read_bytes())
    tally, _ = predict(out, films / "a.png", films / "b.png")
    assert tally == {"positive": 2, "duplicates": 1}
    write_film(films / "a.png", 8)
    os.utime(films / "a.png", ns=(1, 1))
    again = Bright()
    tally, _ = predict(out, films / "a.png", detector=again)
    assert (seen(again), tally) == (["a", "b"], {"positive": 1, "negative": 1})
    with open(out / "findings.csv", newline="") as file:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    assert (rows["b"]["mask"], rows["b"]["duplicate_of"]) == ("masks/b.png", "")
    assert (out / "masks/b.png").stat().st_size > 0


def test_a_repeated_films_lost_mask_is_written_again_for_both(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (films / "b.png").write_bytes((films / "a.png").read_bytes())
    predict(out, films / "a.png", films / "b.png")
    (out / "masks/a.png").unlink()
    again = Bright()
    predict(out, films / "b.png", detector=again)
    assert seen(again) == ["a"]
    assert (out / "masks/a.png").exists()


def test_lost_pictures_of_films_not_given_now_keep_their_findings(
    films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict(out, films / "a.png")
    (out / "masks/a.png").unlink()
    tally, _ = predict(out, films / "b.png")
    assert tally == {"negative": 2}


def test_a_film_that_fails_now_leaves_no_picture_of_what_it_was(
    films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict(out, films, overlays=True)
    (films / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    tally, counts = predict(out, films, overlays=True)
    assert (tally, counts) == ({"negative": 3}, {"judged": 3, "failed": 1})
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["b.png", "c.png", "d.png"]
    assert not (out / "overlays/a.jpg").exists()
