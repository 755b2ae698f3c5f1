"""Logistic regression of one variable, where its first step goes too far."""

import numpy as np
import pytest

from pleura.evaluation.logistic import fit


@pytest.mark.parametrize("told", [0.001, 0.01, 0.5, 0.99, 0.999])
def test_an_intercept_is_found_however_far_the_scores_are_off(told: float) -> None:
    targets = np.repeat([1.0, 0.0], [7, 11])
    offset = np.full(18, np.log(told / (1 - told)))
    found = fit(np.ones((18, 1)), targets, offset, np.arange(18.0))
    assert found is not None
    assert found.coefficients[0] == pytest.approx(np.log(7 / 11) - offset[0], abs=1e-8)
    assert found.covariance[0, 0] == pytest.approx(18 / 17 * (1 / 7 + 1 / 11), rel=1e-6)


def test_classes_that_do_not_overlap_have_no_slope() -> None:
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    columns = np.stack([x, np.ones(4)], axis=1)
    assert fit(columns, np.array([0.0, 0.0, 1.0, 1.0])) is None
    assert fit(columns, np.array([0.0, 1.0, 0.0, 1.0])) is not None
