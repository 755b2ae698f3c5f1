"""The house page: escaping, inlined pictures, whole files."""

import base64
import os

import cv2
import jinja2
import numpy as np
import pytest

from pleura.outputs import html
from pleura.outputs.html import count, fixed, jpeg_uri, percent, render, write_page

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
RED = np.zeros((6, 8, 3), np.uint8)
RED[..., 0] = 250


def decoded(uri):
    return cv2.imdecode(
        np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_UNCHANGED
    )


def test_the_base_page_stands_alone():
    page = render("base.html.j2")
    assert "Research software. Not a medical device." in page
    assert "prefers-color-scheme: dark" in page
    assert "http" not in page  # nothing is fetched
    assert page.startswith("<!doctype html>")


def test_colours_that_tell_something_are_printed():
    paper = render("base.html.j2").split("@media print")[1]
    assert ".swatch, .bar { print-color-adjust: exact; }" in paper


def test_values_are_escaped_and_missing_ones_are_errors(monkeypatch):
    text = "{% extends 'base.html.j2' %}{% block content %}{{ name }}|{{ x|fixed }}{% endblock %}"
    monkeypatch.setattr(html, "_source", lambda name: text if name == "t" else real(name))
    html._environment.cache_clear()
    try:
        assert "&lt;b&gt;|0.500" in render("t", name="<b>", x=0.5)
        with pytest.raises(jinja2.UndefinedError):
            render("t", name="n")
    finally:
        html._environment.cache_clear()


real = html._source


@pytest.mark.parametrize("name", ["nothing.j2", "../html.py", "/etc/passwd", "..", ""])
def test_only_templates_are_templates(name):
    with pytest.raises(jinja2.TemplateNotFound):
        render(name)


def test_numbers_or_a_dash():
    assert (fixed(0.12345), fixed(2, 1), fixed(None), fixed(float("nan"))) == (
        "0.123",
        "2.0",
        "–",
        "–",
    )
    assert (percent(0.5), percent(0.12345, 2), percent(None)) == ("50.0 %", "12.35 %", "–")
    assert (count(12345), count(0), count(None)) == ("12,345", "0", "–")


def test_jpeg_keeps_red_red():
    back = decoded(jpeg_uri(RED))
    assert back.shape == RED.shape
    assert (back[..., 2] > 240).all()
    assert (back[..., :2] < 10).all()
    assert len(jpeg_uri(GREY, quality=10)) < len(jpeg_uri(GREY, quality=100))


@pytest.mark.parametrize(
    "wrong",
    [GREY.astype(float), np.zeros((2, 3, 4), np.uint8), np.zeros((0, 3), np.uint8), GREY[0]],
)
def test_what_is_no_picture(wrong):
    with pytest.raises(ValueError, match="a picture for a page"):
        jpeg_uri(wrong)


def test_pages_are_written_whole(tmp_path, monkeypatch):
    path = tmp_path / "new" / "page.html"
    write_page(path, "ä – ✓")
    assert path.read_text(encoding="utf-8") == "ä – ✓"
    (path.parent / ".page.html.9999999.partial").touch()  # of a process that was killed

    def refuse(*_):
        raise OSError("no space")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no space"):
        write_page(path, "second")
    assert path.read_text(encoding="utf-8") == "ä – ✓"
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_umask_decides_who_reads_a_page(tmp_path):
    before = os.umask(0o077)
    try:
        write_page(tmp_path / "page.html", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
