import pytest
from labelled import Collection, make_collection


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Make a small labelled store."""
    return make_collection(tmp_path_factory.mktemp("collection"))
