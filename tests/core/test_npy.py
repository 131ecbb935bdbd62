"""Arrays are what the server expects, or they are refused before memory is had for them."""

import io
import resource

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import TensorSpec
from fl_backdoor.core.npy import decoded

WEIGHT = TensorSpec("weight", (2, 3), "float32", True)
SOUND = np.arange(6, dtype=np.float32).reshape(2, 3)


def saved(array, **settings):
    file = io.BytesIO()
    np.save(file, array, **settings)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    np.savez(file, a=SOUND)
    return file.getvalue()


def claimed(header, body=b"", version=1):
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + body


def described(descr="'<f4'", order="False", shape="(2, 3)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def read(data, tensor=WEIGHT, stype="numpy.ndarray"):
    return decoded([Array("float32", (2, 3), stype, data)], [tensor])[0]


@pytest.mark.parametrize(
    ("array", "tensor"),
    [
        (SOUND, WEIGHT),
        (np.asfortranarray(SOUND), WEIGHT),
        (np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::-1, 1], WEIGHT),
        (np.array(7), TensorSpec("count", (), "int64", False)),
        (np.zeros((0, 2), np.float32), TensorSpec("nothing", (0, 2), "float32", True)),
        (np.float16([1, 2]), TensorSpec("the update", (2,), "float16", True)),
        (np.array([True]), TensorSpec("mask", (1,), "bool", False)),
    ],
)
def test_what_numpy_writes_is_read(array, tensor):
    found = read(saved(array), tensor)
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(), "magic string"),
        (saved(np.array([{}], dtype=object), allow_pickle=True), r"weight has shape \(1,\)"),
        (saved(np.full((2, 3), None), allow_pickle=True), "weight has dtype object, not float32"),
        (saved(SOUND.astype(">f4")), "weight has dtype >f4, not float32"),
        (saved(SOUND.astype("c8")), "weight has dtype complex64, not float32"),
        (saved(SOUND.astype("U4")), "weight has dtype <U4, not float32"),
        (saved(SOUND.view("V4")), r"weight has dtype \|V4, not float32"),
        (saved(SOUND.view([("a", "<f4")])), r"weight has dtype \[\('a', '<f4'\)\], not float32"),
        (saved(SOUND.astype("M8[s]")), r"weight has dtype datetime64\[s\], not float32"),
        (saved(SOUND.T), r"weight has shape \(3, 2\), not \(2, 3\)"),
        (saved(np.float32(1)), r"weight has shape \(\), not \(2, 3\)"),
        (saved(SOUND)[:-1], "weight has 23 bytes, not 24"),
        (saved(SOUND) + b"x", "weight has 25 bytes, not 24"),
        (claimed(described(shape="(1000000000000,)")), r"weight has shape \(1000000000000,\)"),
        (claimed(described(), version=2, body=SOUND.tobytes()), r"no \.npy file of version \(1, 0\)"),
        (claimed(described() + " " * 2000, SOUND.tobytes()), "large"),
        (claimed("(" * 900), "."),
        (claimed(described(shape="(2, 3.0)"), SOUND.tobytes()), "shape is not valid"),
        (claimed(described(descr="'no'"), SOUND.tobytes()), "descr is not a valid dtype"),
        (b"", "EOF"),
        (b"\x80\x04N.", "EOF"),
    ],
)
def test_anything_else_is_refused(data, reason):
    with pytest.raises(Exception, match=reason):
        read(data)


def test_no_memory_is_had_for_what_a_header_claims():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    big = TensorSpec("weight", (10**9,), "float32", True)
    with pytest.raises(ReplyError, match="weight has 0 bytes, not 4000000000"):
        read(claimed(described(shape="(1000000000,)")), big)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


def test_another_number_of_arrays_is_refused():
    with pytest.raises(ReplyError, match="2 tensors instead of 1"):
        decoded([Array(SOUND), Array(SOUND)], [WEIGHT])


def test_another_serialisation_is_refused():
    with pytest.raises(ReplyError, match="serialised as torch, not as numpy"):
        read(saved(SOUND), stype="torch")


@given(st.binary(max_size=300), st.integers(0, 151))
def test_noise_is_refused_or_read_as_what_it_should_be(noise, place):
    data = bytearray(saved(SOUND))
    data[place : place + len(noise)] = noise
    try:
        found = read(bytes(data))
    except Exception:
        return
    assert (found.shape, found.dtype) == ((2, 3), np.float32)
