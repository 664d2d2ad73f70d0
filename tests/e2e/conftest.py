"""The four real hospitals, when the shared data folder lies beside the checkout."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def heart_disease():
    folder = SHARED_DATA / "heart_disease" / "sites"
    if not folder.is_dir():
        pytest.skip("the heart-disease records are not beside this checkout")
    return folder
