"""Pictures of synthetic lesions: a 15 mm field of skin around each, drawn from the lesion's columns and what they hide.

A picture depends on its `LOOK` record alone, so that any process can draw any lesion, again and in any order.
Colours are mixed in Lab, in mm on the skin, and sampled at the side length of the tile.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from data.synthetic.isic2024.facts import facts
from data.synthetic.isic2024.lesions import Lesions
from data.synthetic.isic2024.patients import Patients

Canvas = npt.NDArray[np.float32]

FIELD_MM = 15.0
"""Side of the skin square on every published tile, whatever its pixels."""

JPEG_QUALITY = 80

PIGMENT = np.array([-1.0, 0.25, 0.40], dtype=np.float32)
"""Direction in Lab that more melanin moves skin in: darker and browner."""

BLOOD = np.array([-0.45, 0.90, 0.15], dtype=np.float32)
"""Direction in Lab that more blood moves skin in: redder."""

_LOBES = np.array([1, 3, 2, 4, 5, 7, 9])
_DIRECTIONS = np.linspace(-np.pi, np.pi, 720, endpoint=False)

MEASURED = {
    "diameter_mm": "clin_size_long_diam_mm",
    "minor_mm": "tbp_lv_minorAxisMM",
    "border": "tbp_lv_norm_border",
    "asymmetry": "tbp_lv_symm_2axis",
    "skin_L": "tbp_lv_Lext",
    "skin_A": "tbp_lv_Aext",
    "skin_B": "tbp_lv_Bext",
    "delta_L": "tbp_lv_deltaL",
    "delta_A": "tbp_lv_deltaA",
    "delta_B": "tbp_lv_deltaB",
    "colour_spread": "tbp_lv_color_std_mean",
    "light_spread": "tbp_lv_stdL",
    "skin_spread": "tbp_lv_stdLExt",
    "angle_deg": "tbp_lv_symm_2axis_angle",
}
"""Fields of a look that are columns of the table."""

LOOK = np.dtype(
    [("seed", np.uint64), ("side", np.int32)]
    + [(name, np.float32) for name in (*MEASURED, "atypia", "hair", "tint_A", "tint_B", "white_light")]
)


def looks_of(patients: Patients, lesions: Lesions, rng: np.random.Generator) -> npt.NDArray[np.void]:
    """All that the pictures of these lesions depend on, one record each."""
    look = np.zeros(lesions.kind.size, dtype=LOOK)
    row = patients.of_lesion
    look["seed"] = rng.integers(0, 2**63, row.size, dtype=np.uint64)
    # Tiles are odd: the lesion's centre has a pixel. The camera's distance, not the lesion, sets their side.
    levels = np.array([0.0, 0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99, 1.0])
    side = np.interp(rng.random(row.size), levels, facts()["image_side_px"])
    look["side"] = 2 * np.round((side - 1) / 2).astype(np.int32) + 1
    for name, column in MEASURED.items():
        look[name] = lesions.columns[column]
    look["atypia"] = lesions.atypia
    look["hair"] = patients.hair[row]
    look["tint_A"], look["tint_B"] = patients.tint[row].T
    look["white_light"] = ~patients.cross_polarised[row]
    return look


def render(look: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Draw one look: the RGB tile and the mask of the lesion's true outline."""
    rng = np.random.Generator(np.random.PCG64(int(look["seed"])))
    side = int(look["side"])
    lab = _skin(look, side, rng)
    mask = _add_lesion(lab, look, side, rng)
    _add_spots(lab, side, rng)
    _add_hairs(lab, float(look["hair"]), side, rng)
    return _photograph(lab, look, rng), mask


def encode(look: Any) -> bytes:
    """JPEG of one look."""
    return bytes(
        simplejpeg.encode_jpeg(render(look)[0], quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420")
    )


@lru_cache(maxsize=128)
def _grid(side: int) -> tuple[Canvas, Canvas]:
    """Millimetres right and down from the centre, for every pixel."""
    step = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) * np.float32(FIELD_MM)
    across, down = np.meshgrid(step, step)
    return across.astype(np.float32), down.astype(np.float32)


def _clouds(cells: int, side: int, rng: np.random.Generator) -> Canvas:
    """Smooth noise of about unit variance: random values on a coarse lattice, spread to the tile."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth * np.float32(1.3), dtype=np.float32)


def _furrows(side: int, rng: np.random.Generator) -> Canvas:
    """Noise drawn out along one direction, the fine lines of skin."""
    coarse = rng.standard_normal((40, 18), dtype=np.float32)
    turn, step = rng.uniform(0.0, np.pi), side / 26.0
    across = np.array([np.cos(turn), np.sin(turn)]) / (2.2 * step)
    down = np.array([-np.sin(turn), np.cos(turn)]) / (0.9 * step)
    start = np.array([8.5, 19.5]) - np.array([across.sum(), down.sum()]) * side / 2
    matrix = np.column_stack([np.vstack([across, down]), start])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(coarse, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101), dtype=np.float32
    )


def _skin(look: Any, side: int, rng: np.random.Generator) -> Canvas:
    """The skin around: its colour, uneven light, blotches of pigment and blood, fine lines."""
    lab = np.empty((side, side, 3), dtype=np.float32)
    lab[...] = (look["skin_L"], look["skin_A"], look["skin_B"])
    uneven = np.float32(min(float(look["skin_spread"]), 5.0))
    lab += (np.float32(0.45) * uneven * _clouds(13, side, rng))[..., None] * PIGMENT
    lab += (np.float32(0.45) * uneven * _clouds(9, side, rng))[..., None] * BLOOD
    light = np.float32(0.5) * uneven * _clouds(4, side, rng) + np.float32(0.75) * uneven * _furrows(side, rng)
    light += np.float32(0.35) * uneven * _clouds(max(side // 3, 8), side, rng)
    across, down = _grid(side)
    slope = rng.normal(0.0, 0.3, 2)
    lab[..., 0] += light + np.float32(slope[0]) * across + np.float32(slope[1]) * down
    return lab


def _outline(look: Any, across: Canvas, down: Canvas, rng: np.random.Generator) -> Canvas:
    """Distance inside the outline in mm (negative outside): an ellipse with lobes, more of them on a ragged border."""
    turn = np.deg2rad(float(look["angle_deg"]))
    u = (across * np.cos(turn) + down * np.sin(turn)) / np.float32(look["diameter_mm"] / 2)
    v = (down * np.cos(turn) - across * np.sin(turn)) / np.float32(look["minor_mm"] / 2)
    phases = rng.uniform(0.0, 2 * np.pi, len(_LOBES))
    heights = np.clip(rng.standard_normal(len(_LOBES)), -2.0, 2.0)
    # Lobes of odd, low order make a lesion lopsided; the others make its border ragged.
    heights *= np.where(_LOBES % 2 * (_LOBES < 5), 0.16 * float(look["asymmetry"]), 0.014 * float(look["border"]))
    edge = 1 + np.cos(np.outer(_DIRECTIONS, _LOBES) + phases) @ heights
    turned = (np.arctan2(v, u) + np.float32(np.pi)) * np.float32(_DIRECTIONS.size / (2 * np.pi))
    edge = edge.astype(np.float32)[np.minimum(turned.astype(np.intp), _DIRECTIONS.size - 1)]
    radius = np.float32((look["diameter_mm"] + look["minor_mm"]) / 4)
    return np.asarray((edge - np.hypot(u, v)) * radius, dtype=np.float32)


def _add_lesion(lab: Canvas, look: Any, side: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Paint the lesion into the middle of the skin and give its mask."""
    reach = 0.7 * float(look["diameter_mm"]) + 2.5
    half = min(side // 2, int(np.ceil(reach / FIELD_MM * side)))
    window = slice(side // 2 - half, side // 2 + half + 1)
    across, down = (axis[window, window] for axis in _grid(side))
    inside = _outline(look, across, down, rng)
    edge_mm = rng.uniform(0.07, 0.20) + 0.02 * float(look["diameter_mm"])
    cover = 1 / (1 + np.exp(np.clip(-inside / np.float32(edge_mm), -30, 30)))
    depth = np.clip(inside / np.float32(look["minor_mm"] / 2), 0.0, 1.0)
    here = lab[window, window]
    delta = np.array([look["delta_L"], look["delta_A"], look["delta_B"]], dtype=np.float32)
    here += (cover * (1.0 + 0.35 * depth))[..., None] * (delta * np.array([1.1, 0.8, 1.0], dtype=np.float32))
    size = here.shape[0]
    light, colour = np.float32(look["light_spread"]), np.float32(look["colour_spread"])
    cells = max(5, size // 8)
    here += (np.float32(0.55) * light * cover * _clouds(cells, size, rng))[..., None] * PIGMENT
    here += (np.float32(1.0) * colour * cover * _clouds(cells, size, rng))[..., None] * BLOOD
    here[..., 2] += np.float32(1.0) * colour * cover * _clouds(cells, size, rng)
    _add_atypia(here, look, inside, cover, across, down, rng)
    mask = np.zeros((side, side), dtype=np.bool_)
    mask[window, window] = inside > 0
    return mask


def _add_atypia(
    here: Canvas, look: Any, inside: Canvas, cover: Canvas, across: Canvas, down: Canvas, rng: np.random.Generator
) -> None:
    """Signs that no column measures: redness around, a blue-grey area within, dots in place of a regular network."""
    sign = float(np.logaddexp(0.0, 1.6 * (float(look["atypia"]) - 0.6)) / 1.6)
    sign = 2.5 * np.tanh(sign / 2.5)
    halo = np.exp(-((np.minimum(inside, 0.0) / np.float32(1.4)) ** 2)) * (1 - cover)
    strength = np.float32(sign * rng.uniform(0.75, 1.25))
    here += (halo * strength)[..., None] * np.array([-1.5, 6.0, -1.5], dtype=np.float32)
    turn, far = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.1, 0.6)
    mm = float(look["minor_mm"]) / 2
    from_veil = np.hypot(across - np.float32(far * mm * np.cos(turn)), down - np.float32(far * mm * np.sin(turn)))
    veil = np.exp(-((from_veil / np.float32(0.65 * mm)) ** 2)) * cover
    strength = np.float32(sign * rng.uniform(0.75, 1.25))
    here += (veil * strength)[..., None] * np.array([-4.5, -1.0, -7.5], dtype=np.float32)
    pitch = np.float32(2 * np.pi / rng.uniform(0.5, 0.8))
    network = np.cos(pitch * (across + 0.5 * down)) * np.cos(pitch * (down - 0.5 * across))
    here[..., 0] -= np.float32(1.6 * np.exp(-sign)) * network * cover
    for _ in range(rng.poisson(1.5 * sign)):
        turn, far = rng.uniform(0.0, 2 * np.pi), np.sqrt(rng.uniform(0.0, 1.0)) * mm
        from_dot = (across - np.float32(far * np.cos(turn))) ** 2 + (down - np.float32(far * np.sin(turn))) ** 2
        here[..., 0] -= np.float32(7.0) * np.exp(-from_dot / np.float32(rng.uniform(0.12, 0.24) ** 2)) * cover


def _add_spots(lab: Canvas, side: int, rng: np.random.Generator) -> None:
    """Freckles, and now and then a neighbouring lesion cut off by the edge."""
    layer: Canvas = np.zeros((side, side), dtype=np.float32)
    for _ in range(rng.poisson(2.5)):
        place = rng.uniform(0, side, 2).astype(int)
        radius = max(1, int(rng.lognormal(-1.0, 0.5) / FIELD_MM * side))
        cv2.circle(layer, (int(place[0]), int(place[1])), radius, float(rng.uniform(1.0, 7.0)), -1)
    if rng.random() < 0.15:
        turn = rng.uniform(0.0, 2 * np.pi)
        centre = side / 2 * (1 + 0.95 * np.array([np.cos(turn), np.sin(turn)]))
        axes = (rng.uniform(0.8, 2.0, 2) / FIELD_MM * side).astype(int)
        cv2.ellipse(layer, centre.astype(int).tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 12.0, -1)
    if layer.any():
        blurred = cv2.GaussianBlur(layer, (0, 0), 0.2 / FIELD_MM * side)
        lab += blurred[..., None] * np.array([-1.0, 0.35, 0.2], dtype=np.float32)


def _add_hairs(lab: Canvas, expected: float, side: int, rng: np.random.Generator) -> None:
    """Thin curved strokes, mostly along one direction."""
    count = min(int(rng.poisson(expected)), 25)
    if count == 0:
        return
    layer = np.zeros((side, side), dtype=np.uint8)
    along = rng.uniform(0.0, np.pi)
    for _ in range(count):
        turn = along + rng.normal(0.0, 0.5)
        bend = turn + rng.normal(0.0, 0.35)
        start = rng.uniform(0.0, side, 2)
        length = rng.uniform(0.15, 0.5) * side
        step = np.stack([[np.cos(turn), np.sin(turn)], [np.cos(bend), np.sin(bend)]]) * length
        points = np.vstack([start, start + step[0], start + step[0] + step[1]])
        curve = np.array([[(1 - t) ** 2, 2 * t * (1 - t), t**2] for t in np.linspace(0, 1, 9)]) @ points
        cv2.polylines(layer, [np.round(curve * 8).astype(np.int32)], False, int(rng.integers(40, 150)), 1, 16, 3)
    lab[..., 0] -= layer.astype(np.float32) * np.float32(0.11)


def _photograph(lab: Canvas, look: Any, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The camera: exposure, white balance, lens and sensor; on a few tiles part of the square is blacked out."""
    light = 13.0 + float(rng.normal(0.0, 1.5))
    shift = np.array([light, look["tint_A"], look["tint_B"] - 2.5 - 3.0 * look["white_light"]], dtype=np.float32)
    seen = lab * np.array([0.90, 0.90, 0.75], dtype=np.float32) + shift
    np.clip(seen[..., 0], 2.0, 98.0, out=seen[..., 0])
    rgb = cv2.cvtColor(seen, cv2.COLOR_Lab2RGB)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 0.5)
    rgb += rng.standard_normal(rgb.shape[:2], dtype=np.float32)[..., None] * np.float32(0.012)
    tile = (np.clip(rgb, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.01:
        hidden = int(rng.uniform(0.05, 0.2) * tile.shape[0])
        tile = np.rot90(tile, int(rng.integers(0, 4))).copy()
        tile[tile.shape[0] - hidden :] = 0
    return tile
