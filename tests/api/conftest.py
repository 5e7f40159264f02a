import pytest

import palpate
from tests.api import small


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The folder of the images, the plan as a dict, and its run."""
    place = tmp_path_factory.mktemp("audit") / "tiny"
    plan = small.folder(place)
    return place, plan, palpate.audit(plan, place / "run", root=place)
