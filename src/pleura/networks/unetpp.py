"""`unetpp`: the nested U-Net, with a path of dense convolutions in place of each skip connection."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pleura.networks.blocks import enlarged
from pleura.networks.decoder import conv_block, mask_head
from pleura.networks.output import Output


class UNetPP(nn.Module):
    """Zhou et al., "UNet++: a nested U-Net architecture", DLMIA 2018.

    The node X(i, j) at level i sees all nodes before it on its level and the enlarged X(i+1, j-1) below;
    X(i, 0) is the way down. With deep supervision each X(0, j), j from 1, has a head of its own: these are
    the `deep_logits`, to train on, and `mask_logits` is their mean (the paper's accurate mode). Without, only
    the last node has a head. Batch norm after each convolution is our addition, as in most implementations.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; any size that can be halved at each level works, so it is not used.
        filters: of each level, finest first.
        deep_supervision: see above.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 256,
        filters: Sequence[int] = (32, 64, 128, 256, 512),
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        if len(filters) < 2:
            raise ValueError(f"a nested U-Net has at least two levels; got filters {list(filters)}")
        inputs = [channels, *filters[:-1]]
        self.down = nn.ModuleList(conv_block(i, o) for i, o in zip(inputs, filters, strict=True))
        self.nested = nn.ModuleList(  # by column j - 1, then by level i
            nn.ModuleList(
                conv_block(j * filters[i] + filters[i + 1], filters[i])
                for i in range(len(filters) - j)
            )
            for j in range(1, len(filters))
        )
        self.pool = nn.MaxPool2d(2)
        heads = len(filters) - 1 if deep_supervision else 1
        self.heads = nn.ModuleList(mask_head(filters[0]) for _ in range(heads))
        self.deep_supervision = deep_supervision

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to logits at H x W; so are the deep ones."""
        x = images
        levels: list[list[Tensor]] = []
        for i, block in enumerate(self.down):
            x = block(self.pool(x) if i else x)
            levels.append([x])
        for column in self.nested:
            for i, block in enumerate(column):  # type: ignore[arg-type]
                below = enlarged(levels[i + 1][-1], levels[i][0])
                levels[i].append(block(torch.cat((*levels[i], below), dim=1)))
        if not self.deep_supervision:
            return Output(self.heads[0](levels[0][-1]))
        deep = tuple(h(x) for h, x in zip(self.heads, levels[0][1:], strict=True))
        return Output(torch.stack(deep).mean(dim=0), deep_logits=deep)
