import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.dataset import ROOT_VARIABLE
from fl_backdoor.data.mnist5k import Mnist5k


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def cifar_cache(data_root, tmp_path_factory):
    """A cache into which CIFAR-10 has been decoded from parquet, once for all tests."""
    if not (data_root / "cifar10").is_dir():
        pytest.skip(f"no cifar10 in {data_root}")
    cache = tmp_path_factory.mktemp("cache")
    Cifar10(root=str(data_root), cache=str(cache), download=False).load()
    return cache


@pytest.fixture(scope="session")
def cifar(data_root, cifar_cache):
    return Cifar10(root=str(data_root), cache=str(cifar_cache), download=False).load()


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory):
    """A cache into which the 5,000 digits have been decoded, once for all tests."""
    cache = tmp_path_factory.mktemp("cache")
    Mnist5k(cache=str(cache)).load()
    return cache


@pytest.fixture
def unnamed_root(monkeypatch, tmp_path):
    """A working folder without data, and nothing in the environment that names another."""
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def served(tmp_path):
    """A folder, and the address under which a web server on this machine offers it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_url():
    """An address of this machine at which nobody answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}/file"
