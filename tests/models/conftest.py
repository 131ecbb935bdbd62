import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Steps as small as those of tests take longer on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
