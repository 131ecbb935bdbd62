"""Arrays as they travel, read by what the server expects and not by what the sender says.

NumPy's ``np.load`` also opens archives, makes room for whatever shape a header claims, and returns whatever
type it names. Here the header is read first, no memory is had for it, and the array is a view of the bytes
that came.
"""

from collections.abc import Collection, Sequence
from io import BytesIO

import numpy as np
from flwr.app import Array
from numpy.lib import format as npy
from numpy.typing import NDArray

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import TensorSpec
from fl_backdoor.core.types import ModelArrays

VERSION = (1, 0)
"""Of the format; NumPy writes others for headers that no tensor of a model has."""

LONGEST_HEADER = 1000
"""Characters; one of 64 axes has half of them."""


def decoded(carried: Collection[Array], expected: Sequence[TensorSpec]) -> ModelArrays:
    """Return the arrays that a record carried, read-only views of its bytes.

    Parameters
    ----------
    carried
        As they came.
    expected
        What the arrays are to be, in order.

    Raises
    ------
    ReplyError
        If they are not: another number of arrays, shape, dtype, byte order, length or format.
    Exception
        Whatever NumPy's reader makes of a header that is garbled.
    """
    if len(carried) != len(expected):
        raise ReplyError(f"{len(carried)} tensors instead of {len(expected)}")
    return [_decoded(array, tensor) for array, tensor in zip(carried, expected, strict=True)]


def _decoded(array: Array, tensor: TensorSpec) -> NDArray[np.generic]:
    if array.stype != "numpy.ndarray":
        raise ReplyError(f"{tensor.name} is serialised as {array.stype}, not as numpy.ndarray")
    stream = BytesIO(array.data)
    if npy.read_magic(stream) != VERSION:
        raise ReplyError(f"{tensor.name} is no .npy file of version {VERSION}")
    shape, is_fortran, dtype = npy.read_array_header_1_0(stream, max_header_size=LONGEST_HEADER)
    tensor.require(shape, dtype)
    start = stream.tell()
    if len(array.data) - start != tensor.num_bytes:
        raise ReplyError(f"{tensor.name} has {len(array.data) - start} bytes, not {tensor.num_bytes}")
    return np.ndarray(tensor.shape, tensor.dtype, array.data, start, order="F" if is_fortran else "C")
