import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from data.images.decode import DecodeError, decode, pixels, resize

MakeJpeg = Callable[..., bytes]


def encoded(array: np.ndarray, form: str, mode: str | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(out, form, **options)
    return out.getvalue()


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, 128 + 0 * x], axis=-1).astype(np.uint8)


def test_jpeg_equals_pillow_to_rounding(make_jpeg: MakeJpeg) -> None:
    for seed, (width, height) in enumerate([(61, 61), (131, 131), (200, 90), (7, 300)]):
        data = make_jpeg(seed, width, height)
        ours, theirs = pixels(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert ours.shape == theirs.shape == (height, width, 3)
        assert np.abs(ours.astype(int) - theirs).max() <= 3


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_lossless_formats_are_exact(form: str) -> None:
    np.testing.assert_array_equal(pixels(encoded(smooth(), form)), smooth())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_exif_orientation_is_undone_as_pillow_does(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smooth(), form, exif=exif, **({"quality": 95, "subsampling": 0} if form == "JPEG" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    ours = pixels(data)
    assert ours.shape == expected.shape
    assert np.abs(ours.astype(int) - expected).max() <= 3


def test_grey_cmyk_palette_and_sixteen_bits_become_rgb() -> None:
    grey = smooth()[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(pixels(encoded(grey, "PNG")), expected)
    assert np.abs(pixels(encoded(grey, "JPEG", quality=95)).astype(int) - expected).max() <= 4
    np.testing.assert_array_equal(pixels(encoded(grey.astype(np.uint16) * 257, "PNG")), expected)
    np.testing.assert_array_equal(pixels(encoded(smooth(), "PNG", "P")).shape, (24, 32, 3))
    cmyk = pixels(encoded(smooth(), "JPEG", "CMYK", quality=95))
    assert np.abs(cmyk.astype(int) - smooth()).mean() < 4


def test_transparent_pixels_lie_on_white() -> None:
    image = np.dstack([smooth(), np.full((24, 32), 255, np.uint8)])
    image[:12, :, 3] = 0
    seen = pixels(encoded(image, "PNG"))
    assert (seen[:12] == 255).all()
    np.testing.assert_array_equal(seen[12:], smooth()[12:])


def test_one_pixel() -> None:
    data = encoded(np.array([[[10, 200, 30]]], np.uint8), "PNG")
    np.testing.assert_array_equal(decode(data, 8), np.broadcast_to(np.array([10, 200, 30], np.uint8), (8, 8, 3)))


def test_shrinking_averages_and_enlarging_interpolates() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    fine = np.repeat(board.astype(np.uint8)[..., None], 3, axis=2)
    # Picking pixels, as plain interpolation does, would give black or white here.
    assert set(np.unique(resize(fine, 16))) <= {127, 128}
    exact = smooth(64, 64).reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize(smooth(64, 64), 16) - exact).max() <= 1
    ramp = resize(smooth(8, 8), 64)[..., 0].astype(int)
    assert (np.diff(ramp, axis=1) >= 0).all()
    tall = resize(smooth(300, 20), 60)
    assert tall.shape == (60, 60, 3)
    same = smooth(50, 50)
    np.testing.assert_array_equal(resize(same, 50), same)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (20, 9), (9, 20), (16, 16)])
def test_resizing_into_a_given_array_fills_that_array(shape: tuple[int, int]) -> None:
    block = np.zeros((2, 16, 16, 3), np.uint8)
    found = resize(smooth(*shape), 16, block[1])
    assert np.shares_memory(found, block)
    np.testing.assert_array_equal(block[1], resize(smooth(*shape), 16))
    assert not block[0].any()


def test_large_jpegs_keep_their_look_when_decoded_at_a_fraction() -> None:
    data = encoded(smooth(900, 1200), "JPEG", quality=95)
    whole = resize(pixels(data), 100)
    assert max(pixels(data, at_least=200).shape) < 1200
    assert np.abs(decode(data, 100).astype(int) - whole).max() <= 4


def test_same_bytes_same_pixels(make_jpeg: MakeJpeg) -> None:
    data = make_jpeg(3, 131)
    np.testing.assert_array_equal(decode(data, 224), decode(data, 224))


def test_jpeg_cut_anywhere_is_an_error(make_jpeg: MakeJpeg) -> None:
    data = make_jpeg(0, 120)
    for share in (0.1, 0.3, 0.5, 0.8, 0.95):
        cut = data[: int(len(data) * share)]
        for damaged in (cut, cut + b"\xff\xd9"):
            with pytest.raises(DecodeError, match="damaged"):
                decode(damaged, 32)


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_other_formats_cut_anywhere_are_an_error(form: str) -> None:
    data = encoded(smooth(), form)
    for end in (9, 20, 40, len(data) // 2, len(data) - 40):
        with pytest.raises(DecodeError):
            decode(data[:end], 32)


def test_cmyk_jpeg_cut_in_half_is_an_error() -> None:
    data = encoded(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), "JPEG", "CMYK")
    with pytest.raises(DecodeError, match="damaged"):
        decode(data[: len(data) // 2], 32)


def test_padding_before_the_end_mark_is_harmless(make_jpeg: MakeJpeg) -> None:
    data = make_jpeg(1, 50)
    padded = data[:-2] + b"\x12\x34\x56" + data[-2:]
    np.testing.assert_array_equal(pixels(padded), pixels(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"GIF89a...", "not a JPEG, PNG or BMP"),
        (b"%!PS-Adobe", "not a JPEG, PNG or BMP"),
        (b"<html>", "not a JPEG, PNG or BMP"),
        (b"\xff\xd8", "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"BM", "damaged"),
        (b"BM" + bytes(60), "0 x 0"),
    ],
)
def test_what_is_not_an_image_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(data, 32)


def test_bombs_are_refused_from_their_header() -> None:
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    png = b"\x89PNG\r\n\x1a\n" + chunk
    bmp = b"BM" + bytes(12) + struct.pack("<Iii", 40, 10_000, -10_000) + bytes(30)
    small = bytearray(encoded(smooth(), "JPEG"))
    frame = small.index(b"\xff\xc0")
    small[frame + 5 : frame + 9] = struct.pack(">HH", 10_000, 10_000)
    for data in (png, bmp, bytes(small)):
        with pytest.raises(DecodeError, match="10,000 x 10,000"):
            decode(data, 32)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_bytes_decode_or_raise_decode_error(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["JPEG", "PNG", "BMP"]))
    whole = bytearray(encoded(smooth(), form))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(2, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(whole), 16)
    except DecodeError:
        return
    assert image.shape == (16, 16, 3)
    assert image.dtype == np.uint8
