"""Check every shape that a signature promises, for the whole test run (jaxtyping with beartype); what several tests share."""

import pytest
import torch
from jaxtyping import install_import_hook

hook = install_import_hook("dicp", "typechecking.check")


@pytest.fixture
def one_thread():
    """PyTorch on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
