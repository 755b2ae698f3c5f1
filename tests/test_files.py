"""Files are written whole or not at all."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pleura.files import is_empty, remove_partial, whole, write_bytes, write_json


@pytest.mark.parametrize("durable", [False, True])
def test_the_target_appears_when_it_is_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.txt"
    with whole(path, durable=durable) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path
        assert not path.exists()
        temporary.write_text("all")
    assert path.read_text() == "all"
    assert os.listdir(tmp_path) == ["a.txt"]


def write_half(path: Path, error: type[BaseException]) -> None:
    with whole(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    for there in ([], ["a.txt"]):
        if there:
            path.write_text("old")
        with pytest.raises(error):
            write_half(path, error)
        assert os.listdir(tmp_path) == there
    assert path.read_text() == "old"


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    (tmp_path / f".a.txt.{os.getpid()}.partial").mkdir()  # so that nothing can be written there
    with pytest.raises(IsADirectoryError) as caught:
        write_bytes(path, b"")
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match=r"No space .*b\.txt") as full, whole(tmp_path / "b.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(ConnectionError) as other, whole(path):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert other.value.filename is None


@pytest.mark.parametrize("call", ["os.replace", "os.fsync"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space left")

    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(call, refuse)
    with pytest.raises(OSError, match="no space left"):
        write_bytes(path, b"new", durable=True)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_only_durable_files_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr("os.fsync", waited.append)
    write_bytes(tmp_path / "a", b"1")
    write_json(tmp_path / "b", 1)
    assert not waited
    write_bytes(tmp_path / "a", b"1", durable=True)
    write_json(tmp_path / "b", 1, durable=True)
    assert len(waited) == 2


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "unmounted" / "a", b"")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        write_bytes(tmp_path / "file" / "a", b"")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a", b"")
        write_json(tmp_path / "b", {}, durable=True)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_two_processes_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    program = (
        "from pathlib import Path; from pleura.files import whole\n"
        f"with whole(Path({str(path)!r})) as t:\n"
        "    print(t); t.touch()\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    with whole(path) as temporary:
        temporary.touch()
        assert str(temporary) != other.stdout.strip()


def test_json_is_for_people_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"größe": [1, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "größe": [\n    1,\n    null\n  ]\n}\n'


def test_json_holds_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.dcm")
    write_json(tmp_path / "a.json", [name])
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == [name]


def test_json_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path; from pleura.files import whole\n"
        f"with whole(Path({str(tmp_path / 'a')!r})) as t:\n"
        "    t.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    kept = {".hidden", "a", "findings.csv.partial"}
    for name in kept:
        (tmp_path / name).touch()
    assert len(os.listdir(tmp_path)) == 4
    assert not is_empty(tmp_path)
    remove_partial(tmp_path)
    assert set(os.listdir(tmp_path)) == kept


def test_among_others_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ours, first = tmp_path / f".a.{os.getpid()}.partial", tmp_path / ".a.1.partial"
    kept = [ours, first, tmp_path / ".a.partial", tmp_path / ".a.b.partial"]
    for path in (*kept, tmp_path / f".a.{ended.pid}.partial"):
        path.touch()
    (tmp_path / f".b-x.{ended.pid}.partial").mkdir()
    (tmp_path / f".b-x.{ended.pid}.partial/bundle.json").touch()
    remove_partial(tmp_path, shared=True)
    assert set(tmp_path.iterdir()) == set(kept)
    remove_partial(tmp_path / "missing", shared=True)


def test_a_folder_with_what_a_killed_writer_left_alone_is_empty(tmp_path: Path) -> None:
    assert is_empty(tmp_path / "missing")
    (tmp_path / ".run.json.9999999.partial").touch()
    assert is_empty(tmp_path)
    (tmp_path / "findings.csv.partial").touch()
    assert not is_empty(tmp_path)
