"""Uint8 image batches to normalised network input, with random changes made to the whole batch at once.

Colour comes first, as one 3x3 matrix and one offset per image: brightness, contrast, saturation and hue are affine in
RGB, so they and the normalisation multiply into one. Nothing is clipped on the way (torchvision clips after each of
them), so bright skin keeps its differences where a camera would saturate. Then geometry, as one affine grid-sample
per image: random resized crop, rotation, flips and the change of size. Bilinear weights add up to one, so the order
does not matter for the result; colour first is cheaper because packs are mostly smaller than network inputs.

The few random numbers an image needs are drawn on the CPU from the caller's generator, as many for every recipe, so
that CPU and CUDA runs draw alike. Which images make a batch is the sampler's business, mixing labels the loss's.
"""

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from image_models.keys.sampling import AugmentRecipe
from image_models.resize import resized, shrunk

Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
NORMALISED: dict[str, tuple[Triple, Triple]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and deviation by the recipe's key `normalise`."""

DRAWS = 17
"""Uniform numbers drawn per image whatever the recipe uses, so that turning blur on does not change the crops."""
ANGLE, MIRROR, COLOUR, BLUR, CUTOUT = 4, slice(5, 7), slice(7, 11), slice(11, 13), slice(13, 17)
NOISE = slice(0, 2)
"""The crop's numbers again: two that no image shares with another."""

MOST_SHRINK = 1.25
"""Bilinear sampling may shrink by this much without visible aliasing; what is larger is averaged down first."""

# ITU-R BT.601: weights of grey, and the YIQ colour space whose I and Q span the plane that hue rotates in.
LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
YIQ = torch.tensor(
    [LUMA.tolist(), [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]], dtype=torch.float64
)
RGB = torch.linalg.inv(YIQ)
"""The way back from YIQ."""


def augment(
    images: Tensor,
    recipe: AugmentRecipe,
    size: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    *,
    share: slice | None = None,
    batch: int = 0,
    normalise: str = "imagenet",
) -> Tensor:
    """Change uint8 images (N, H, W, 3) at random; return (N, 3, size, size), normalised, channels last.

    `generator` lives on the CPU and advances by DRAWS numbers per image. Mixup is a function of its own. Images that
    are the `share` of a larger `batch` get the numbers that they would get in it. Of a lesion with several pictures
    (N, H, W, 3 x pictures) each is changed by itself.
    """
    count, images = images.shape[3] // 3, apart(images)
    draws = torch.rand(len(images) if share is None else batch * count, DRAWS, generator=generator)
    draws = draws.view(-1, count * DRAWS)[share or slice(None)].reshape(-1, DRAWS)
    pixels = shrunk(planar(images), math.ceil(MOST_SHRINK * size))
    mean, std = NORMALISED[normalise]
    pixels = recolour(pixels, colour_changes(draws[:, COLOUR], recipe, mean, std))
    if recipe.blur:
        pixels = blurred(pixels, draws[:, BLUR], recipe.blur)
    pixels = sample(pixels, affine(draws, recipe), size) if moves(recipe) else resized(pixels, size)
    if recipe.cutout:
        pixels = cut_out(pixels, draws[:, CUTOUT], recipe.cutout, mean, std)
    if recipe.noise:
        pixels = noisy(pixels, draws[:, NOISE], recipe.noise, std)
    return beside(pixels, count).to(dtype=dtype, memory_format=torch.channels_last)


def prepare(images: Tensor, size: int, dtype: torch.dtype = torch.float32, normalise: str = "imagenet") -> Tensor:
    """Normalise and, where needed, resize uint8 images (N, H, W, 3); return (N, 3, size, size), channels last."""
    count, images = images.shape[3] // 3, apart(images)
    unchanged = colour_map(torch.eye(3).double(), torch.zeros(1), *NORMALISED[normalise])
    pixels = recolour(shrunk(planar(images), size), unchanged)
    return beside(resized(pixels, size), count).to(dtype=dtype, memory_format=torch.channels_last)


def apart(images: Tensor) -> Tensor:
    """Several pictures of each lesion (N, H, W, 3 x pictures) as images of their own, one lesion's in turn."""
    if images.shape[3] == 3:
        return images
    lesions, height, width, _ = images.shape
    return images.view(lesions, height, width, -1, 3).movedim(3, 1).reshape(-1, height, width, 3)


def beside(pixels: Tensor, count: int) -> Tensor:
    """The way back, of planar images: `count` pictures of each lesion beside each other."""
    return pixels if count == 1 else pixels.reshape(-1, 3 * count, *pixels.shape[2:])


def mixup(images: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Blend every image with a partner of its batch; return images, partners (N,) and own weights (N,).

    The loss is weight * loss(own label) + (1 - weight) * loss(partner's label). Weights are drawn from
    Beta(alpha, alpha) and folded to at least one half, so that an image counts most for its own label.
    """
    # torch's beta distribution takes no generator; NumPy's does, seeded from ours.
    seed = int(torch.randint(2**62, (1,), generator=generator))
    drawn = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(images)))
    weight = torch.maximum(drawn, 1 - drawn).float().to(images.device)
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    mixed = torch.lerp(images[partner], images, weight.view(-1, 1, 1, 1).to(images.dtype))
    return mixed.contiguous(memory_format=torch.channels_last), partner, weight


def symmetries(images: Tensor, kind: Literal["none", "flips", "dihedral"]) -> Iterator[Tensor]:
    """Yield square images (N, C, S, S) themselves, then their mirror images: 1, 4 or 8 in all."""
    for turned in (images, images.mT) if kind == "dihedral" else (images,):
        yield turned
        if kind != "none":
            for axes in ((3,), (2,), (2, 3)):
                yield turned.flip(axes)


def planar(images: Tensor) -> Tensor:
    """Turn (N, H, W, 3) uint8 into (N, 3, H, W) float32, rearranged while the pixels are still small."""
    return images.permute(0, 3, 1, 2).contiguous().float()


def moves(recipe: AugmentRecipe) -> bool:
    """Say whether the recipe changes where pixels are."""
    return (recipe.crop_scale, recipe.crop_ratio, recipe.rotation_degrees, recipe.flip) != ((1, 1), (1, 1), 0, False)


def affine(draws: Tensor, recipe: AugmentRecipe) -> Tensor:
    """Turn draws into (N, 2, 3) matrices from output to input coordinates, both from -1 to 1.

    A crop side longer than the image is cut to it. The window turns about its own centre, and what it sees beyond
    the border is the reflected image.
    """
    area = between(draws[:, 0], *recipe.crop_scale)
    ratio = torch.exp(between(draws[:, 1], *(math.log(side) for side in recipe.crop_ratio)))
    sides = torch.stack([area * ratio, area / ratio], dim=1).sqrt().clamp(max=1)
    centre = (2 * draws[:, 2:4] - 1) * (1 - sides)
    angle = between(draws[:, ANGLE], -1, 1) * math.radians(recipe.rotation_degrees)
    if recipe.flip:
        sides = torch.where(draws[:, MIRROR] < 0.5, -sides, sides)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    across, down = sides.unbind(1)
    rows = (cosine * across, -sine * down, centre[:, 0], sine * across, cosine * down, centre[:, 1])
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def sample(pixels: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Sample images (N, 3, H, W) at affinely moved places, bilinearly, reflecting at the border.

    The grid is built by broadcasting, a third of the time of `affine_grid`; in float32, since bfloat16
    coordinates would be off by a pixel.
    """
    matrices = matrices.to(pixels.device)
    steps = (torch.arange(size, device=pixels.device) * 2 + 1) / size - 1
    grid = pixels.new_empty(len(pixels), size, size, 2)
    for axis in range(2):
        across = matrices[:, axis, 0, None] * steps
        down = matrices[:, axis, 1, None] * steps + matrices[:, axis, 2, None]
        torch.add(across[:, None, :], down[:, :, None], out=grid[..., axis])
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def colour_changes(draws: Tensor, recipe: AugmentRecipe, mean: Triple, std: Triple) -> Tensor:
    """Turn draws into colour maps (N, 3, 7) of RGB, normalisation included.

    In order: brightness b (x -> b x), contrast c (towards the mean grey), saturation s (towards each pixel's grey)
    and hue (a rotation of the I-Q plane). The last two leave greys alone, so what contrast adds passes unchanged.
    """
    limits = torch.tensor([recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue], dtype=torch.float64)
    changes = (2 * draws.double() - 1) * limits
    brightness, contrast, saturation = (1 + changes[:, :3]).unbind(1)
    scale = (brightness * contrast).view(-1, 1, 1)
    grey = LUMA.expand(3, 3)
    saturate = grey + saturation.view(-1, 1, 1) * (torch.eye(3, dtype=torch.float64) - grey)
    cosine, sine = torch.cos(2 * math.pi * changes[:, 3]), torch.sin(2 * math.pi * changes[:, 3])
    turn = torch.eye(3, dtype=torch.float64).repeat(len(draws), 1, 1)
    turn[:, 1, 1], turn[:, 1, 2], turn[:, 2, 1], turn[:, 2, 2] = cosine, -sine, sine, cosine
    matrices = scale * (RGB @ turn @ YIQ @ saturate)
    return colour_map(matrices, (1 - contrast) * brightness, mean, std)


def colour_map(matrices: Tensor, grey_shares: Tensor, mean: Triple, std: Triple) -> Tensor:
    """Write x -> matrix x + share * grey of the mean colour m, then normalised, as A x + B m + c.

    Returns A, B and c side by side: a GPU waits as long for every transfer of a few numbers.
    """
    spread = 255 * torch.tensor(std, dtype=torch.float64)[:, None]
    of_pixel = matrices.expand(len(grey_shares), 3, 3) / spread
    of_mean = grey_shares.double()[:, None, None] * LUMA / spread
    constant = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
    return torch.cat([of_pixel, of_mean, constant[:, None].expand(len(grey_shares), 3, 1)], dim=2).float()


def recolour(pixels: Tensor, maps: Tensor) -> Tensor:
    """Apply one colour map, or one per image, to images (N, 3, H, W) of 0 to 255, in one batched product."""
    maps = maps.to(pixels.device).expand(len(pixels), 3, 7)
    added = maps[:, :, 3:6] @ pixels.mean(dim=(2, 3))[:, :, None] + maps[:, :, 6:]
    return torch.baddbmm(added, maps[:, :, :3], pixels.flatten(2)).view_as(pixels)


def blurred(pixels: Tensor, draws: Tensor, probability: float) -> Tensor:
    """Blur a share of the images, by up to the binomial filter 1-2-1 in both directions (sigma 0.7 pixels)."""
    strength = torch.where(draws[:, 0] < probability, draws[:, 1], 0.0).to(pixels.device).view(-1, 1, 1, 1)
    tap = torch.tensor([0.25, 0.5, 0.25], device=pixels.device)
    kernel = torch.outer(tap, tap).expand(3, 1, 3, 3)
    padded = functional.pad(pixels, (1, 1, 1, 1), mode="reflect")
    return torch.lerp(pixels, functional.conv2d(padded, kernel, groups=3), strength)


def noisy(pixels: Tensor, draws: Tensor, largest: float, std: Triple) -> Tensor:
    """Add Gaussian noise of a deviation drawn for each image, up to `largest` of white; its two draws name it."""
    noise = torch.empty_like(pixels)
    for image, (deviation, name) in zip(noise, draws.double().tolist(), strict=True):
        drawn = torch.Generator(pixels.device).manual_seed(int(name * 2**53))
        image.normal_(0.0, largest * deviation, generator=drawn)
    return pixels + noise / torch.tensor(std, device=pixels.device).view(3, 1, 1)


def cut_out(pixels: Tensor, draws: Tensor, probability: float, mean: Triple, std: Triple) -> Tensor:
    """Cover a share of the images by one square of the mean colour, a tenth to a third of the side."""
    half = torch.where(draws[:, 0] < probability, between(draws[:, 1], 0.05, 0.17), -1.0).to(pixels.device)
    places = (torch.arange(pixels.shape[2], device=pixels.device) + 0.5) / pixels.shape[2]
    centre = draws[:, 2:4].to(pixels.device)
    column = (places - centre[:, 0, None]).abs() < half[:, None]
    row = (places - centre[:, 1, None]).abs() < half[:, None]
    grey = (torch.tensor(IMAGENET_MEAN) - torch.tensor(mean)) / torch.tensor(std)
    covered = row[:, None, :, None] & column[:, None, None, :]
    return torch.where(covered, grey.to(pixels.device).view(3, 1, 1), pixels)


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Stretch draws from [0, 1) to [low, high)."""
    return low + (high - low) * draws
