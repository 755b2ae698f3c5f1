"""What readers said stays what they said it of, whatever becomes of the film's finding."""

import csv
import hashlib
import io
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a_service import Served, png
from pleura.service import corpus, corrections
from pleura.service.corrections import Said
from pleura.service.folders import MASK
from pleura.service.problems import Refused
from pleura.service.store import Arrival, Judged, Store, film_id_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.close()


def received(store: Store, content: bytes = b"film") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    film = film_id_of(sha256)
    with store.folders.spooled() as place:
        (place / "0").write_bytes(content)
        store.folders.place({film: place / "0"})
    store.receive([Arrival(film, sha256, len(content), "a.png")], [])
    return film


def judge(store: Store, film: str, state: str, probability: float, model: str) -> None:
    store.folders.write(film, MASK, f"mask of {model}".encode())
    columns = {"rows": 10, "columns": 20, "probability": probability}
    facts = {"film": {"source_format": "png"}, "viewing": None}
    finding = {"decision": state, "reason": "because", "model_sha256": model}
    assert store.judge(film, Judged(state, "because", columns, facts, finding, {}))


def said(verdict: Any = "accepted", **more: Any) -> Said:
    return Said(verdict, "", "me", "local", **more)


def exported(store: Store) -> tuple[dict[str, str], dict[str, bytes]]:
    """The row of the one film, and the masks."""
    with zipfile.ZipFile(io.BytesIO(b"".join(corpus.export(store)))) as archive:
        (row,) = csv.DictReader(io.StringIO(archive.read("films.csv").decode()))
        masks = {n: archive.read(n) for n in archive.namelist() if n.startswith("masks/")}
    return row, masks


def test_what_was_accepted_is_exported_though_the_film_was_judged_again(store: Store) -> None:
    film = received(store)
    judge(store, film, "positive", 0.9, "a")
    corrections.add(store, film, said())
    store.again(film)
    judge(store, film, "negative", 0.1, "b")
    row, masks = exported(store)
    names = ("label", "model_decision", "model_probability", "model_sha256")
    assert [row[name] for name in names] == ["1", "positive", "0.9", "a"]
    assert masks == {f"masks/{film}.png": b"mask of a"}


@pytest.mark.parametrize(
    ("model", "label", "decision", "mask"),
    [("a", "1", "positive", b"mask of a"), ("b", "unsure", "", None)],
)
def test_a_store_of_before_exports_only_what_is_known(
    tmp_path: Path, model: str, label: str, decision: str, mask: bytes | None
) -> None:
    store = Store(tmp_path / "store")
    film = received(store)
    judge(store, film, "positive", 0.9, "a")
    corrections.add(store, film, said())
    store.folders.file(film, corrections.mask_name(1)).unlink()
    store.again(film)
    judge(store, film, "positive", 0.8, model)
    store.close()
    with sqlite3.connect(tmp_path / "store" / "store.sqlite") as connection:
        connection.execute("ALTER TABLE corrections DROP COLUMN state")
        connection.execute("ALTER TABLE corrections DROP COLUMN probability")
    connection.close()
    store = Store(tmp_path / "store")
    row, masks = exported(store)
    assert (row["label"], row["model_decision"]) == (label, decision)
    assert list(masks.values()) == ([] if mask is None else [mask])
    assert corrections.add(store, film, said("rejected"))[0]["number"] == 2
    store.close()


def test_a_finding_that_the_reader_did_not_see_is_not_judged(store: Store) -> None:
    film = received(store)
    judge(store, film, "positive", 0.9, "a")
    kept, _ = corrections.add(store, film, said(model_sha256="a"))
    store.again(film)
    judge(store, film, "negative", 0.1, "b")
    assert corrections.add(store, film, said(model_sha256="a")) == (kept, False)  # sent twice
    with pytest.raises(Refused, match="another model has judged the film") as refused:
        corrections.add(store, film, said("rejected", model_sha256="a"))
    assert refused.value.status == 409
    again, is_new = corrections.add(store, film, said(model_sha256="b"))
    assert (again["number"], again["label"], is_new) == (
        2,
        0,
        True,
    )  # of another finding: not the same
    assert corrections.add(store, film, said("rejected"))[0]["model_sha256"] == "b"


def test_a_key_that_is_held_says_it_once(store: Store) -> None:
    film = received(store)
    judge(store, film, "positive", 0.9, "a")
    for number in range(20):
        corrections.add(store, film, said(seconds=4.0 + number / 10))
    (kept,) = corrections.of_film(store, film)
    assert kept["seconds"] == 4.0


def test_the_form_takes_the_model_that_was_looked_at(served: Served) -> None:
    (film,) = served.judged(png(606))
    address = f"/v1/films/{film['id']}/corrections"
    for model, status in (("0" * 64, 409), (film["finding"]["model_sha256"], 201), ("", 201)):
        fields = {"verdict": "accepted", "model_sha256": model, "comment": model[:3]}
        answer = served.ask("POST", address, data=fields)
        assert answer.status_code == status, answer.text
    assert len(served.json(address)["corrections"]) == 2
