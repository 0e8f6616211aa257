"""Buckets of S3 and of stores that are compatible.

botocore finds the credentials and the region, and lists, because a key of S3 can be any text.
obstore reads, because it takes a tenth of the time; it cannot name a few keys, and botocore reads
those.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.utils import parse_timestamp
from obstore.store import ObjectStore, S3Store

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.deadline import Deadline
from nsfwscan.sources.remote.objects import (
    Objects,
    client_options,
    host_of,
    no_endpoint,
    retries,
    unconnected,
)
from nsfwscan.sources.remote.store import LISTING_ATTEMPTS, LISTING_PAUSES, Limits, persistently
from nsfwscan.sources.remote.stream import Details, ObjectStream, stamp_of_object
from nsfwscan.sources.remote.url import Url
from nsfwscan.sources.remote.web import Body

_CREDENTIALS_MINUTES = 5
"""How long obstore keeps credentials before it asks botocore, which renews them, again."""

_PASSING = frozenset({"SlowDown", "RequestTimeout", "Throttling", "InternalError"})
_LOG_IN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in"


class Bucket:
    """A bucket of S3.

    Parameters
    ----------
    url
        A URL in it.
    limits
        Times.

    Raises
    ------
    SourceError
        If there is no such bucket, there are no credentials, or the store does not answer.
    """

    def __init__(self, url: Url, limits: Limits) -> None:
        self._name = url.bucket
        self._limits = limits
        with _errors():
            session, self._client = _connected(url.bucket, limits)
            store = _obstore(session, self._client, url.bucket, limits, attempts=1)
        self._host = host_of(self._client.meta.endpoint_url)
        self._objects = Objects(store, store, limits, self._host)

    def list(self, prefix: str, /) -> Iterator[Details]:
        """Yield the objects whose keys begin with a prefix, page by page."""
        more = {"Prefix": prefix}
        while True:
            ask = partial(self._client.list_objects_v2, Bucket=self._name, **more)
            page = _answer(ask, self._limits, self._host)
            for one in page.get("Contents", ()):
                size = one["Size"]
                stamp = stamp_of_object(one.get("ETag"), size)
                yield Details(one["Key"], size, one["LastModified"], stamp)
            if not page.get("IsTruncated") or not page.get("NextContinuationToken"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def look(self, key: str) -> Details:
        """Ask for what is known of an object."""
        ask = partial(self._client.head_object, Bucket=self._name, Key=key)
        return _details(key, _answer(ask, self._limits, self._host))

    def open(self, key: str) -> ObjectStream:
        """Ask for an object."""
        if _has_name(key):
            return self._objects.open(key)
        deadline = Deadline(self._limits.total)
        ask = partial(self._client.get_object, Bucket=self._name, Key=key)
        with _errors(self._host):
            answer = deadline.wait(ask)
        body = Body(answer["Body"]._raw_stream)  # noqa: SLF001 - a deadline needs its connection
        return ObjectStream(body, _details(key, answer), deadline.wait)


def store_below(url: Url, limits: Limits) -> ObjectStore:
    """Open what lies below a URL with obstore.

    Raises
    ------
    SourceError
        As `Bucket`.
    """
    with _errors():
        session, client = _connected(url.bucket, limits)
        return _obstore(session, client, url.bucket, limits, LISTING_ATTEMPTS, prefix=url.key)


def _connected(bucket: str, limits: Limits) -> tuple[Any, Any]:
    """Return a session of botocore, and its client in the region of a bucket."""
    session = botocore.session.Session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_time)
    client = _client(session, None, limits)
    region = _region(client, bucket, limits)
    if region != client.meta.region_name:
        client = _client(session, region, limits)
    return session, client


def _obstore(
    session: Any, client: Any, bucket: str, limits: Limits, attempts: int, prefix: str = ""
) -> S3Store:
    """Return a bucket as obstore uses it, with the credentials of botocore."""
    endpoint = client.meta.endpoint_url
    more: dict[str, Any] = {}
    if client.meta.config.signature_version is UNSIGNED:
        more["skip_signature"] = True
    else:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError

        def provide() -> dict[str, Any]:
            frozen = credentials.get_frozen_credentials()
            return {
                "access_key_id": frozen.access_key,
                "secret_access_key": frozen.secret_key,
                "token": frozen.token,
                "expires_at": datetime.now(UTC) + timedelta(minutes=_CREDENTIALS_MINUTES),
            }

        more["credential_provider"] = provide
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint,
        region=client.meta.region_name,
        client_options=cast("Any", client_options(limits, plain=endpoint[:5] == "http:")),
        retry_config=cast("Any", retries(attempts, limits)),
        **more,
    )


def _client(session: Any, region: str | None, limits: Limits) -> Any:
    unsigned = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in {"1", "true"}
    config = Config(
        connect_timeout=limits.connect,
        read_timeout=limits.stall,
        retries={"mode": "standard", "total_max_attempts": 1},  # `persistently` tries again
        signature_version=UNSIGNED if unsigned else None,
        max_pool_connections=64,
    )
    region = region or session.get_config_variable("region") or "us-east-1"
    endpoint = os.environ.get("AWS_ENDPOINT") or None  # the name that obstore and others know
    names = "AWS_ENDPOINT_URL, or endpoint_url in ~/.aws/config,"
    try:
        client = session.create_client(
            "s3", region_name=region, endpoint_url=endpoint, config=config
        )
    except BotoCoreError:
        raise
    except ValueError as error:
        raise no_endpoint(str(error).removeprefix("Invalid endpoint: "), names) from error
    if not host_of(client.meta.endpoint_url):
        raise no_endpoint(client.meta.endpoint_url, names)
    return client


def _answer(ask: Callable[[], Any], limits: Limits, host: str) -> Any:
    """Ask botocore, again if it fails in passing."""

    def once() -> Any:
        with _errors(host):
            return Deadline(limits.total).wait(ask)

    return persistently(once, LISTING_PAUSES)


def _region(client: Any, bucket: str, limits: Limits) -> str:
    """Return the region of a bucket, which the store tells even who may not list it."""

    def ask() -> Any:
        try:
            return client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"].get("HTTPStatusCode") not in {301, 400, 403}:
                raise
            return error.response

    answer = _answer(ask, limits, host_of(client.meta.endpoint_url))
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region") or client.meta.region_name)


def _time(text: str) -> datetime:
    """Read a time: that of a listing in a fiftieth of the time of botocore's own parser."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return cast("datetime", parse_timestamp(text))


def _has_name(key: str) -> bool:
    """Tell whether obstore can name a key, and the key is not changed on the way."""
    names = key.split("/")
    return not {"", ".", ".."}.intersection(names) and key.isprintable()


def _details(key: str, answer: dict[str, Any]) -> Details:
    size = answer.get("ContentLength")
    return Details(key, size, answer.get("LastModified"), stamp_of_object(answer.get("ETag"), size))


@contextmanager
def _errors(host: str = "") -> Iterator[None]:
    """Convert botocore's errors."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise SourceError(
            Reason.UNREADABLE, f"there are no credentials for S3: {_LOG_IN}"
        ) from error
    except ClientError as error:
        raise _answered(error.response) from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise SourceError(
            Reason.TIMEOUT, "the store did not answer in time", passing=True
        ) from error
    except ParamValidationError as error:
        raise SourceError(Reason.NOT_FOUND, "this is no name of a bucket of S3") from error
    except UnicodeError as error:
        raise SourceError(Reason.NOT_FOUND, "the key is no valid Unicode") from error
    except BotoCoreError as error:
        # Such as a connection that breaks, a profile that does not exist, or an expired login.
        kind = type(error).__name__
        if "Connect" in kind or "Response" in kind or "HTTP" in kind:
            raise unconnected(host) from error
        said = " ".join(f"botocore says: {error}".split())
        raise SourceError(Reason.UNREADABLE, said) from error


def _answered(answer: dict[str, Any]) -> SourceError:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return SourceError(Reason.NOT_FOUND, "there is no such bucket")
    if code in {"NoSuchKey", "404"} or status == 404:
        return SourceError(Reason.NOT_FOUND, "there is no such object or bucket")
    if code in {"ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
        return SourceError(
            Reason.UNREADABLE, f"the store refuses the credentials ({code}): {_LOG_IN}"
        )
    if status in {401, 403}:
        return SourceError(Reason.UNREADABLE, "the store denies access")
    passing = status >= 500 or status in {408, 429} or code in _PASSING
    said = " ".join(filter(None, (str(status or ""), code if code != str(status) else "")))
    return SourceError(Reason.UNREADABLE, f"the store answered {said}", passing=passing)
