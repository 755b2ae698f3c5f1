"""Film scores made up for tests."""

import numpy as np

from pleura.evaluation.scores import FilmScore
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity

MODEL = ModelIdentity("made-up", "1", "ab" * 32)


def score(n, label, value, *, patient=None, pred=0, truth=None, shared=0, decision=None, **more):
    """Film `n` with presence score `value` (None: declined), called positive from 0.5."""
    truth = (10 if label else 0) if truth is None else truth
    if decision is None:
        decision = "declined" if value is None else ("positive" if value >= 0.5 else "negative")
    return FilmScore(
        film_id=f"f{n}",
        patient_id=patient or f"p{n}",
        corpus=more.pop("corpus", "a"),
        label_quality=more.pop("label_quality", "expert"),
        label=label,
        decision=decision,
        presence_score=value,
        pixels=100,
        truth_area=truth,
        pred_area=pred,
        intersection=shared,
    )


def random_scores(n, *, seed=0, films_per_patient=1, separation=1.0):
    """`n` films whose scores tell the classes apart by `separation` standard deviations."""
    generator = np.random.default_rng(seed)
    made = []
    for i in range(n):
        label = int(generator.random() < 0.3)
        value = 1 / (1 + np.exp(-generator.normal(separation * (label - 0.5), 1.0)))
        truth = int(generator.integers(1, 40)) if label else 0
        pred = int(generator.integers(1, 40)) if value >= 0.5 else 0
        shared = int(generator.integers(0, min(pred, truth) + 1))
        patient = f"p{i // films_per_patient}"
        made.append(
            score(i, label, float(value), patient=patient, pred=pred, truth=truth, shared=shared)
        )
    return made


def finding(source, mask=None, value=0.9, *, probability_map=None, model=MODEL):
    """A finding: declined where `value` is None, positive where `mask` holds anything."""
    if value is None:
        return Finding(PNEUMOTHORAX, "declined", "No frontal chest film.", model, source)
    positive = mask is not None and bool(mask.any())
    return Finding(
        PNEUMOTHORAX,
        "positive" if positive else "negative",
        "Made up.",
        model,
        source,
        probability=value,
        probability_map=probability_map,
        mask=mask,
    )
