"""What a network does on the tuning films, at its own size: what early stopping goes by."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pleura.data.dataset import FilmSet
from pleura.data.instances import padded
from pleura.errors import NonFiniteLoss
from pleura.evaluation.metrics import all_empty_dice, auc, competition_dice, dice_of
from pleura.inference.postprocess import presence_score
from pleura.inference.preprocess import InputSpec, normalise
from pleura.networks import Output
from pleura.training.losses import Loss


@dataclass(frozen=True)
class Tuning:
    """Scores on the tuning films, at the network's size and a pixel threshold of 0.5.

    Attributes:
        loss: mean over films.
        dice_positive: mean Dice of the films with a mask; None without one.
        competition_dice: mean Dice of all films, empty/empty = 1.
        all_empty: the same for predicting nothing.
        auc: of the presence score; None with one class only.
        maps: pixel probabilities, float32 (S, S), of the films that were asked for, by their index.
    """

    loss: float
    dice_positive: float | None
    competition_dice: float
    all_empty: float
    auc: float | None
    maps: Mapping[int, NDArray[np.float32]]


def tune(
    network: nn.Module,
    films: FilmSet,
    spec: InputSpec,
    loss: Loss | None,
    *,
    batch_size: int,
    device: torch.device,
    keep: Collection[int] = (),
) -> Tuning:
    """Scores `network`, in eval mode and float32, on `films`; keeps the maps of the indices in `keep`.

    A loss of None is the network's own, of the films' instances.

    Raises:
        NonFiniteLoss: a film's score is no number.
    """
    losses: list[float] = []
    areas: list[tuple[int, int, int]] = []  # predicted, true, shared
    scores: list[float] = []
    maps: dict[int, NDArray[np.float32]] = {}
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(films), batch_size):
            chosen = range(start, min(start + batch_size, len(films)))
            pairs = [films.get(i) for i in chosen]
            images = np.stack([normalise(image, spec) for image, _ in pairs])
            masks = np.stack([mask[None] > 127 for _, mask in pairs])
            batch = (
                torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last)
            )
            output = network(batch).float()
            if loss is None:
                planes = torch.from_numpy(padded([films.planes(i) for i in chosen])).to(device)
                losses += network.losses(batch, planes).tolist()  # type: ignore[operator]
            else:
                truth = torch.from_numpy(masks.astype(np.float32)).to(device)
                losses += loss(output, truth).tolist()
            probabilities = output.mask_logits.sigmoid()[:, 0].cpu().numpy()
            scores += _scores(output, probabilities)
            for i, probability, mask in zip(chosen, probabilities, masks[:, 0], strict=True):
                predicted = probability >= 0.5
                shared = int((predicted & mask).sum())
                areas.append((int(predicted.sum()), int(mask.sum()), shared))
                if i in keep:
                    maps[i] = probability
    if not np.isfinite(scores).all():
        raise NonFiniteLoss(
            "the network's answers to the tuning films are not finite: it has diverged; lower "
            "optimizer.learning_rate, or set precision: 32"
        )
    predicted_px, true_px, shared_px = np.array(areas, np.int64).reshape(-1, 3).T
    positive = true_px > 0
    dice = dice_of(predicted_px, true_px, shared_px)
    return Tuning(
        loss=float(np.mean(losses)),
        dice_positive=float(dice[positive].mean()) if positive.any() else None,
        competition_dice=float(competition_dice(predicted_px, true_px, shared_px) or 0.0),
        all_empty=float(all_empty_dice(true_px) or 0.0),
        auc=auc(scores, films.labels) if 0 < sum(films.labels) < len(films) else None,
        maps=maps,
    )


def _scores(output: Output, probabilities: NDArray[np.float32]) -> list[float]:
    """The films' presence scores, as the detector will take them."""
    if output.presence_logits is not None:
        return [float(p) for p in output.presence_logits.sigmoid().tolist()]
    return [presence_score(probability) for probability in probabilities]
