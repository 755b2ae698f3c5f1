"""An upload's files go straight to the disk, within its bounds."""

import os
import resource
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from a_service import Served, png
from pleura.service.parts import Parts
from pleura.service.problems import Refused

KIND = "multipart/form-data; boundary=b"


def part(data: bytes, name: str = "a.png", field: str = "files") -> bytes:
    named = f'form-data; name="{field}"; filename="{name}"'.encode()
    return b"--b\r\nContent-Disposition: " + named + b"\r\n\r\n" + data + b"\r\n"


def parts(place: Path, most: int = 5, room: Callable[[int], None] = lambda wanted: None) -> Parts:
    return Parts(KIND, place, most, room)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_files_are_written_as_they_come(tmp_path: Path, size: int) -> None:
    sent = [bytes([n]) * 200 for n in range(4)] + [b""]
    other = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    body = other + b"".join(part(data, f"ü{n}.png") for n, data in enumerate(sent))
    body += part(b"left out", field="others") + b"--b--\r\n"
    before, most = len(os.listdir("/proc/self/fd")), 0
    with closing(parts(tmp_path)) as taken:
        for start in range(0, len(body), size):
            taken.feed(body[start : start + size])
            most = max(most, len(os.listdir("/proc/self/fd")))
        found = taken.end()
    assert most - before <= 1
    assert [file.name for file in found] == [f"ü{n}.png" for n in range(5)]
    contents = [file.content.read_bytes() for file in found if isinstance(file.content, Path)]
    assert contents == sent


def take(taken: Parts, *pieces: bytes) -> None:
    with closing(taken):
        for piece in pieces:
            taken.feed(piece)
        taken.end()


NAMELESS = b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (part(b"x") * 6 + b"--b--\r\n", 413),
        (part(b"x"), 400),  # cut off
        (b"nonsense", 400),
        (part(b"x", field="x") + b"--b--\r\n", 422),
        (part(b"x", field="x") * 11, 400),
        (NAMELESS, 422),
    ],
)
def test_what_is_no_upload_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        take(parts(tmp_path), body)
    assert refused.value.status == status
    with pytest.raises(Refused, match="no boundary"):
        Parts("multipart/form-data", tmp_path, 5, lambda wanted: None)


def test_room_is_looked_for_while_files_are_written(tmp_path: Path) -> None:
    def room(wanted: int) -> None:
        used = sum(path.stat().st_size for path in tmp_path.iterdir())
        if used + wanted > 250_000:
            raise Refused(507, "no room")

    with pytest.raises(Refused, match="no room"):
        take(parts(tmp_path, room=room), part(b"").removesuffix(b"\r\n"), *[b"x" * 50_000] * 10)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 250_000


def peak_bytes(served: Served) -> int:
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def test_many_files_take_neither_memory_nor_descriptors(served: Served) -> None:
    served.upload(png(1))
    pid = served.process.pid
    opened = len(os.listdir(f"/proc/{pid}/fd"))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + 24, limits[1]))
    try:
        before = peak_bytes(served)
        answer = served.upload(*[bytes(1_000_000)] * 100)
        assert (answer.status_code, len(answer.json()["refused"])) == (422, 100)
        assert peak_bytes(served) - before < 50 << 20
        answer = served.upload(*[bytes((1 << 20) + 1)] * 40)
        assert answer.status_code == 422, answer.text
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def test_more_files_than_may_be_are_too_many(served: Served) -> None:
    answer = served.upload(*[b""] * 2001)
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "more than 2000 files; send fewer",
    )


def test_what_the_store_has_no_room_for_is_refused_before_it_is_taken(
    serve: Callable[..., Served],
) -> None:
    small = serve("--disk-limit", "0.01")
    answer = small.upload(bytes(12 << 20))
    assert answer.status_code == 507, answer.text
    assert list((small.store / "spool").iterdir()) == []
    assert small.upload(png(1)).status_code == 202


def test_a_film_whose_file_is_damaged_is_mended_by_sending_it_again(served: Served) -> None:
    sent = png(31_337)
    (film,) = served.judged(sent)
    file = served.store / "films" / film["id"][:2] / film["id"] / "film"
    file.write_bytes(sent[:500])
    begun = served.ask("POST", f"/v1/films/{film['id']}/judge").json()
    served.wait_for(begun["id"])
    again = served.json(f"/v1/films/{film['id']}")
    assert (again["state"], again["finding"]) == (film["state"], film["finding"])
    assert "Judging it again was in vain: " in again["reason"]
    (mended,) = served.judged(sent)
    assert file.read_bytes() == sent
    served.wait_for(served.ask("POST", f"/v1/films/{film['id']}/judge").json()["id"])
    assert served.json(f"/v1/films/{film['id']}")["reason"] == film["reason"]
    assert mended["id"] == film["id"]
