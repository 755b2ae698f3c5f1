"""The viewer's files, as a browser gets them."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from pleura.service.page import add_pages
from pleura.service.problems import Refused

SCRIPT = b"export const films = 1;\n" * 100


@pytest.fixture
def page(tmp_path: Path) -> Any:
    """What the route of the viewer's files answers to a path and an Accept-Encoding."""
    (tmp_path / "viewer" / "assets").mkdir(parents=True)
    (tmp_path / "viewer" / "index.html").write_text("<title>pleura</title>")
    (tmp_path / "viewer" / "assets" / "a.js").write_bytes(SCRIPT)
    (tmp_path / "secret.js").write_text("no")
    app = FastAPI()
    add_pages(app, tmp_path / "viewer")
    route = next(one for one in app.routes if getattr(one, "name", "") == "page")

    def asked(path: str, encoding: str = "gzip, br") -> Any:
        headers = [(b"accept-encoding", encoding.encode())]
        scope = {"type": "http", "method": "GET", "path": f"/{path}", "headers": headers}
        return route.endpoint(Request(scope), path)  # type: ignore[attr-defined]

    return asked


def test_scripts_are_sent_compressed_to_who_takes_them(page: Any) -> None:
    packed = page("assets/a.js")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(SCRIPT) // 4
    assert gzip.decompress(packed.body) == SCRIPT
    plain = page("assets/a.js", "identity")
    assert "Content-Encoding" not in plain.headers
    for answer in (packed, plain):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.media_type.endswith("javascript")
    assert page("").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["../secret.js", "\0", "assets/" + "x" * 300, "assets", "none.js"])
def test_what_is_no_file_of_the_viewer_is_not_there(page: Any, path: str) -> None:
    with pytest.raises(Refused, match="nothing at this address") as refused:
        page(path)
    assert refused.value.status == 404
