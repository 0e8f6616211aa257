import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.sources.remote.redaction import recorded

SECRETS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=20)
STARTS = ("http://", " https://", "HTTP://", "http:/", "http:///", "ftp://", "x-y://")


@given(st.sampled_from(STARTS), SECRETS, SECRETS, st.sampled_from(("", "/", "/x/", "@", ":")))
def test_credentials_of_anything_like_a_url_are_left_out(
    start: str, user: str, word: str, odd: str
) -> None:
    said = recorded(f"{start}{user}:x{odd}{word}@host/a.jpg?{word}#{word}")
    assert said == f"{start.strip()}host/a.jpg"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://u:pw@bucket/set", "s3://bucket/set"),
        ("s3://u:p/w@bucket/set", "s3://bucket/set"),
        ("http://host:80/icon@2x.png", "http://host:80/icon@2x.png"),
        ("http://[::1]:80/icon@2x.png", "http://[::1]:80/icon@2x.png"),
        ("http://user@host", "http://host"),
        ("https://[broken/?secret", "https://[broken/"),
        (" http://host/a b ", "http://host/a b"),
    ],
)
def test_only_credentials_are_left_out(path: str, said: str) -> None:
    assert recorded(path) == said


def test_keys_and_paths_stay_as_they_are() -> None:
    for path in (
        "s3://bucket/a@b:c?d#e", "s3://bucket/http://u:p@h?x ", "gs://bucket/a@2x.png", "a@b:c/d",
        "c:/a@b?c", "/x/https://u:p@y", "photos/http: x@y",
    ):  # fmt: skip
        assert recorded(path) == path
