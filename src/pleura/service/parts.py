"""The files of an upload, from its request's body straight to the disk.

One file is open at a time and none is in memory, however many there are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pleura.service.problems import Refused
from pleura.service.uploads import Sent

_NAME = b"files"
_MOST_OTHERS = 10


class Parts:
    """Takes a multipart body piece by piece, and writes its files to a folder.

    Args:
        content_type: of the request.
        place: the folder, where nothing else lies.
        most: files that may come.
        check_room: called with the bytes that are to be written; raises where there is no room.

    Raises:
        Refused: the type names no boundary.
    """

    def __init__(
        self, content_type: str, place: Path, most: int, check_room: Callable[[int], None]
    ) -> None:
        self._place, self._most, self._check_room = place, most, check_room
        self._files: list[Sent] = []
        self._file: BinaryIO | None = None
        self._field = self._value = self._disposition = b""
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
            raise Refused(422, "the parts named files are files, one at least")
        return self._files

    def close(self) -> None:
        """Closes the file that is being written."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _begin(self) -> None:
        self._disposition = b""

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        """Makes the file of a part that begins; other parts are passed over."""
        options = parse_options_header(self._disposition)[1]
        if options.get(b"name") != _NAME:
            self._others += 1
            if self._others > _MOST_OTHERS:
                raise Refused(400, "an upload has parts named files, and hardly any others")
            return
        name = options.get(b"filename")
        if name is None:
            raise Refused(422, "the parts named files are files, one at least")
        if len(self._files) >= self._most:
            raise Refused(413, f"more than {self._most} files; send fewer")
        path = self._place / str(len(self._files))
        self._file = path.open("wb")
        self._files.append(Sent(_text(name) or "film", path))

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
        raise Refused(400, "the body is not the multipart/form-data that its type says") from None


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")
