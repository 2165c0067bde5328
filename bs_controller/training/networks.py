"""The networks that can be trained, by the name of their preset. Weights start at random: seed torch before building.

Axes are torch's, ``(batch, channel, place)`` or ``(batch, channel, row, column)``, float32; outputs are ``(batch, output)``,
to be scaled by whoever trained them. ConvNeXt is the network of [CBS, section III-C] and of its reference [39], whose order
of layers is kept: the paper prints the normalisation after the convolution that halves the resolution, here it is before it.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

# Blocks start as small corrections of the identity. The published network starts at 1e-6, for many times the depth; which
# is better here was not compared.
LAYER_SCALE = 0.1
NORM_EPSILON = 1e-6

_CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d}
_PADDING = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvNextPreset:
    """Sizes of a ConvNeXt in one or two dimensions.

    `shape` is that of one input, ``(channel, place)`` or ``(channel, row, column)``. Each place of the first stage sees
    `stem` places of the input per axis; each further stage has half the places of the one before. `hidden` is the width
    of the head's hidden layer, zero for a linear head.
    """

    shape: tuple[int, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stem: int = 4
    kernel: int = 7
    expansion: int = 4
    hidden: int = 0
    outputs: int = 2

    def __post_init__(self) -> None:
        if len(self.shape) not in {2, 3}:
            raise ValueError(f"shape must be (channel, place) or (channel, row, column), got {self.shape}")
        if not self.widths or len(self.widths) != len(self.depths):
            raise ValueError(f"each stage needs a width and a depth, got {self.widths} and {self.depths}")
        sizes = (*self.shape, *self.widths, *self.depths, self.stem, self.kernel, self.expansion, self.outputs)
        if min(sizes) < 1 or self.hidden < 0:
            raise ValueError(f"all sizes but hidden must be at least 1, got {self}")
        if any(places % self.reduction for places in self.shape[1:]):
            raise ValueError(f"each axis must be a multiple of {self.reduction} places, got {self.shape[1:]}")

    @property
    def reduction(self) -> int:
        """Return how many places of the input, per axis, each place of the last stage stands for."""
        return self.stem << (len(self.widths) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiselPreset:
    """Sizes of a network after CHISEL, the reference of [CBS, Table I], which multiplies all its channels by 1, 4 or 7."""

    shape: tuple[int, int, int] = (4, 64, 64)
    width_multiple: int = 1
    outputs: int = 2

    def __post_init__(self) -> None:
        if min(*self.shape, self.width_multiple, self.outputs) < 1:
            raise ValueError(f"all sizes must be at least 1, got {self}")
        if any(places % 8 for places in self.shape[1:]):  # two poolings of the encoder, one of the head
            raise ValueError(f"each axis must be a multiple of 8 places, got {self.shape[1:]}")


Preset = ConvNextPreset | ChiselPreset


def _image(widths: tuple[int, ...], depths: tuple[int, ...], kernel: int = 7, expansion: int = 4) -> ConvNextPreset:
    return ConvNextPreset(shape=(4, 64, 64), widths=widths, depths=depths, kernel=kernel, expansion=expansion)


# Channels of the first two are those of their representations; `dataclasses.replace` suits outputs to those who train. Table I
# of [CBS] counts the multiply-adds of the stock networks, kernel 7 and expansion 4; `text` presets have those of its text.
PRESETS: dict[str, Preset] = {
    "convnext-element": ConvNextPreset(shape=(9, 128), widths=(24, 48, 96), depths=(2, 2, 2), hidden=384),
    "convnext-pair": ConvNextPreset(shape=(15, 128), widths=(24, 48, 96), depths=(2, 2, 2), hidden=384),
    "paper-micro": _image((24, 48, 96, 192), (1, 1, 3, 1)),
    "paper-atto": _image((40, 80, 160, 320), (2, 2, 6, 2)),
    "paper-S": _image((128, 256, 512, 1024), (3, 3, 27, 3)),
    "paper-L": _image((256, 512, 1024, 2048), (3, 3, 27, 3)),
    "paper-S-text": _image((128, 256, 512, 1024), (3, 3, 27, 3), kernel=8, expansion=3),
    "paper-L-text": _image((256, 512, 1024, 2048), (3, 3, 27, 3), kernel=8, expansion=3),
    "chisel-like-1": ChiselPreset(width_multiple=1),
    "chisel-like-4": ChiselPreset(width_multiple=4),
    "chisel-like-7": ChiselPreset(width_multiple=7),
}


def build(preset: Preset) -> nn.Module:
    """Return the network of a preset with random weights, ``(batch, *preset.shape)`` to ``(batch, preset.outputs)``."""
    return ConvNext(preset) if isinstance(preset, ConvNextPreset) else ChiselLike(preset)


class ConvNext(nn.Module):
    """Stages of residual blocks, then the mean over all places, then the head."""

    def __init__(self, preset: ConvNextPreset) -> None:
        super().__init__()
        axes, widths = len(preset.shape) - 1, preset.widths
        convolution = _CONVOLUTION[axes]
        layers = [convolution(preset.shape[0], widths[0], preset.stem, stride=preset.stem), ChannelNorm(widths[0])]
        for stage, (width, depth) in enumerate(zip(widths, preset.depths, strict=True)):
            if stage:
                layers += [ChannelNorm(widths[stage - 1]), convolution(widths[stage - 1], width, 2, stride=2)]
            layers += [Block(axes, width, preset.kernel, preset.expansion) for _ in range(depth)]
        self.trunk = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(widths[-1], eps=NORM_EPSILON)
        self.head = _head(widths[-1], preset.hidden, preset.outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return outputs, ``(batch, output)``, of features, ``(batch, channel, ...)``."""
        means = self.trunk(features).flatten(2).mean(2)
        return self.head(self.norm(means))


class Block(nn.Module):
    """A residual block: each channel mixed over places, then channels mixed at each place, wide in between."""

    def __init__(self, axes: int, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.places = _depthwise(axes, width, kernel)
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.channels = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), LAYER_SCALE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the same shape, ``(batch, channel, ...)``."""
        # channels last in between: linear layers on them are as fast in the exported model as 1x1 convolutions
        mixed = self.channels(self.norm(self.places(x).movedim(1, -1)))
        return x + (self.scale * mixed).movedim(-1, 1)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels at each place of a tensor ``(batch, channel, ...)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the same shape."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class ChiselLike(nn.Module):
    """An encoder, trained with its decoder to reproduce its input, then frozen under a head that is trained to locate.

    CHISEL classifies, and its widths are not public: encoder and head have its order of size, the head regresses.
    """

    def __init__(self, preset: ChiselPreset) -> None:
        super().__init__()
        channels, narrow, wide, last = preset.shape[0], *(preset.width_multiple * width for width in (32, 64, 96))
        self.encoder = nn.Sequential(
            *(_convolved(channels, narrow), nn.MaxPool2d(2)),
            *(_convolved(narrow, wide), _convolved(wide, wide), nn.MaxPool2d(2)),
        )
        self.decoder = nn.Sequential(
            *(nn.Upsample(scale_factor=2), _convolved(wide, wide), _convolved(wide, narrow)),
            *(nn.Upsample(scale_factor=2), nn.Conv2d(narrow, channels, 3, padding=1)),
        )
        self.head = nn.Sequential(
            *(_convolved(wide, wide), nn.MaxPool2d(2), _convolved(wide, last)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, preset.outputs)),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return outputs, ``(batch, output)``, of images, ``(batch, channel, row, column)``."""
        return self.head(self.encoder(image))

    def reconstructed(self, image: torch.Tensor) -> torch.Tensor:
        """Return what the decoder makes of the encoded image, in the image's shape."""
        return self.decoder(self.encoder(image))


def _head(width: int, hidden: int, outputs: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, outputs)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, outputs))


def _depthwise(axes: int, width: int, kernel: int) -> nn.Module:
    """Return a convolution of each channel that keeps the number of places; an even kernel sees one more place after."""
    before, after = (kernel - 1) // 2, math.ceil((kernel - 1) / 2)
    if before == after:
        return _CONVOLUTION[axes](width, width, kernel, padding=before, groups=width)
    padding = _PADDING[axes]((before, after) * axes, 0.0)
    return nn.Sequential(padding, _CONVOLUTION[axes](width, width, kernel, groups=width))


def _convolved(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())
