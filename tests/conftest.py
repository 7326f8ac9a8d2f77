"""Check every shape that a signature promises, for the whole test run (jaxtyping with beartype); what several tests share."""

import matplotlib.pyplot as plt
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


@pytest.fixture
def headless():
    """Figures in our style, without a screen, and closed again."""
    from dicp import plot

    plt.switch_backend("agg")
    plot.style()
    yield
    plt.close("all")
