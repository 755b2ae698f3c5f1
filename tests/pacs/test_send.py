"""Results of a folder to an archive: each until it has arrived, and not again."""

import csv
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.phantom.dicom import KINDS, dicom_bytes, uid
from pleura.data.phantom.film import phantom
from pleura.errors import ArchiveError, UnknownName
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.outputs.dicom import dicom_files
from pleura.pacs.lines import Away, Broken, Outcome
from pleura.pacs.peers import WebPeer
from pleura.pacs.send import Delivered, send
from pleura.read import read

PEER = WebPeer("https://pacs.example/dicom-web")
MODEL = ModelIdentity("m", "1", "ab" * 32)


class Line:
    """Keeps what it is sent, but for the modalities it answers otherwise; away as often as it is told."""

    def __init__(self, away: int = 0, **statuses: int) -> None:
        self.away, self.statuses, self.got, self.closed = away, statuses, [], 0

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        if self.away:
            self.away -= 1
            raise Away("it does not answer")
        outcome = Outcome()
        for result in results:
            outcome.add(result, self.statuses.get(result.Modality, 0))
            self.got.append(result.Modality)
        return outcome

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What a prediction of three films wrote that it declined."""
    for number in range(3):
        film = phantom(number, size=64)
        name = f"film {number}"
        data = dicom_bytes(film, KINDS[0], name, uid(f"{name} a"), uid(f"{name} b"), uid(name))
        (tmp_path / "film.dcm").write_bytes(data)
        radiograph = read(tmp_path / "film.dcm")
        finding = Finding(PNEUMOTHORAX, "declined", "A test.", MODEL, "film")
        folder = tmp_path / "out" / "dicom" / f"film-{number}"
        folder.mkdir(parents=True)
        for kind, content in dicom_files(radiograph, finding).items():
            (folder / f"{kind}.dcm").write_bytes(content)
    return tmp_path / "out"


def sent(out: Path, line: Any, **how: Any) -> Delivered:
    return send(out, PEER, lambda peer: line, waits=(0.01, 0.01), **how)


def journal(out: Path) -> list[dict[str, str]]:
    with (out / "sent.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_results_are_sent_once(out: Path) -> None:
    line, told = Line(), []
    found = sent(out, line, progress=lambda *at: told.append(at))
    assert line.got == ["SR", "OT"] * 3
    assert (found.sent, found.there, found.left, found.refused, found.strange) == (6, 0, 0, [], [])
    assert told[-1] == (3, 3)
    assert line.closed == 1
    rows = journal(out)
    assert {(row["destination"], row["state"]) for row in rows} == {(str(PEER), "kept")}
    assert len({row["sop_instance_uid"] for row in rows}) == 6
    again = Line()
    found = sent(out, again)
    assert (found.sent, found.there, again.got) == (0, 6, [])
    elsewhere = Line()
    send(out, WebPeer("https://other.example"), lambda peer: elsewhere)
    assert len(elsewhere.got) == 6


def test_what_is_refused_is_tried_again_and_what_is_never_taken_is_not(out: Path) -> None:
    found = sent(out, Line(SR=0x0122, OT=0xA700))
    assert (found.sent, found.left) == (0, 3)
    assert found.refused == ["OT with status 0xA700"] * 3
    later = Line()
    found = sent(out, later)
    assert later.got == ["OT"] * 3
    assert (found.sent, found.there) == (3, 3)


def test_an_archive_that_is_away_for_a_while_is_waited_for(out: Path) -> None:
    line = Line(away=2)
    assert sent(out, line).sent == 6
    assert line.closed == 3
    with pytest.raises(ArchiveError, match=r"does not answer\. 0 results.*goes on from there"):
        send(out, WebPeer("https://o.example"), lambda peer: Line(away=9), waits=(0.01,))


def test_one_that_goes_away_in_the_middle_has_what_it_has(out: Path) -> None:
    line = Line()
    plain = line.send

    def once(results: Sequence[pydicom.Dataset]) -> Outcome:
        if len(line.got) >= 2:
            raise Away("it does not answer")
        return plain(results)

    line.send = once  # type: ignore[method-assign]
    with pytest.raises(ArchiveError, match="2 results were sent"):
        sent(out, line)
    assert len(journal(out)) == 2
    assert sent(out, Line()).there == 2


def test_a_line_of_the_journal_that_was_cut_off_is_not_believed(out: Path) -> None:
    sent(out, Line())
    path = out / "sent.csv"
    path.write_bytes(path.read_bytes()[:-12])
    line = Line()
    found = sent(out, line)
    assert (found.sent, found.there) == (1, 5)
    assert sent(out, Line()).there == 6


def test_only_kinds_that_are_wanted_and_only_results(out: Path) -> None:
    line = Line()
    film = phantom(9, size=64)
    strange = out / "dicom" / "film-0" / "film.dcm"
    strange.write_bytes(dicom_bytes(film, KINDS[0], "x", uid("a"), uid("b"), uid("c")))
    (out / "dicom" / "film-1" / "sr.dcm").write_bytes(b"damaged")
    found = sent(out, line, kinds=("sr",))
    assert line.got == ["SR", "SR"]
    assert sorted(Path(path).name for path in found.strange) == ["film.dcm", "sr.dcm"]


def test_a_folder_without_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no DICOM results; give the OUT"):
        sent(tmp_path, Line())
    assert not list(tmp_path.iterdir())


def test_the_command(out: Path, tmp_path: Path) -> None:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
        ask: Callable[..., Any] = CliRunner().invoke
        done = ask(app, ["send", str(out), "--to", url, "--kind", "sc"])
        assert done.exit_code == 0, done.output
        assert f"3 results sent to {url}" in done.output
        assert len(bodies) == 3
        first = bodies[0].partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
        assert pydicom.dcmread(BytesIO(first)).Modality == "OT"
    finally:
        server.shutdown()
        server.server_close()
    wrongs = ((["--to", url, "--kind", "pdf"], UnknownName), (["--to", "nowhere"], ArchiveError))
    for wrong, error in wrongs:
        assert isinstance(ask(app, ["send", str(out), *wrong]).exception, error)


def test_c_store_takes_tls_by_the_authority_alone(out: Path, tmp_path: Path) -> None:
    """Nothing goes out in the clear where somebody named whom to trust."""
    no_certificate = tmp_path / "ca.pem"
    no_certificate.write_text("none")
    command = ["send", str(out), "--to", "PACS@127.0.0.1:9", "--ca", str(no_certificate)]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, ArchiveError)
    assert "files of TLS" in str(done.exception)


def test_results_that_were_cut_off_are_not_sent(out: Path) -> None:
    whole = {kind: out / "dicom" / "film-1" / f"{kind}.dcm" for kind in ("sr", "sc")}
    data = {kind: path.read_bytes() for kind, path in whole.items()}
    for share in (0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        for kind, path in whole.items():
            path.write_bytes(data[kind][: int(len(data[kind]) * share)])
        line = Line()
        found = send(out, WebPeer(f"https://a.example/{share}"), lambda peer: line, waits=())  # noqa: B023
        assert line.got == ["SR", "OT"] * 2
        assert len(found.strange) == 2


def test_a_film_over_which_the_line_breaks_holds_up_no_other(out: Path) -> None:
    first = sorted((out / "dicom").iterdir())[0]
    uid = str(pydicom.dcmread(first / "sr.dcm").SOPInstanceUID)
    line = Line()
    plain = line.send

    def breaks(results: Sequence[pydicom.Dataset]) -> Outcome:
        if results[0].SOPInstanceUID == uid:
            raise Broken("the association broke")
        return plain(results)

    line.send = breaks  # type: ignore[method-assign]
    found = sent(out, line)
    assert (found.sent, len(found.refused)) == (4, 2)
    assert line.closed == 2
    assert sent(out, Line()).sent == 2


def test_what_was_refused_comes_last(out: Path) -> None:
    """So that films over which an archive fails for good hold up none that come after them."""
    first = sorted((out / "dicom").iterdir())[0]
    uid = str(pydicom.dcmread(first / "sr.dcm").SOPInstanceUID)
    (out / "sent.csv").write_text(
        f"destination,sop_instance_uid,modality,state,why\n{PEER},{uid},SR,refused,x\n"
    )
    order: list[str] = []
    line = Line()
    plain = line.send

    def noted(results: Sequence[pydicom.Dataset]) -> Outcome:
        order.append(str(results[0].SOPInstanceUID))
        return plain(results)

    line.send = noted  # type: ignore[method-assign]
    assert sent(out, line).sent == 6
    assert order[-1] == uid


def test_an_archive_that_is_busy_over_one_film_gets_the_others(out: Path) -> None:
    line, plain = Line(), Line.send
    calls: list[int] = []

    def second_is_busy(results: Sequence[pydicom.Dataset]) -> Outcome:
        calls.append(len(results))
        outcome = plain(line, results)
        if len(calls) == 2:
            outcome = Outcome()
            outcome.busy = "it takes nothing now (HTTP 500)"
            for result in results:
                outcome.refuse(result, "with HTTP 500")
        return outcome

    line.send = second_is_busy  # type: ignore[method-assign]
    found = sent(out, line)
    assert (found.sent, len(found.refused)) == (4, 2)
    assert sent(out, Line()).sent == 2


def test_an_archive_that_is_busy_over_all_is_away(out: Path) -> None:
    line = Line()

    def busy(results: Sequence[pydicom.Dataset]) -> Outcome:
        outcome = Outcome()
        outcome.busy = "it takes nothing now (HTTP 503)"
        for result in results:
            outcome.refuse(result, "with HTTP 503")
        return outcome

    line.send = busy  # type: ignore[method-assign]
    with pytest.raises(ArchiveError, match="HTTP 503"):
        sent(out, line)
