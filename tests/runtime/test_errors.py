import inspect
import pickle

import pytest

from nsfwscan import errors
from nsfwscan.errors import REASONS, ImageError, NsfwScanError, Reason


@pytest.mark.parametrize(
    "error",
    [
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if "Error" in value.__name__
    ],
)
def test_every_error_is_in_the_hierarchy_and_documented(error: type[Exception]) -> None:
    assert issubclass(error, NsfwScanError)
    assert error.__name__ in str(errors.__doc__)


def test_every_reason_has_a_meaning() -> None:
    assert set(REASONS) == set(Reason)


def test_an_image_error_has_a_word_and_a_sentence() -> None:
    error = ImageError(Reason.TRUNCATED, "it ends")
    assert (error.reason, error.detail, str(error)) == (
        "truncated",
        "it ends",
        "truncated: it ends",
    )


def test_the_error_of_an_image_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(ImageError(Reason.CORRUPT, "its data is damaged")))
    assert type(error) is ImageError
    assert (error.reason, error.detail) == (Reason.CORRUPT, "its data is damaged")
