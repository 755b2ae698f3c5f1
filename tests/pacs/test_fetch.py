"""Films of an archive to a folder: all of them, once, whole, and what fails is said."""

import csv
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from an_archive import CT, Archive, Held, as_json, part
from typer.testing import CliRunner

from pleura.cli import app
from pleura.errors import ArchiveError
from pleura.files import lock
from pleura.pacs import answers
from pleura.pacs.fetch import Fetched, Wanted, fetch
from pleura.pacs.peers import Credentials, Peer, WebPeer, checked_url
from pleura.pacs.web import Client

HELD = (
    Held("1.1", "1.1.1", "1.1.1.1", data=b"\0" * 128 + b"DICM" + bytes(range(256)) * 900),
    Held("1.1", "1.1.1", "1.1.1.2"),
    Held("1.2", "1.2.1", "1.2.1.1", "DX", date="20260105"),
    Held("1.2", "1.2.2", "1.2.2.1", "CT", CT),
    Held("1.3", "1.3.1", "1.3.1.1", "CR", CT),
    Held("1.4", "1.4.1", "1.4.1.1", "CT", CT),
)
FILES = ("1.1/1.1.1/1.1.1.1.dcm", "1.1/1.1.1/1.1.1.2.dcm", "1.2/1.2.1/1.2.1.1.dcm")


@pytest.fixture
def make() -> Iterator[Callable[..., Archive]]:
    made: list[Archive] = []

    def one(*held: Held, **how: Any) -> Archive:
        made.append(Archive(*held, **how))
        return made[-1]

    yield one
    for archive in made:
        archive.stop()


def fetched(archive: Archive, out: Path, **how: Any) -> Fetched:
    wanted = Wanted(**{name: how.pop(name) for name in list(how) if name in Wanted.__annotations__})
    return fetch(lambda: Client(archive.url), wanted, out, waits=(0.01, 0.01), **how)


def files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def failures(out: Path) -> list[dict[str, str]]:
    with (out / "failures.csv").open() as file:
        return list(csv.DictReader(file))


def test_films_are_fetched_as_they_are_and_nothing_else(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    archive, told = make(*HELD), []
    found = fetched(archive, tmp_path / "films", progress=lambda *at: told.append(at))
    assert files(tmp_path / "films") == list(FILES)
    for name, held in zip(FILES, HELD, strict=False):
        assert (tmp_path / "films" / name).read_bytes() == held.data
    assert (found.studies, found.films, found.there, found.others) == (3, 3, 0, 1)
    assert found.failed == []
    assert told[-1] == (3, 3)
    wanted = [h["accept"] for h, path in zip(archive.headers, archive.asked, strict=True)
              if path.endswith("1.1.1.1")]  # fmt: skip
    assert wanted == ['multipart/related; type="application/dicom"; transfer-syntax=*']


def test_the_same_again_fetches_what_is_missing_alone(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    archive = make(*HELD)
    fetched(archive, tmp_path)
    (tmp_path / FILES[1]).unlink()
    half = tmp_path / f"1.1/1.1.1/.1.1.1.2.dcm.{os.getpid()}.partial"
    for path in (half, tmp_path / f".failures.csv.{os.getpid()}.partial"):
        path.write_bytes(b"of a run that was killed")
    archive.asked.clear()
    found = fetched(archive, tmp_path)
    assert (found.films, found.there) == (1, 2)
    assert sum("/instances/" in path for path in archive.asked) == 1
    assert files(tmp_path) == list(FILES)


MANY = tuple(Held(f"1.{n}", f"1.{n}.1", f"1.{n}.1.1") for n in range(23))


@pytest.mark.parametrize("how", [{"page": 1}, {"page": 7}, {"knows_offset": False}, {}])
def test_all_that_is_found_is_fetched_however_little_comes_at_once(
    make: Callable[..., Archive], tmp_path: Path, how: dict[str, Any]
) -> None:
    assert fetched(make(*MANY, **how), tmp_path).films == 23


def test_what_an_archive_finds_and_never_gives_is_told(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="more than the 7 that it gives; ask for less"):
        fetched(make(*MANY, page=7, knows_offset=False), tmp_path)


def test_which_films_are_wanted(make: Callable[..., Archive], tmp_path: Path) -> None:
    archive = make(*HELD)
    day = date(2026, 1, 5)
    assert fetched(archive, tmp_path / "a", since=day, until=day).films == 1
    assert fetched(archive, tmp_path / "b", until=date(2026, 1, 4)).films == 2
    assert fetched(archive, tmp_path / "c", modalities=("DX",)).films == 1
    assert fetched(archive, tmp_path / "d", studies=("1.1", "1.1")).studies == 1
    assert fetched(archive, tmp_path / "e", most=1).films == 2
    fetched(archive, tmp_path / "f", where={"AccessionNumber": "A 17"})
    assert any("AccessionNumber=A+17" in path for path in archive.asked)
    fetched(archive, tmp_path / "g", where={"PatientName": "MÜLLER&*", "StudyID": "1/?,2"})
    plain = "PatientName=M%C3%9CLLER%26*&StudyID=1/?,2&"
    assert any(f"studies?{plain}" in path for path in archive.asked)


def only(name: str, answer: tuple[int, str, bytes]) -> Callable[[str], Any]:
    return lambda path: answer if path.endswith(name) else None


MULTIPART = 'multipart/related; type="application/dicom"; boundary=b'
FILM = b"\0" * 128 + b"DICM" + b"x"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, "text/plain", b"no"), "it answers HTTP 404"),
        ((406, "text/plain", b"no"), "it answers HTTP 406"),
        ((200, "application/dicom", FILM), "not multipart"),
        ((200, "multipart/related", part(FILM)), "not multipart"),
        ((200, MULTIPART, b"nonsense"), "not the multipart that it says"),
        ((200, MULTIPART, part(FILM, FILM)), "gives 2 instances for one"),
        ((200, MULTIPART, part(b"<html>")), "no DICOM file"),
        ((200, MULTIPART, part(b"\0" * 700_000)), "larger than the limit"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_the_rest_goes_on(
    make: Callable[..., Archive], tmp_path: Path, answer: tuple[int, str, bytes], why: str
) -> None:
    archive = make(*HELD)
    archive.spoil = only("1.1.1.2", answer)
    found = fetched(archive, tmp_path, most_bytes=500_000)
    assert (found.films, len(found.failed)) == (2, 1)
    (row,) = failures(tmp_path)
    assert [row["study"], row["series"], row["instance"]] == ["1.1", "1.1.1", "1.1.1.2"]
    assert why in row["reason"]
    assert files(tmp_path) == [FILES[0], FILES[2], "failures.csv"]
    archive.spoil = lambda path: None
    assert fetched(archive, tmp_path).failed == []
    assert files(tmp_path) == list(FILES)


def test_a_study_that_cannot_be_looked_into_is_told(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    archive = make(*HELD)
    archive.spoil = lambda path: (400, "a", b"") if "studies/1.1/series?" in path else None
    assert fetched(archive, tmp_path).films == 1
    assert failures(tmp_path)[0]["study"] == "1.1"


@pytest.mark.parametrize(
    "answer", [(503, "a", b""), (429, "a", b""), (200, MULTIPART, part(FILM)[:-6])]
)
def test_a_service_that_is_busy_is_asked_again(
    make: Callable[..., Archive], tmp_path: Path, answer: tuple[int, str, bytes]
) -> None:
    archive, times = make(*HELD), []

    def busy_twice(path: str) -> tuple[int, str, bytes] | None:
        times.append(path)
        return answer if path.endswith("1.1.1.2") and times.count(path) < 3 else None

    archive.spoil = busy_twice
    found = fetched(archive, tmp_path)
    assert (found.films, found.failed) == (3, [])


def test_an_archive_that_goes_away_ends_it_and_what_was_fetched_stays(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    archive = make(*HELD)
    archive.spoil = only("1.1.1.2", (404, "a", b""))
    fetched(archive, tmp_path, studies=("1.1",))
    archive.spoil = lambda path: (401, "a", b"") if "1.2/series" in path else None
    with pytest.raises(ArchiveError, match=r"let us in.*goes on from there"):
        fetched(archive, tmp_path, studies=("1.2",))
    assert files(tmp_path) == [FILES[0], "failures.csv"]  # of the call before, and true still
    archive.spoil = lambda path: None
    found = fetched(archive, tmp_path)
    assert (found.films, found.there) == (2, 1)
    assert files(tmp_path) == list(FILES)


@pytest.mark.parametrize("workers", [1, 4])
def test_an_archive_that_lets_nobody_in_is_not_asked_for_each_film(
    make: Callable[..., Archive], tmp_path: Path, workers: int
) -> None:
    archive = make(*MANY)
    archive.spoil = lambda path: (401, "a", b"") if "/instances/" in path else None
    with pytest.raises(ArchiveError, match="see to the token"):
        fetched(archive, tmp_path, workers=workers)
    assert sum("/instances/" in path for path in archive.asked) <= workers


@pytest.mark.parametrize("status", [403, 500, 503])
def test_one_film_that_an_archive_never_gives_ends_nothing(
    make: Callable[..., Archive], tmp_path: Path, status: int
) -> None:
    archive = make(*MANY)
    archive.spoil = only("/1.7.1.1", (status, "a", b""))
    found = fetched(archive, tmp_path)
    assert (found.films, len(found.failed)) == (22, 1)
    assert f"HTTP {status}" in failures(tmp_path)[0]["reason"]


@pytest.mark.parametrize("where", ["/1.7.1.1", "1.7/series?"])
def test_one_answer_that_breaks_off_or_is_nonsense_ends_nothing(
    make: Callable[..., Archive], tmp_path: Path, where: str
) -> None:
    archive = make(*MANY)
    archive.cut = lambda path: where in path
    archive.spoil = lambda path: (200, "a", b"[no json") if where in path else None
    found = fetched(archive, tmp_path)
    assert (found.films, len(found.failed)) == (22, 1)
    assert failures(tmp_path)[0]["study"] == "1.7"
    again = fetched(archive, tmp_path, studies=("1.3",))  # which says nothing of that one
    assert again.failed == []
    assert len(failures(tmp_path)) == 1


def test_films_that_failed_before_do_not_end_it_before_new_ones(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    bad = tuple(f"/1.{n}.1.1" for n in (2, 5, 8, 11, 14, 17))
    archive = make(*MANY[:18])
    archive.spoil = lambda path: (500, "a", b"") if path.endswith(bad) else None
    found = fetched(archive, tmp_path, workers=1)
    assert (found.films, len(found.failed)) == (12, 6)
    archive.held += MANY[18:]
    found = fetched(archive, tmp_path, workers=1)
    assert (found.films, found.there, len(found.failed)) == (5, 12, 6)


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_archive_that_gives_nothing_any_more_ends_it(
    make: Callable[..., Archive], tmp_path: Path, status: int
) -> None:
    archive = make(*MANY)
    archive.spoil = lambda path: (status, "a", b"") if "/instances/" in path else None
    with pytest.raises(ArchiveError, match=f"HTTP {status}"):
        fetched(archive, tmp_path, workers=1)
    assert len({path for path in archive.asked if "/instances/" in path}) == 5


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[7]", b"[" * 100_000])
def test_an_answer_that_is_no_dicom_json_is_told(
    make: Callable[..., Archive], tmp_path: Path, body: bytes
) -> None:
    archive = make(*HELD)
    archive.spoil = lambda path: (200, "application/dicom+json", body)
    with pytest.raises(ArchiveError, match="not DICOM JSON"):
        fetched(archive, tmp_path)


@pytest.mark.parametrize("uid", ["../../etc", "..", "1.2/3", "", "1" * 65, "1..2", "1.2x"])
def test_uids_that_are_none_are_told_and_no_paths(
    make: Callable[..., Archive], tmp_path: Path, uid: str
) -> None:
    for held in (Held(uid, "1.1", "1.1.1"), Held("1", uid, "1.1.1"), Held("1", "1.1", uid)):
        found = fetched(make(held, Held("1.9", "1.9.1", "1.9.1.1")), tmp_path / "films")
        assert len(found.failed) == 1
        assert "a UID that is none" in found.failed[0].reason
    assert files(tmp_path) == ["films/1.9/1.9.1/1.9.1.1.dcm", "films/failures.csv"]


def test_uids_may_be_padded(make: Callable[..., Archive], tmp_path: Path) -> None:
    archive = make(*HELD)
    archive.spoil = lambda path: (
        (200, "a", as_json(["0020000D"], [("1.1\0",)])) if "studies?" in path else None
    )
    assert fetched(archive, tmp_path).films == 2


def test_a_series_is_looked_into_once_whatever_the_archive_passes_over(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    archive = make(*HELD)
    archive.spoil = lambda path: (
        (200, "a", as_json(["0020000E"], [("1.1.1",)])) if "1.1/series?" in path else None
    )
    found = fetched(archive, tmp_path, studies=("1.1",))
    assert (found.films, found.there) == (2, 0)


def test_a_search_without_end_is_not_followed(make: Callable[..., Archive], tmp_path: Path) -> None:
    """A service that knows no offset and signs each answer anew."""
    archive, times = make(*HELD), []

    def signed(path: str) -> tuple[int, str, bytes] | None:
        times.append(path)
        row = [{"0020000D": {"Value": ["1.1"]}, "00081190": {"Value": [f"x{len(times)}"]}}]
        return (200, "a", json.dumps(row).encode()) if "studies?" in path else None

    archive.spoil = signed
    assert fetched(archive, tmp_path).films == 2
    assert sum("studies?" in path for path in times) == 4


@pytest.mark.parametrize("status", [400, 404])
def test_an_offset_that_is_refused_where_there_is_more_is_told(
    make: Callable[..., Archive], tmp_path: Path, status: int
) -> None:
    archive = make(*MANY, page=7)
    archive.spoil = lambda path: (status, "a", b"") if "offset" in path else None
    with pytest.raises(ArchiveError, match="more than the 7 that it gives"):
        fetched(archive, tmp_path)


@pytest.mark.parametrize("status", [400, 404, 200])
def test_an_offset_that_is_refused_is_the_end(
    make: Callable[..., Archive], tmp_path: Path, status: int
) -> None:
    archive = make(*HELD)
    archive.spoil = lambda path: (status, "a", b"") if "offset" in path else None
    assert fetched(archive, tmp_path).films == 3


def test_a_warning_of_something_else_is_none_of_ours(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    archive = make(*HELD)
    archive.always_warns = True
    assert fetched(archive, tmp_path).films == 3


@pytest.mark.parametrize("before", [b"for people without MIME\r\n", b"\r\n", b""])
def test_what_stands_before_the_first_part_is_passed_over(
    make: Callable[..., Archive], tmp_path: Path, before: bytes
) -> None:
    archive = make(*HELD)
    archive.spoil = only("1.1.1.2", (200, MULTIPART, before + part(FILM)))
    assert fetched(archive, tmp_path).films == 3


def test_odd_boundaries_and_names_are_told(make: Callable[..., Archive], tmp_path: Path) -> None:
    archive = make(*HELD)
    archive.spoil = only("1.1.1.2", (200, f"multipart/related; boundary={'b' * 300}", b"x"))
    assert fetched(archive, tmp_path).failed[0].reason.startswith("what it gives is not")
    with pytest.raises(ArchiveError, match="does not answer"):
        fetch(lambda: Client("https://a..b/x"), Wanted(), tmp_path, waits=())


def test_a_full_disk_is_not_the_archives_fault(
    make: Callable[..., Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(answers.Part, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        fetched(make(*HELD), tmp_path)
    assert files(tmp_path) == []


def test_whoever_interrupts_it_waits_for_one_film_at_most(
    make: Callable[..., Archive], tmp_path: Path
) -> None:
    """The first study is done while the second, of many films, is under way."""
    many = (Held("2", "2.1", f"2.1.{n}") for n in range(50))
    archive = make(Held("1", "1.1", "1.1.1"), *many)

    def slow(path: str) -> None:
        if "studies/2/" in path:
            time.sleep(0.1)

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    archive.spoil = slow
    with pytest.raises(KeyboardInterrupt):
        fetched(archive, tmp_path, workers=2, progress=interrupt)
    assert 1 <= len(files(tmp_path)) <= 10


def test_one_at_a_time_writes_to_a_folder(make: Callable[..., Archive], tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    try:
        assert lock(held)
        with pytest.raises(ArchiveError, match="another pleura fetch"):
            fetched(make(*HELD), tmp_path)
    finally:
        os.close(held)


def test_nobody_is_there(tmp_path: Path) -> None:
    archive = Archive()
    archive.stop()
    with pytest.raises(ArchiveError, match="does not answer"):
        fetched(archive, tmp_path)


def test_the_command(make: Callable[..., Archive], tmp_path: Path) -> None:
    archive, token = make(*HELD), tmp_path / "token"
    token.write_text("a-token-for-the-archive\n")
    token.chmod(0o600)
    out = tmp_path / "films"
    command = ["fetch", archive.url + "/", "--out", str(out), "--token-file", str(token)]
    done = CliRunner().invoke(app, [*command, "--since", "2026-01-01", "--where", "PatientSex=F"])
    assert done.exit_code == 0, done.output
    assert "3 films of 3 studies" in done.output
    assert {h["authorization"] for h in archive.headers} == {"Bearer a-token-for-the-archive"}
    assert any("PatientSex=F" in path and "StudyDate=20260101-" in path for path in archive.asked)
    (out / FILES[0]).unlink()
    archive.spoil = only("1.1.1.1", (404, "a", b""))
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "1 failed" in done.output
    wrongs = (["--study", "../x"], ["--where", "x"], ["--cert", "x"])
    wrongs += (
        ["--since", "2026-02-01", "--until", "2026-01-01"],
        ["--study", "1.1", "--limit", "1"],
        ["--where", "A=1", "--where", "A=2"],
    )
    for wrong in wrongs:
        assert CliRunner().invoke(app, [*command, *wrong]).exit_code == 2


def test_urls_and_where_a_token_may_go(
    tmp_path: Path, make: Callable[..., Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        checked_url("https://pacs.example:8443/dicom-web/") == "https://pacs.example:8443/dicom-web"
    )
    for text in (
        "pacs.example",
        "ftp://x",
        "https://",
        "https://h:0",
        "https://u:p@h",
        "https://h?x",
    ):
        with pytest.raises(ArchiveError):
            checked_url(text)
    file = tmp_path / "token"
    file.write_text("t" * 20)
    secret = Credentials(file)
    with pytest.raises(ArchiveError, match="C-STORE knows no token"):
        secret.check(Peer("PACS", "host", 104))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy is another machine
    assert fetch(lambda: Client(make(*HELD).url, secret), Wanted(), tmp_path / "films").films == 3
    secret.check(WebPeer("http://127.0.0.1:8042/x"))
    secret.check(WebPeer("https://pacs.example"))
    Credentials().check(WebPeer("http://pacs.example"))
    with pytest.raises(ArchiveError, match="take https"):
        secret.check(WebPeer("http://pacs.example"))
