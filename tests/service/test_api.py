"""The API as docs/reference/api.md tells it, from a film's bytes to its finding and back."""

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
import requests

from a_service import Served, png, zipped
from pleura.data.corpora import CorpusSpec
from pleura.data.manifest import Dataset
from pleura.data.prepare import prepare
from pleura.finding import Finding
from pleura.inference.detector import Detector
from pleura.read import read
from pleura.read.viewing import read_for_viewing
from pleura.service.problems import MEDIA_TYPE

BLANK = cv2.imencode(".png", np.full((200, 200), 9, np.uint8))[1].tobytes()


def grey(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


@pytest.fixture(scope="module")
def found(served: Served, films: list[bytes]) -> list[dict[str, Any]]:
    return served.judged(*films)


@pytest.fixture(scope="module")
def expected(bundle: Path, films: list[bytes]) -> list[Finding]:
    return [Detector.load(bundle, runtime="onnxruntime")(read(data)) for data in films]


def test_the_service_finds_what_the_detector_finds(
    served: Served, found: list[dict[str, Any]], expected: list[Finding]
) -> None:
    assert {finding.decision for finding in expected} == {"positive", "negative"}
    for film, finding in zip(found, expected, strict=True):
        facts = finding.facts()
        for name in (
            "decision",
            "reason",
            "lesions",
            "side",
            "area_fraction",
            "notes",
            "model_sha256",
        ):
            assert film["finding"][name] == facts[name], name
        assert film["finding"]["probability"] == pytest.approx(facts["probability"], abs=1e-6)
        assert film["state"] == finding.decision
        mask = grey(served.get(f"/v1/films/{film['id']}/mask").content)
        np.testing.assert_array_equal(mask > 0, finding.mask)
        assert set(np.unique(mask)) <= {0, 255}
        heat = grey(served.get(f"/v1/films/{film['id']}/heat").content)
        assert finding.probability_map is not None
        drawn = cv2.resize(finding.probability_map, heat.shape[::-1], interpolation=cv2.INTER_AREA)
        assert heat.shape == (32, 32)  # the network's own matrix
        assert np.abs(heat / 255 - drawn).max() <= 0.5 / 255 + 1e-6
        assert film["pictures"] == ["thumbnail", "mask", "heat", "overlay"]


def test_pixels_are_those_of_the_viewing(
    served: Served, found: list[dict[str, Any]], films: list[bytes]
) -> None:
    formats = []
    for film, data in zip(found, films, strict=True):
        viewing = film["viewing"]
        formats.append(viewing["format"])
        answer = served.get(f"/v1/films/{film['id']}/pixels")
        dtype = {"u8": "u1", "u16le": "<u2"}[viewing["format"]]
        pixels = np.frombuffer(answer.content, dtype).reshape(viewing["rows"], viewing["columns"])
        np.testing.assert_array_equal(pixels, read_for_viewing(data)[1].pixels)
        own = viewing["windows"][0]
        shown = (pixels - (own["center"] - own["width"] / 2)) / own["width"]
        assert np.abs(np.clip(shown, 0, 1) - read(data).pixels).max() < 1e-3
    assert formats == ["u8", "u16le", "u16le", "u16le"]


def test_pictures_are_kept_by_browsers_as_long_as_they_are_right(
    served: Served, found: list[dict[str, Any]]
) -> None:
    film = f"/v1/films/{found[0]['id']}"
    for name, kind, side in (
        ("thumbnail", "image/jpeg", 256),
        ("overlay?size=64", "image/jpeg", 64),
    ):
        answer = served.get(f"{film}/{name}")
        assert answer.headers["Content-Type"] == kind
        width = grey(answer.content).shape[1]
        assert width == side
        again = served.get(f"{film}/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    for name in ("pixels", "thumbnail", "mask"):  # what may no longer be seen is not shown again
        assert served.get(f"{film}/{name}").headers["Cache-Control"] == "private, no-cache"
    assert served.get(f"{film}/lungs").status_code == 409


def test_the_same_film_again_is_the_same_film(
    served: Served, found: list[dict[str, Any]], films: list[bytes]
) -> None:
    before = served.json("/v1/films")["total"]
    job = served.upload(films[0], films[0], name="other").json()
    assert job["films"] == {"total": 2, "waiting": 0, "judged": 2, "failed": 0, "repeated": 2}
    assert job["film_ids"] == [found[0]["id"]] * 2
    assert job["state"] == "done"
    assert served.json("/v1/films")["total"] == before


def test_a_film_is_judged_again_when_asked(served: Served) -> None:
    (film,) = served.judged(png(4321))
    assert correct(served, film["id"], verdict="accepted").status_code == 201
    answer = served.ask("POST", f"/v1/films/{film['id']}/judge")
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["film_ids"], job["films"]["repeated"]) == ([film["id"]], 0)
    served.wait_for(job["id"])
    again = served.json(f"/v1/films/{film['id']}")
    listed = {row["id"]: row["model_sha256"] for row in served.json("/v1/films")["films"]}
    assert listed[film["id"]] == served.json("/v1/model")["sha256"]
    assert again["revision"] > film["revision"]
    assert (again["finding"], again["state"]) == (film["finding"], film["state"])
    assert again["verdict"] == "accepted"
    served.ask("DELETE", f"/v1/films/{film['id']}")
    assert served.ask("POST", f"/v1/films/{'0' * 32}/judge").status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        f'["suspicion", false, {1 << 70}, "a"]',
        '["suspicion", false, 1.0, "\\ud800"]',  # half a character
        '["suspicion", false, 1.0, {}]',
        '["name", false, "a", "a"]',  # of another order
        "[" * 5000,
    ],
)
def test_a_cursor_of_nowhere_is_refused(served: Served, text: str) -> None:
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    for path in ("/v1/films", "/v1/studies"):
        answer = served.get(path, params={"cursor": cursor})
        assert answer.status_code == 422, (path, answer.text)


def test_a_zip_is_its_films(served: Served) -> None:
    held = {
        "a/one.png": png(1),
        "b/two.png": png(2),
        "notes.txt": b"a note",
        "__MACOSX/._one": b"x",
    }
    job = served.upload(zipped(held)).json()
    assert job["films"]["total"] == 2
    (refused,) = job["refused"]
    assert refused["name"] == "notes.txt"
    assert refused["reason"].startswith("is no DICOM")
    served.wait_for(job["id"])
    names = {film["name"] for film in served.json(f"/v1/films?job={job['id']}")["films"]}
    assert names == {"one.png", "two.png"}


def test_a_declined_film_says_why(served: Served) -> None:
    (film,) = served.judged(BLANK)
    assert (film["state"], film["probability"]) == ("declined", None)
    assert film["reason"].startswith("The film is blank")
    assert film["pictures"] == ["thumbnail", "overlay"]
    assert served.get(f"/v1/films/{film['id']}/mask").status_code == 409


def test_the_worklist_sorts_filters_and_pages(served: Served, found: list[dict[str, Any]]) -> None:
    served.judged(BLANK, *[png(seed) for seed in range(10, 16)])
    whole = served.json("/v1/films?limit=500")["films"]
    rank = {"positive": 0, "declined": 1, "failed": 2, "negative": 3}
    keys = [(rank[film["state"]], -(film["probability"] or 0)) for film in whole]
    assert keys == sorted(keys)
    for sort in ("suspicion", "received", "name", "age", "read"):
        for order in ("usual", "reversed"):
            paged, cursor = [], None
            while True:
                query = {"limit": 3, "sort": sort, "order": order, "cursor": cursor}
                page = served.json("/v1/films", params={k: v for k, v in query.items() if v})
                paged += [film["id"] for film in page["films"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert sorted(paged) == sorted(film["id"] for film in whole)
    other = served.get("/v1/films?limit=3&sort=name", params={"cursor": "WyJhIl0"})
    assert other.status_code == 422
    positive = served.json("/v1/films?state=positive&state=declined")
    assert {film["state"] for film in positive["films"]} == {"positive", "declined"}
    assert positive["total"] == positive["counts"]["positive"] + positive["counts"]["declined"]
    patient = found[1]["patient_id"]
    assert [film["id"] for film in served.json(f"/v1/films?q={patient[:13].upper()}")["films"]] == [
        found[1]["id"]
    ]
    assert served.json("/v1/films?q=%25")["total"] == 0  # a word, not a pattern
    assert served.json("/v1/films?min_probability=1")["total"] == 0


def test_a_threshold_is_tried_on_the_worklist(served: Served, found: list[dict[str, Any]]) -> None:
    job = found[0]["job"]
    films = served.json(f"/v1/films?job={job}")["films"]
    assert {film["state"]: film["has_regions"] for film in films} == {
        "positive": True,
        "negative": True,
    }
    positive = sum(film["state"] == "positive" for film in films)
    numbers = {"judged": 4, "positive": positive, "unknown": 0}
    everything = served.json(f"/v1/threshold?presence=0&job={job}")
    assert everything == numbers | {
        "presence": 0.0, "would": 4, "gained": 4 - positive, "lost": 0
    }  # fmt: skip
    assert served.json(f"/v1/threshold?presence=1&job={job}")["lost"] == positive
    changed = served.json(f"/v1/films?changes_at=0&job={job}")
    assert {film["state"] for film in changed["films"]} == {"negative"}
    assert changed["total"] == 4 - positive
    again = served.json(f"/v1/films?job={job}")["films"]
    assert again == films
    for query in ("", "?presence=2", "?presence=nan"):
        assert served.get(f"/v1/threshold{query}").status_code == 422


def test_read_marks(served: Served, found: list[dict[str, Any]]) -> None:
    film = found[1]["id"]
    unread = served.json("/v1/films")["counts"]["unread"]
    assert served.ask("PUT", f"/v1/films/{film}/read").status_code == 204
    assert served.json(f"/v1/films/{film}")["read"] is True
    assert served.json("/v1/films")["counts"]["unread"] == unread - 1
    assert served.ask("DELETE", f"/v1/films/{film}/read").status_code == 204
    assert served.json("/v1/films")["counts"]["unread"] == unread
    assert served.ask("PUT", f"/v1/films/{'0' * 32}/read").status_code == 404


def test_studies_are_listed_and_deleted(served: Served, films: list[bytes]) -> None:
    (film,) = served.judged(png(77))
    study = film["study"]
    assert study == film["id"]  # its header names none
    listed = served.json("/v1/studies?limit=500")
    assert study in {one["id"] for one in listed["studies"]}
    assert [one["id"] for one in served.json(f"/v1/studies/{study}")["films"]] == [film["id"]]
    revision = served.json("/v1/films")["revision"]
    assert served.ask("DELETE", f"/v1/studies/{study}").status_code == 204
    for path in (f"/v1/studies/{study}", f"/v1/films/{film['id']}", f"/v1/films/{film['id']}/mask"):
        assert served.get(path).status_code == 404
    assert not list((served.store / "films").glob(f"*/{film['id']}"))
    assert not list((served.store / "cache").glob(f"{film['id']}*"))
    told = next(iter(events(served, revision)))
    assert told == ("deleted", {"id": film["id"]})
    (again,) = served.judged(png(77))
    assert again["id"] == film["id"]


def events(served: Served, since: int) -> Any:
    with served.get(f"/v1/events?since={since}", stream=True) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines(decode_unicode=True):
            kind, _, text = line.partition(": ")
            if kind == "event":
                name = text
            elif kind == "data":
                yield name, json.loads(text)


def test_the_live_channel_tells_what_becomes_of_a_film(served: Served) -> None:
    channel = events(served, served.json("/v1/films")["revision"])
    film = served.upload(png(88)).json()["film_ids"][0]
    states = []
    for name, summary in channel:
        assert (name, summary["id"]) == ("film", film)
        states.append(summary["state"])
        if summary["state"] != "waiting":
            break
    assert states[-1] in ("positive", "negative")
    assert next(iter(events(served, 10**9)))[0] == "reset"
    (film_again, state) = next(
        (summary["id"], summary["state"])
        for _, summary in events(served, 0)
        if summary["id"] == film
    )
    assert (film_again, state) == (film, states[-1])


def correct(
    served: Served, film: str, mask: bytes | None = None, **fields: str
) -> requests.Response:
    files = {"mask": ("m.png", mask)} if mask is not None else None
    return served.ask("POST", f"/v1/films/{film}/corrections", data=fields, files=files)


def test_corrections_stand_beside_the_finding_and_become_a_corpus(
    served: Served, found: list[dict[str, Any]], tmp_path: Path
) -> None:
    positive = next(film for film in found if film["state"] == "positive")
    negative = next(film for film in found if film["state"] == "negative")
    (image,) = served.judged(png(99, side=256))
    rows, columns = image["rows"], image["columns"]
    drawn = np.zeros((rows, columns), np.uint8)
    drawn[10:40, 20:60] = 255
    as_png = cv2.imencode(".png", np.dstack([drawn, drawn, drawn, drawn]))[1].tobytes()
    kept = correct(
        served, image["id"], as_png, verdict="corrected", reader="=A Reader", seconds="4.5"
    )
    assert kept.status_code == 201, kept.text
    said = kept.json()
    assert (said["number"], said["label"], said["identity"]) == (1, 1, "local")
    assert said["area_fraction"] == pytest.approx(30 * 40 / (rows * columns))
    again = correct(
        served, image["id"], as_png, verdict="corrected", reader="=A Reader", seconds="4.5"
    )
    assert again.json() == said  # sent twice, said once
    mask = served.get(f"/v1/films/{image['id']}/corrections/1/mask")
    np.testing.assert_array_equal(grey(mask.content), drawn)
    after = served.json(f"/v1/films/{image['id']}")
    assert after["finding"] == image["finding"]
    assert (after["verdict"], after["correction"]) == ("corrected", said)

    assert (
        correct(served, positive["id"], verdict="rejected", comment="skin fold").json()["label"]
        == 0
    )
    assert correct(served, positive["id"], verdict="accepted").json()["number"] == 2
    assert correct(served, negative["id"], verdict="rejected").json()["label"] is None
    listed = served.json(f"/v1/films/{positive['id']}/corrections")["corrections"]
    assert [one["verdict"] for one in listed] == ["rejected", "accepted"]

    with zipfile.ZipFile(io.BytesIO(served.get("/v1/corrections/export").content)) as archive:
        archive.extractall(tmp_path / "corpus")
    prepare([CorpusSpec(tmp_path / "corpus")], tmp_path / "data", processes=1)
    dataset = Dataset.open(tmp_path / "data")
    labels = {film.source_path.split("/")[-1].split(".")[0]: film.label for film in dataset.films}
    assert labels == {image["id"]: 1, positive["id"]: 1, negative["id"]: None}
    prepared = next(film for film in dataset.films if film.source_path.endswith(".png"))
    np.testing.assert_array_equal(dataset.mask(prepared), drawn > 0)
    assert prepared.facts["reader"] == "'=A Reader"


@pytest.mark.parametrize(
    ("mask", "verdict"),
    [
        (None, "corrected"),
        (png(1), "accepted"),
        (b"not a png", "corrected"),
        (png(1, side=10), "corrected"),
        (png(1)[:100], "corrected"),
        (None, "maybe"),
    ],
)
def test_what_is_no_correction_is_refused(
    served: Served, found: list[dict[str, Any]], mask: bytes | None, verdict: str
) -> None:
    film = found[2]["id"]
    before = served.json(f"/v1/films/{film}/corrections")
    answer = correct(served, film, mask, verdict=verdict)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert served.json(f"/v1/films/{film}/corrections") == before


def test_the_model_s_card_and_the_service(served: Served, found: list[dict[str, Any]]) -> None:
    model = served.json("/v1/model")
    assert (model["name"], model["sha256"]) == ("bright", found[0]["finding"]["model_sha256"])
    assert model["operating_point"] == found[0]["operating_point"]
    assert found[0]["finding"]["pixel_threshold"] == model["operating_point"]["pixel_threshold"]
    assert "Not a medical device" in model["intended_use"]
    service = served.json("/v1/service")
    assert (service["identity"], service["needs_token"]) == ("local", False)
    assert "Not a medical device" in service["notice"]
    assert served.get("/livez").status_code == served.get("/readyz").status_code == 200


def test_metrics_count_what_happened(served: Served, found: list[dict[str, Any]]) -> None:
    def number(name: str) -> float:
        lines = served.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    judged = number("pleura_films_total")
    waited = number('pleura_stage_seconds_count{stage="judge"}')
    served.judged(png(1234))
    assert number("pleura_films_total") == judged + 1
    assert number('pleura_stage_seconds_count{stage="judge"}') == waited + 1
    assert number("pleura_waiting_films") == 0
    assert number("pleura_free_bytes") > 0
    assert number("pleura_probability_count") > 0
    model = served.json("/v1/model")["sha256"]
    text = served.get("/metrics").text
    assert f'sha256="{model}"' in text
    share = 'pleura_reference_positive_share{fitted_on="no films"} '  # 18 of 20 and 4 of 80
    (said,) = [line for line in text.splitlines() if line.startswith(share)]
    assert float(said.removeprefix(share)) == pytest.approx(0.22)


def test_the_pages(served: Served) -> None:
    page = served.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    documentation = served.get("/docs").text
    assert "/v1/films/{film}/pixels" in documentation
    assert "<script" not in documentation
    assert served.get("/../../etc/passwd").status_code == 404
    assert served.get("/%2e%2e/%2e%2e/app.py").status_code == 404
    assert served.get("/%00").status_code == 404
    assert served.get("/assets/" + "x" * 300).status_code == 404


def test_what_an_address_does_not_take_is_told_by_any_method(
    served: Served, found: list[dict[str, Any]]
) -> None:
    film = f"/v1/films/{found[0]['id']}"
    for method, path, allowed in (
        ("HEAD", f"{film}/file", "GET"),
        ("GET", f"{film}/judge", "POST"),
        ("GET", f"{film}/read", "DELETE, PUT"),
        ("GET", "/dicom-web/studies", "POST"),
    ):
        answer = served.ask(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), path
        assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert served.get("/v1/nothing").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status"), [("bytes=99999999-", 416), ("bytes=5-1", 400), ("bytes=0-3", 206)]
)
def test_a_part_that_a_file_has_not_is_a_problem(
    served: Served, found: list[dict[str, Any]], asked: str, status: int
) -> None:
    path = f"/v1/films/{found[0]['id']}/file"
    whole = served.get(path).content
    answer = served.get(path, headers={"Range": asked})
    assert answer.status_code == status
    if status == 206:
        assert answer.content == whole[:4]
        return
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert answer.json()["status"] == status
    assert status != 416 or answer.headers["Content-Range"] == f"bytes */{len(whole)}"


def test_a_finding_is_given_as_dicom(
    served: Served, found: list[dict[str, Any]], films: list[bytes]
) -> None:
    states = {film["state"] for film in found}
    assert states == {"positive", "negative"}
    for film, data in zip(found, films, strict=True):
        source = pydicom.dcmread(io.BytesIO(data))
        results = {}
        for kind in ("seg", "sr", "sc"):
            answer = served.get(f"/v1/films/{film['id']}/dicom/{kind}")
            if kind == "seg" and film["state"] == "negative":
                assert answer.status_code == 409
                assert answer.json()["detail"] == "there is no segmentation: the film is negative"
                continue
            assert answer.status_code == 200, answer.text
            assert answer.headers["Content-Type"] == "application/dicom"
            results[kind] = pydicom.dcmread(io.BytesIO(answer.content))
        for result in results.values():
            assert result.StudyInstanceUID == source.StudyInstanceUID
        if "seg" in results:
            mask = grey(served.get(f"/v1/films/{film['id']}/mask").content) > 0
            planes = results["seg"].pixel_array.reshape(-1, *mask.shape)
            np.testing.assert_array_equal(planes.any(axis=0), mask)
    (image,) = served.judged(png(77))
    refused = served.get(f"/v1/films/{image['id']}/dicom/sr")
    assert refused.status_code == 409
    assert "it is PNG, and DICOM results belong to a DICOM film" in refused.json()["detail"]
    assert served.get(f"/v1/films/{image['id']}/dicom/rt").status_code == 422
