import pytest
from labelled import Collection, Labelled, make_labelled, with_backbone


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """Make a small labelled store."""
    return make_labelled(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="session")
def collection(labelled: Labelled) -> Collection:
    """Add a backbone to the labelled store."""
    return with_backbone(labelled, labelled.store.with_name("backbone"))
