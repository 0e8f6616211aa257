from nsfwscan import NsfwScanError
from nsfwtrain.errors import LabelError, StoreError


def test_errors_are_of_the_family_that_command_lines_catch() -> None:
    assert issubclass(LabelError, NsfwScanError)
    assert issubclass(StoreError, NsfwScanError)
