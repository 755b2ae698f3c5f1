"""Phantoms' sizes: what was painted is what is measured."""

import numpy as np
import pytest

from pleura.data.phantom.film import Pneumothorax, phantom
from pleura.extent import Extent
from pleura.inference.lung_fields import LungFields
from pleura.inference.measurements import measure
from pleura.inference.postprocess import lesions
from pleura.radiograph import Radiograph

PIXEL_MM = 1.7  # of a film of 256 pixels


def sized(seed: int, wanted: Pneumothorax, *, squeeze: bool) -> Extent:
    made = phantom(seed, 256, pneumothorax=wanted, squeeze=squeeze)
    halves = np.where(np.arange(made.lungs.shape[1]) < made.lungs.shape[1] // 2, 1, 2)
    film = Radiograph(
        made.pixels,
        12,
        "dicom",
        "f.dcm",
        view="PA",
        spacing_mm=made.spacing_mm,
        spacing_basis="detector",
    )
    fields = LungFields.of((made.lungs * halves).astype(np.uint8), film)
    found = lesions(made.mask, made.mask.astype(np.float32), film, fields)
    (extent,) = measure(made.mask, found, film, fields)
    return extent


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_painted_collapse_is_measured_as_deep_as_it_is(seed, side) -> None:
    extent = sized(seed, Pneumothorax(side, 30.0, 1.0), squeeze=False)
    assert extent.side == side
    # The depth is at right angles to the pleura and shrinks from the apex down the wall.
    assert extent.apex_to_cupola_mm == pytest.approx(30, abs=6)
    assert 0 < extent.rim_at_hilum_mm < 30


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("depth", "reach"), [(14.0, 0.5), (30.0, 1.0), (55.0, 1.4)])
def test_a_squeezed_film_measures_as_the_film_itself(seed, depth, reach) -> None:
    wanted = Pneumothorax("right", depth, reach)
    squeezed, itself = (sized(seed, wanted, squeeze=on) for on in (True, False))
    for name in ("apex_to_cupola_mm", "rim_at_hilum_mm", "rim_lateral_mm"):
        assert abs(getattr(squeezed, name) - getattr(itself, name)) <= 2 * PIXEL_MM
    assert squeezed.area_fraction_of_lung == pytest.approx(itself.area_fraction_of_lung, abs=0.01)


def test_a_deeper_collapse_is_larger_by_every_measure() -> None:
    sizes = [
        sized(1, Pneumothorax("left", depth, reach), squeeze=True)
        for depth, reach in ((12.0, 0.8), (30.0, 1.0), (60.0, 1.5))
    ]
    for name in ("area_fraction_of_lung", "apex_to_cupola_mm", "rim_lateral_mm", "collins_percent"):
        values = [getattr(size, name) for size in sizes]
        assert values == sorted(values)
        assert values[0] < values[-1]
    assert [size.accp_2001 for size in sizes][::2] == ["small", "large"]
