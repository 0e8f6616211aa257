import inspect

import pytest

from nsfwscan import NsfwScanError
from nsfwtrain import errors


@pytest.mark.parametrize(
    "error", [value for _, value in inspect.getmembers(errors, inspect.isclass)]
)
def test_each_error_is_an_nsfwscan_error(error: type[Exception]) -> None:
    assert issubclass(error, NsfwScanError)
    assert error.__doc__
