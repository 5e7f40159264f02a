import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # Tests run side by side; more threads each only make them wait for one another.
    torch.set_num_threads(1)
