from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.redaction import recorded
from nsfwscan.sources.remote.url import encoded, is_url, parse_url

KEYS = st.text(min_size=1, max_size=30)
SECRETS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=20)


@given(st.sampled_from(("s3", "gs", "az")), KEYS)
def test_the_url_of_any_key_names_that_key(scheme: str, key: str) -> None:
    url = f"{scheme}://bucket/{key}"
    parsed = parse_url(url)
    assert is_url(url)
    assert (parsed.scheme, parsed.root, parsed.bucket) == (scheme, f"{scheme}://bucket", "bucket")
    assert parsed.key == key
    assert parsed.location == parsed.whole == url


@given(SECRETS, SECRETS, SECRETS)
def test_credentials_of_a_web_address_are_not_recorded(user: str, word: str, sign: str) -> None:
    url = f"https://{user}:{word}@example.org:8443/a/b%20c.jpg?X-Amz-Signature={sign}#{sign}"
    assert parse_url(url).location == "https://example.org:8443/a/b%20c.jpg"
    assert parse_url(url).whole == url


def test_what_is_no_url_stays_as_it_is() -> None:
    for path in ("photos", "./a?b=c", "c:/a", "a:b//c", "/x/https://y", "s3:/bucket/a"):
        assert not is_url(path)
        assert recorded(path) == path


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/a.jpg", "such URLs are not read"),
        ("file:///a.jpg", "such URLs are not read"),
        ("s3://", "names no bucket"),
        ("s3:///key", "names no bucket"),
        ("https:///a.jpg", "names no host"),
        ("http://[::1/x.jpg", "no valid web address"),
        ("http://host:99999/x.jpg", "no valid web address"),
        ("http://host:port/x.jpg", "no valid web address"),
    ],
)
def test_other_urls_are_refused(url: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        parse_url(url)
    assert caught.value.reason is Reason.NOT_FOUND


def test_links_are_valid_and_run_nothing() -> None:
    assert encoded("s3://bucket/a b%20#?ü.jpg") == "s3://bucket/a%20b%2520%23%3F%C3%BC.jpg"
    assert encoded("https://example.org/a%20b.jpg") == "https://example.org/a%20b.jpg"
    assert encoded("javascript://%0aalert(1)") == "about:blank"


@given(st.sampled_from(("http://", "https://", " http://[", "s3://", "x://")), st.text())
def test_a_malformed_url_raises_nothing_else(start: str, rest: str) -> None:
    with suppress(SourceError):
        assert parse_url(start + rest).whole in start + rest


def test_white_space_before_a_url_and_after_a_web_address_is_no_part_of_it() -> None:
    assert is_url("\t http://host/a")
    assert parse_url(" http://host/a \n").whole == "http://host/a"
    assert parse_url(" s3://bucket/a ").key == "a "
