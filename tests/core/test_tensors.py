import warnings

import numpy as np
import torch

from fl_backdoor.core.tensors import as_array, as_tensor


def test_a_tensor_shares_the_arrays_memory():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = as_tensor(array)
    array[0, 0] = 7
    assert tensor.tolist() == [[7, 1, 2], [3, 4, 5]]


def test_a_read_only_array_is_taken_without_a_warning():
    array = np.arange(3)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_tensor(array).tolist() == [0, 1, 2]


def test_an_array_is_a_contiguous_copy_whatever_the_tensors_memory_format():
    tensor = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    array = as_array(tensor)
    assert array.flags.c_contiguous
    assert array.tolist() == tensor.tolist()
    array[0, 0, 0, 0] = -1
    assert tensor[0, 0, 0, 0] == 0
    assert as_array(torch.tensor(3)).shape == ()
