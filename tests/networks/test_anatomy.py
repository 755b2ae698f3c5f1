"""The anatomy network: what it gives, what it does not see, and the distance from known films."""

import pytest
import torch

from pleura.errors import RecipeError
from pleura.networks import NETWORKS, create
from pleura.networks.anatomy import Anatomy, Density

OPTIONS = {"encoder": "mobilenetv2_050", "decoder_channels": [8, 8, 8], "domains": 2}


@pytest.fixture(scope="module")
def network() -> Anatomy:
    torch.manual_seed(0)
    made = create("anatomy", channels=1, size=64, **OPTIONS).eval()
    assert isinstance(made, Anatomy)
    return made


def test_what_it_gives(network: Anatomy) -> None:
    with torch.no_grad():
        output = network(torch.randn(3, 1, 64, 96))
    shapes = [tuple(one.shape) for one in output]
    assert shapes == [(3, 3, 16, 24), (3, 6), (3,)]  # a quarter of the resolution
    assert output._fields == network.OUTPUTS


def test_exposure_is_not_seen(network: Anatomy) -> None:
    """Half the contrast on a brighter ground is the same film."""
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        one, other = network(images), network(0.5 * images + 0.3)
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a, b, atol=1e-3)


def test_a_blank_film_gives_numbers(network: Anatomy) -> None:
    with torch.no_grad():
        output = network(torch.full((1, 1, 64, 64), 0.5))
    assert all(bool(one.isfinite().all()) for one in output)


def test_features_are_what_the_density_is_over(network: Anatomy) -> None:
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        expected = network.density(network.features(images))
        assert torch.allclose(network(images).novelty, expected)


def test_it_sees_lungs_only_and_is_no_recipes_network() -> None:
    assert "anatomy" not in NETWORKS


@pytest.mark.parametrize(
    ("size", "options", "says"),
    [(100, {}, "multiple of 32"), (64, {"decoder_channels": [8, 8]}, "takes 3 decoder_channels")],
)
def test_what_it_cannot_be(size: int, options: dict, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        create("anatomy", channels=1, size=size, **OPTIONS | options)


def test_density_by_hand() -> None:
    """Two domains of variance 1 and 4 by axis, both about 0: one in each direction is a half of the sum."""
    corners = torch.tensor([[1.0, 2.0], [1.0, -2.0], [-1.0, 2.0], [-1.0, -2.0]])
    domain = corners * (3 / 4) ** 0.5  # cov() divides by n - 1: variances are 1 and 4
    density = Density(2, 2)
    density.fit([domain, domain + torch.tensor([100.0, 0.0])], shrinkage=0.0)
    floor = 1e-3 * 2.5  # of the mean variance, so that none is nothing
    asked = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [98.0, 0.0], [100.0, 4.0]])
    found = density(asked)
    expected = [0.0, 0.5 * 4 / (1 + floor), 0.5 * 4 / (4 + floor), 2 / (1 + floor), 8 / (4 + floor)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_density_is_about_one_on_its_own_films() -> None:
    torch.manual_seed(1)
    mixing = torch.randn(12, 12)
    domains = [torch.randn(400, 12) @ mixing, torch.randn(300, 12) @ mixing + 30]
    density = Density(12, 2)
    density.fit(domains, shrinkage=0.0)
    for domain in domains:
        assert float(density(domain).mean()) == pytest.approx(1.0, abs=0.1)
    assert float(density(torch.full((1, 12), 500.0))) > 100


@pytest.mark.parametrize("sizes", [(5,), (5, 1), (5, 5, 5)])
def test_density_needs_its_domains(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 domains of at least 2 films"):
        Density(3, 2).fit([torch.randn(n, 3) for n in sizes])
