"""A finding that was kept is the same finding."""

import numpy as np

from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity, Target
from pleura.service.findings import finding_facts, finding_from

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
