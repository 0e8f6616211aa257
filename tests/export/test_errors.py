import inspect

import pytest

from nsfwexport import errors
from nsfwscan import NsfwScanError


@pytest.mark.parametrize(
    "error", [value for _, value in inspect.getmembers(errors, inspect.isclass)]
)
def test_errors_share_the_base_class_that_command_lines_catch(error: type[Exception]) -> None:
    assert issubclass(error, NsfwScanError)
    assert error.__doc__
