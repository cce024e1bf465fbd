"""The bytes of one HDF5 data set, read only when that can do no harm: nothing outside the file, nothing that grows.

HDF5 unpacks compressed chunks without an upper limit, whatever size the data set states; so chunks are taken as they
are stored and unpacked here. Which data set is asked for is the business of `data.images.sources`.
"""

import math
import os
import zlib
from typing import Any

import numpy as np

from data.errors import DataError

MAX_ENCODED_BYTES = 2**28
"""No image of a lesion takes 256 MiB; a data set that claims to is refused before memory is set aside for it."""
MAX_CHUNKS = 2**16
"""HDF5's own choice is chunks of 8 KiB and more; one byte in each would only take time."""


def read_dataset(dataset: Any, name: str, descriptor: int | None = None) -> bytes:
    """The bytes of an open data set, once its type, size and storage are known to be harmless.

    `descriptor` is the open file's own: bytes that lie in one piece are taken from it directly, which costs less than
    half of asking HDF5 for them and does not hold Python's lock.
    """
    from h5py import h5d, h5s, h5t

    kind, shape = dataset.get_type(), dataset.shape
    scalar_bytes = shape == () and isinstance(kind, h5t.TypeStringID | h5t.TypeOpaqueID)
    # An empty data space has no shape at all.
    array_bytes = shape is not None and len(shape) == 1 and isinstance(kind, h5t.TypeIntegerID) and kind.get_size() == 1
    if not (scalar_bytes or array_bytes):
        raise DataError(f"{name} is not an image: expected one string of bytes, found {dataset.dtype}, shape {shape}")
    variable = isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()
    size = 0 if variable else math.prod(shape) * kind.get_size()
    refuse_too_large(size, f"{name} claims")
    # Only bytes in one piece within this file have a place.
    if descriptor is not None and not variable and (place := dataset.get_offset()) is not None:
        data = os.pread(descriptor, size, place)
        if len(data) < size:
            raise DataError(f"{name} is damaged: the file ends after {len(data):,} of its {size:,} bytes")
        return data
    layout = dataset.get_create_plist()
    if layout.get_layout() == h5d.VIRTUAL or layout.get_external_count() > 0:
        raise DataError(f"{name} keeps its bytes in another file, which is not followed")
    if layout.get_layout() == h5d.CHUNKED:
        return unpacked(dataset, size, name)
    if variable:
        value: Any = np.empty((), dtype=object)
        dataset.read(h5s.ALL, h5s.ALL, value)
        text: Any = value[()]
        return text if isinstance(text, bytes) else str(text).encode()
    buffer = np.empty(shape, dtype=f"V{kind.get_size()}" if scalar_bytes else np.uint8)
    if scalar_bytes:
        # Read as raw memory of the stored type: numpy's own byte strings lose trailing zeros, which may be pixels.
        dataset.read(h5s.ALL, h5s.ALL, buffer, kind)
    else:
        dataset.read(h5s.ALL, h5s.ALL, buffer)
    return buffer.tobytes()


def unpacked(dataset: Any, size: int, name: str) -> bytes:
    """The bytes of a row of chunks, each stored plainly or by gzip."""
    from h5py import h5z

    layout = dataset.get_create_plist()
    filters = [layout.get_filter(i)[0] for i in range(layout.get_nfilters())]
    if filters not in ([], [h5z.FILTER_DEFLATE]):
        raise DataError(f"{name} is packed by HDF5 filters {filters}; gzip alone is read. Store the image as it is")
    (chunk,) = layout.get_chunk()
    refuse_too_large(chunk, f"{name} has a chunk of")
    if size > chunk * MAX_CHUNKS:
        raise DataError(f"{name} lies in {-(-size // chunk):,} chunks, too many for one image")
    whole = bytearray()
    for start in range(0, size, chunk):
        stored = dataset.get_chunk_info_by_coord((start,))
        if stored.byte_offset is None:  # never written
            whole += bytes(chunk)
            continue
        refuse_too_large(stored.size, f"{name} has a stored chunk of")
        skipped, data = dataset.read_direct_chunk((start,))
        whole += data if skipped or not filters else inflated(data, chunk, name)
    if len(whole) < size:
        raise DataError(f"{name} is damaged: its chunks hold {len(whole):,} of {size:,} bytes")
    return bytes(whole[:size])


def inflated(data: bytes, chunk: int, name: str) -> bytes:
    """What gzip packed, which must be exactly one chunk."""
    packed = zlib.decompressobj()
    try:
        plain = packed.decompress(data, chunk + 1)
    except zlib.error as error:
        raise DataError(f"{name} is damaged: a chunk cannot be unpacked ({error})") from error
    if len(plain) > chunk:
        raise DataError(f"{name} unpacks to more than the {chunk:,} bytes of its chunk")
    return plain


def refuse_too_large(size: int, what: str) -> None:
    """DataError when a size is beyond any image."""
    if size > MAX_ENCODED_BYTES:
        raise DataError(f"{what} {size / 2**20:,.0f} MiB, too much for one image")
