"""An archive that speaks DICOMweb, as much of it as is asked for, and as wrongly as a test wants."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"


class Held(NamedTuple):
    """An instance of the archive."""

    study: str
    series: str
    instance: str
    modality: str = "CR"
    sop_class: str = CR
    date: str = "20260101"
    data: bytes = b"\0" * 128 + b"DICM" + b"film"


class Archive:
    """Serves the instances it holds, `page` at once; `spoil` may answer in its place: status, type, body."""

    def __init__(self, *held: Held, page: int = 1000, knows_offset: bool = True) -> None:
        self.held, self.page, self.knows_offset = list(held), page, knows_offset
        self.more = False  # than the last search gave
        self.always_warns = False
        self.cut: Callable[[str], bool] = lambda path: False  # whether the answer breaks off
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.spoil: Callable[[str], tuple[int, str, bytes] | None] = lambda path: None
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archive.asked.append(self.path)
                archive.headers.append({k.lower(): v for k, v in self.headers.items()})
                status, kind, body = archive.spoil(self.path) or archive.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if archive.more or archive.always_warns:
                    self.send_header("Warning", '299 - "there are more"')
                more = 100 if archive.cut(self.path) else 0
                self.send_header("Content-Length", str(len(body) + more))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = bool(more)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query))
        self.more = False
        way = parts.path.removeprefix("/dicom-web/").split("/")
        if way == ["studies"]:
            tags = ["0020000D"]
            rows = [
                (one.study,)
                for one in self.held
                if one.modality == query.get("ModalitiesInStudy", one.modality)
                and _within(one.date, query.get("StudyDate", "-"))
            ]
        elif len(way) == 3:
            tags = ["0020000E"]
            rows = [
                (one.series,)
                for one in self.held
                if one.study == way[1] and one.modality == query.get("Modality", one.modality)
            ]
        elif len(way) == 5:
            tags = ["00080018", "00080016"]
            rows = [
                (one.instance, one.sop_class)
                for one in self.held
                if (one.study, one.series) == (way[1], way[3])
            ]
        else:
            return self._instance(way)
        found = list(dict.fromkeys(rows))
        offset = int(query.get("offset", 0)) if self.knows_offset else 0
        self.more = len(found) > offset + self.page
        found = found[offset : offset + self.page]
        if not found:
            return 204, "text/plain", b""
        return 200, "application/dicom+json", as_json(tags, found)

    def _instance(self, way: list[str]) -> tuple[int, str, bytes]:
        for one in self.held:
            if [one.study, one.series, one.instance] == [way[1], way[3], way[5]]:
                return (
                    200,
                    'multipart/related; type="application/dicom"; boundary="b"',
                    part(one.data),
                )
        return 404, "text/plain", b"no"


def as_json(tags: list[str], rows: list[tuple[str, ...]]) -> bytes:
    """Rows of UIDs as DICOM JSON."""
    return json.dumps(
        [
            {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(tags, row, strict=True)}
            for row in rows
        ]
    ).encode()


def part(*files: bytes) -> bytes:
    """Files as the parts of a body whose boundary is b."""
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + f + b"\r\n" for f in files)
    return body + b"--b--\r\n"


def _within(day: str, days: str) -> bool:
    since, _, until = days.partition("-")
    return (since or day) <= day <= (until or day)
