"""A finding that was kept is the same finding."""

import io
import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pydicom

from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity, Target
from pleura.radiograph import Radiograph
from pleura.read import Limits, read
from pleura.service.decoder import OPERATIONS
from pleura.service.findings import finding_facts, finding_from
from pleura.service.judging import film_from

SHAPE = (8, 8)


def test_a_target_keeps_its_code() -> None:
    target = Target("Pneumonia", "233604007")
    model = ModelIdentity("m", "1", "a" * 64)
    finding = Finding(
        target, "negative", "r", model, "f.dcm", probability=0.1, mask=np.zeros(SHAPE, np.bool_)
    )
    facts = finding_facts(finding)
    assert finding_from(facts, SHAPE, b"", b"", b"").target == target

    older = {key: facts[key] for key in facts if not key.startswith("target_")}
    older["target"] = "Pneumothorax"
    assert finding_from(older, SHAPE, b"", b"", b"").target == PNEUMOTHORAX


def test_a_film_that_another_process_opened_is_what_its_header_says(
    films: list[bytes], tmp_path: Path
) -> None:
    ds = pydicom.dcmread(io.BytesIO(films[0]))
    ds.ProtocolName, ds.PatientOrientation = "CHEST SUPINE", ["L", "F"]
    path = tmp_path / "supine.dcm"
    ds.save_as(path)
    request = {"path": str(path), "limits": asdict(Limits())}
    header, (pixels, _) = OPERATIONS["open"](request, ())
    opened = film_from(json.loads(json.dumps(header["film"])), bytes(pixels))
    whole = read(path)
    assert opened.posture_doubt == "ProtocolName (supine)"
    np.testing.assert_array_equal(opened.pixels, whole.pixels)
    names = {field.name for field in fields(Radiograph)} - {"pixels", "header", "source"}
    assert {name: getattr(opened, name) for name in names} == {
        name: getattr(whole, name) for name in names
    }
