import importlib

import pytest

from nsfwexport import errors
from nsfwexport.errors import MissingExtraError, needing_extra
from nsfwscan import NsfwScanError


@pytest.mark.parametrize(
    "error",
    [errors.CalibrationError, errors.ConversionError, MissingExtraError, errors.ParityError],
)
def test_errors_are_of_the_family_that_command_lines_catch(error: type[Exception]) -> None:
    assert issubclass(error, NsfwScanError)
    assert error.__doc__


def test_a_package_that_is_missing_is_named_with_its_extra() -> None:
    with (
        pytest.raises(MissingExtraError, match=r'convert needs gone, .* "nsfwscan\[cpu,export\]"'),
        needing_extra("convert"),
    ):
        importlib.import_module("gone.deeper")
