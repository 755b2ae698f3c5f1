"""The house page: templates rendered with every value escaped, pictures inlined, files written whole.

A page is one file that needs nothing beside it: the style is in `templates/base.html.j2`, pictures are
data URIs, charts are inline SVG (`pleura.outputs.charts`). A new page is one template that extends
`base.html.j2` and fills its blocks `title` and `content` (and, where it must, `head`).
"""

import base64
import math
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from numpy.typing import NDArray

import pleura
from pleura.files import remove_partial, write_bytes

_TEMPLATES = resources.files("pleura.outputs") / "templates"


def _source(name: str) -> str | None:
    # A template is named by its file name alone, so no name leads out of the folder.
    if Path(name).name != name or not (_TEMPLATES / name).is_file():
        return None
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = fixed
    environment.filters["percent"] = percent
    environment.filters["count"] = count
    environment.filters["cell"] = cell
    environment.globals["pleura_version"] = pleura.__version__
    return environment


def fixed(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` decimals, or a dash where there is none (None or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{value:z.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share (0 to 1) in per cent, or a dash where there is none (None or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:z.{digits}f} %"


def count(value: int | None) -> str:
    """A count with thousands separated, or a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def cell(text: str) -> str:
    """`text` as a cell of a Markdown table: on one line, and with no bar that would end it."""
    return " ".join(text.split()).replace("|", r"\|")


def render(template: str, **context: Any) -> str:
    """The page that `template` (a file name in `templates/`) makes of `context`.

    Every value is escaped unless it is a `markupsafe.Markup`, which the charts are. Filters besides
    Jinja's own: `fixed(digits)`, `percent(digits)` and `count`, each a dash for None, and `cell`.

    Raises:
        jinja2.TemplateNotFound: there is no such template.
        jinja2.UndefinedError: the template asks for a value that `context` lacks.
    """
    return _environment().get_template(template).render(**context)


def render_text(template: str, **context: Any) -> str:
    """As `render`, for a template of Markdown: of what a page would escape, only `<` is, lest it be a tag."""
    plain = _environment().overlay(autoescape=False, finalize=_no_tags)
    return plain.get_template(template).render(**context)


def _no_tags(value: Any) -> Any:
    return value.replace("<", "&lt;") if isinstance(value, str) else value


def jpeg_uri(image: NDArray[np.uint8], quality: int = 85) -> str:
    """`image`, uint8 (H, W) or RGB (H, W, 3), as a `data:` URI at JPEG `quality` (1 to 100).

    Raises:
        ValueError: the array is of another type or shape, or empty.
    """
    drawable = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not drawable or image.size == 0:
        raise ValueError(
            f"a picture for a page is uint8 (H, W) or (H, W, 3); got {image.dtype} {image.shape}"
        )
    bgr = image if image.ndim == 2 else np.ascontiguousarray(image[:, :, ::-1])
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} could not be encoded as JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def write_page(path: Path | str, html: str) -> None:
    """Writes `html` to `path` as UTF-8, whole or not at all; makes the folder if need be.

    What writers that were killed left in the folder is removed.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_partial(path.parent, shared=True)
    # Half a surrogate pair, from a file name that is no text, has no bytes of its own.
    write_bytes(path, html.encode("utf-8", "backslashreplace"))
