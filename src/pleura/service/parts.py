"""The files of an upload, from its request's body straight to the disk.

One file is open at a time and none is in memory, however many there are.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pleura.service.problems import Refused
from pleura.service.uploads import Sent

_NAME = b"files"
_NO_FILE = "the parts named files are files, one at least"
_MOST_OTHERS = 10
_KEPT = (b"content-disposition", b"content-type")

Headers = Mapping[bytes, bytes]
"""What a part says of itself, of the headers that matter; their names in lower case."""


def named_file(headers: Headers) -> str | None:
    """The name of a part of multipart/form-data that is a film's file; None for other parts.

    Raises:
        Refused: it has the name of one, and is none.
    """
    options = parse_options_header(headers.get(b"content-disposition", b""))[1]
    if options.get(b"name") != _NAME:
        return None
    name = options.get(b"filename")
    if name is None:
        raise Refused(422, _NO_FILE)
    return _text(name) or "film"


def dicom_file(headers: Headers) -> str:
    """What a part of multipart/related that is a DICOM file is called.

    Raises:
        Refused: it is of another type.
    """
    kind = parse_options_header(headers.get(b"content-type", b""))[0]
    if kind.lower() not in (b"", b"application/dicom"):
        raise Refused(415, "instances are stored as parts of the type application/dicom")
    return "instance"


class Parts:
    """Takes a multipart body piece by piece, and writes its files to a folder.

    Args:
        content_type: of the request.
        place: the folder, where nothing else lies.
        most: files that may come.
        check_room: called with the bytes that are to be written; raises where there is no room.
        name: of the file that a part is, by its headers; None for a part that is passed over.

    Raises:
        Refused: the type names no boundary.
    """

    def __init__(
        self,
        content_type: str,
        place: Path,
        most: int,
        check_room: Callable[[int], None],
        name: Callable[[Headers], str | None] = named_file,
    ) -> None:
        self._place, self._most, self._check_room, self._name = place, most, check_room, name
        self._files: list[Sent] = []
        self._file: BinaryIO | None = None
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._others, self._whole = 0, False
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Refused(400, "the body's type names no boundary between its parts")
        with _nonsense_refused():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._take_field,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._write,
                    "on_part_end": self.close,
                    "on_end": self._end,
                },
            )

    def feed(self, data: bytes) -> None:
        """Takes the next piece.

        Raises:
            Refused: it cannot be parsed, holds too much, or there is no room for it.
        """
        self._check_room(len(data))
        with _nonsense_refused():
            self._parser.write(data)

    def end(self) -> list[Sent]:
        """The files, once the body has been taken.

        Raises:
            Refused: it ends too early, or has no files.
        """
        if not self._whole:
            raise Refused(400, "the body ends before its last part does; send it again")
        if not self._files:
            raise Refused(422, _NO_FILE if self._name is named_file else "there is no part in it")
        return self._files

    def close(self) -> None:
        """Closes the file that is being written."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _begin(self) -> None:
        self._headers = {}

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if (field := self._field.lower()) in _KEPT:
            self._headers[field] = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        """Makes the file of a part that begins; other parts are passed over."""
        name = self._name(self._headers)
        if name is None:
            self._others += 1
            if self._others > _MOST_OTHERS:
                raise Refused(400, "an upload has parts named files, and hardly any others")
            return
        if len(self._files) >= self._most:
            raise Refused(413, f"more than {self._most} files; send fewer")
        path = self._place / str(len(self._files))
        self._file = path.open("wb")
        self._files.append(Sent(name, path))

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self._whole = True


@contextmanager
def _nonsense_refused() -> Iterator[None]:
    try:
        yield
    except FormParserError:
        raise Refused(400, "the body is not the multipart that its type says") from None


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")
