import pytest
from stores import BUCKET, Server, environment

from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.store import Limits
from nsfwscan.sources.remote.web import Web

HEADERS = "X: y\r\n" * 200


def redirect(to: str) -> str:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (redirect("a.jpg"), "the server redirects more than 5 times"),
        (redirect("s3://b/k"), "redirects to a URL that begins with s3:, which is not read"),
        (redirect("file:///etc/passwd"), "redirects to a URL without a host, which is not read"),
        (redirect("http://[::1/x"), "no valid web address, or the server redirects to none"),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip",
            "not encoded as the server says",
        ),
        (f"HTTP/1.1 200 OK\r\nX: {'y' * 70_000}\r\n\r\n", "a line that is too long"),
        (f"HTTP/1.1 200 OK\r\n{HEADERS}\r\n", "no valid HTTP"),
    ],
    ids=["loop", "s3", "file", "malformed", "gzip", "long", "many"],
)
def test_an_answer_that_cannot_be_used_says_why(
    monkeypatch: pytest.MonkeyPatch, answer: str, said: str
) -> None:
    with Server({"a.jpg": b"x"}, {"a.jpg": [answer] * 9}) as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        with (
            pytest.raises(SourceError, match=said) as caught,
            Web(Limits(5)).open(f"{server.url}/{BUCKET}/a.jpg") as stream,
        ):
            stream.read(9)
    assert not caught.value.passing
