"""The rows of a CSV file, as they are written, and the run lengths in them."""

import csv
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pleura.errors import CorpusError

MAX_TABLE_BYTES = 1 << 30
_MAX_CELL = 1 << 24  # characters; the run lengths of a ragged mask pass csv's own limit of 131,072

RUN_LENGTHS = "encodedpixels"
"""The plain name of the column of run lengths."""

Row = Mapping[str, str]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """The column names (stripped of blanks) and rows of a CSV file; comma, semicolon, tab or `|`.

    Raises:
        CorpusError: the file is missing, too large, not UTF-8 or not a table.
    """
    former = csv.field_size_limit(_MAX_CELL)
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise CorpusError(f"{path} is larger than {MAX_TABLE_BYTES >> 20} MiB; split the table")
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            told = re.fullmatch("sep=(.)", first.strip())  # how Excel is told, and tells
            if told is None:
                file.seek(0)
            delimiter = told[1] if told else max(",;\t|", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(reader, [])]
            if not names or len(set(names)) != len(names):
                raise CorpusError(
                    f"{path} needs a first line of distinct column names; got {names}"
                )
            rows: list[Row] = []
            for cells in reader:
                if len(cells) > len(names):
                    raise CorpusError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells under {len(names)} columns"
                    )
                if any(cells):
                    rows.append({n: c.strip() for n, c in zip(names, cells, strict=False)})
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not in UTF-8 ({error}); save it as such (in Excel: CSV UTF-8)"
        ) from error
    except csv.Error as error:
        raise CorpusError(f"{path} is no CSV table: {error}") from error
    finally:
        csv.field_size_limit(former)
    return names, rows


def read_run_lengths(path: Path) -> dict[str, list[str]]:
    """The annotation rows of a SIIM table, by ImageId, in the table's order.

    The original competition writes the second column with a leading blank, and several rows a film.

    Raises:
        CorpusError: there are no columns ImageId and EncodedPixels.
    """
    names, rows = read_rows(path)
    plain = {plain_name(name): name for name in names}
    if "imageid" not in plain or RUN_LENGTHS not in plain:
        raise CorpusError(
            f"{path} is no table of run lengths: it needs the columns ImageId and EncodedPixels, "
            f"and has {', '.join(names)}"
        )
    found: dict[str, list[str]] = {}
    for row in rows:
        image, text = row.get(plain["imageid"], ""), row.get(plain[RUN_LENGTHS], "")
        found.setdefault(image, []).append(text)
    return found


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A column's name without case, blanks, `_` and `-`."""
    return re.sub(r"[\s_-]+", "", name).lower()
