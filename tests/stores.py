"""Servers of objects for tests, over real HTTP on the loopback: moto's S3, and one with faults.

The latter also speaks as much of the interface of Google Cloud Storage as obstore uses.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"
_STALL_SECONDS = 60
_DRIP_SECONDS = 0.05


def environment(endpoint: str) -> dict[str, str]:
    """Return the variables with which a store is reached, and nothing else of the user's."""
    return {
        "GOOGLE_BASE_URL": endpoint,
        "GOOGLE_SKIP_SIGNATURE": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "an-id",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server in a process of its own, and give its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{url}/moto-api/"):
                    break
            except OSError:
                assert server.poll() is None
                time.sleep(0.05)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


@contextmanager
def empty_bucket() -> Iterator[tuple[str, dict[str, str]]]:
    """Serve an empty bucket; give its URL, and the variables with which clients find it."""
    with moto_server() as url:
        put_all(url, {})
        yield f"s3://{BUCKET}", environment(url)


def client(endpoint: str) -> Any:
    """Return boto3's client of a server."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="an-id",
        aws_secret_access_key="a-secret",
    )  # fmt: skip


def put_all(endpoint: str, objects: Mapping[str, bytes], bucket: str = BUCKET) -> None:
    """Make a bucket with these objects, and no others."""
    s3 = client(endpoint)
    if bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                s3.delete_object(Bucket=bucket, Key=one["Key"])
    else:
        where = {"LocationConstraint": "eu-central-1"}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    for key, data in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)


@cache
def _digest(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Server(ThreadingHTTPServer):
    """A small store of S3 with one bucket, in a thread. A context manager.

    Parameters
    ----------
    objects
        Bytes by key, in the order of the listing; or pairs, of which only one page is in memory.
    faults
        By key, or ``page N`` of the listing, what goes wrong in its first requests, in turn; a word
        that ends with ``!`` stays. A number is a status. ``drop`` breaks the connection in the
        middle of the body, ``stall`` sends no more there, ``short`` sends less than the
        length that it tells, ``chunks`` breaks off in chunks, ``plain`` sends all without a
        length, in chunks, ``refuse`` closes the connection before an answer, ``changed`` sends
        half of the object as if it were all, ``drip`` sends a byte now and then, and ``drip head``
        does so from the first byte of the answer on. Of a page, only these and numbers are known.
        Words that begin with ``HTTP/`` are the whole answer.
    latency
        Seconds before each answer.
    etags
        Whether objects have an entity tag: ``strong``, ``weak`` or ``none``.
    any_object
        Bytes of every key, if `objects` are pairs.

    Attributes
    ----------
    asked, looked
        How often each object was asked for (GET), and looked at (HEAD).
    most_at_once
        Most objects that were asked for at once.
    pages
        How many pages were listed.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        objects: Mapping[str, bytes] | Iterable[tuple[str, bytes]],
        faults: Mapping[str, Iterable[str]] | None = None,
        *,
        latency: float = 0,
        etags: str = "strong",
        any_object: bytes | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = objects if isinstance(objects, Mapping) else {}
        self.streamed = None if isinstance(objects, Mapping) else iter(objects)
        self.faults = {key: list(words) for key, words in (faults or {}).items()}
        self.latency = latency
        self.etags = etags
        self.any_object = any_object
        self.asked, self.looked = Counter[str](), Counter[str]()
        self.most_at_once = self.at_once = self.pages = 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, key: str) -> str:
        """Take the next fault of a key."""
        with self.lock:
            words = self.faults.get(key, [])
            if not words:
                return ""
            return words[0][:-1] if words[0].endswith("!") else words.pop(0)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client may close its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        server, parts = self.server, urlsplit(self.path)
        key, query = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/"), parts.query
        self.server.over.wait(server.latency)
        if not key:
            self._list(parse_qs(query), with_body=with_body)
            return
        with server.lock:
            (server.asked if with_body else server.looked)[key] += 1
            server.at_once += 1
            server.most_at_once = max(server.at_once, server.most_at_once)
        try:
            self._send_object(key, server.fault(key) if with_body else "", with_body=with_body)
        finally:
            with server.lock:
                server.at_once -= 1

    def _send_object(self, key: str, fault: str, *, with_body: bool) -> None:
        data = self.server.objects.get(key, self.server.any_object)
        if fault == "refuse":
            self.close_connection = True
            return
        if fault == "drip head" or fault.startswith("HTTP/"):
            self._drip_head() if fault == "drip head" else self.wfile.write(fault.encode())
            self.close_connection = True
            return
        if data is None or fault.isdigit():
            self._send_error(int(fault or 404), "NoSuchKey" if data is None else "SlowDown")
            return
        if fault == "changed":
            data = data[: len(data) // 2]
        tag = f'"{_digest(data)}"'
        self.send_response(200)
        if self.server.etags != "none":
            self.send_header("ETag", tag if self.server.etags == "strong" else f"W/{tag}")
        self.send_header("Last-Modified", "Sat, 28 Nov 2020 02:04:00 GMT")
        half = data[: len(data) // 2]
        if fault in {"chunks", "plain"}:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            sent = data if fault == "plain" else half
            self.wfile.write(b"%x\r\n%b\r\n" % (len(sent), sent))
            if fault == "plain":
                self.wfile.write(b"0\r\n\r\n")
            else:
                self._cut()
            return
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not with_body:
            return
        if fault == "drip":
            self._drip(data)
            return
        self.wfile.write(half if fault in {"drop", "short", "stall"} else data)
        if fault == "stall":
            self.wfile.flush()
            self.server.over.wait(_STALL_SECONDS)
        if fault in {"drop", "short", "stall"}:
            self._cut(reset=fault == "drop")

    def _drip(self, data: bytes) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            if self.server.over.wait(_DRIP_SECONDS):
                break
        self._cut()

    def _drip_head(self) -> None:
        self._drip(b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 10_000)

    def _cut(self, *, reset: bool = False) -> None:
        """End the connection, in good order or without it."""
        self.close_connection = True
        self.wfile.flush()
        if reset:
            linger = b"\1\0\0\0\0\0\0\0"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _send_error(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _list(self, query: dict[str, list[str]], *, with_body: bool) -> None:
        server = self.server
        if not with_body:  # of the bucket
            self.send_response(200)
            self.send_header("x-amz-bucket-region", "eu-central-1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        fault = server.fault(f"page {server.pages}")
        if fault == "drip head":
            self._drip_head()
            return
        if fault.isdigit():
            self._send_error(int(fault), "InternalError")
            return
        prefix, size = query.get("prefix", [""])[0], 1000
        if server.streamed is not None:
            page = list(islice(server.streamed, size))
            is_last = len(page) < size
        else:
            start = int(query.get("continuation-token", ["0"])[0])
            found = [one for one in server.objects.items() if one[0].startswith(prefix)]
            page, is_last = found[start : start + size], start + size >= len(found)
        server.pages += 1
        token = f"<NextContinuationToken>{server.pages * size}</NextContinuationToken>"
        after = "" if is_last else token
        # Google's store lists in the same way, and leaves the keys as they are.
        name = partial(quote, safe="/") if "encoding-type" in query else str
        contents = "".join(
            f"<Contents><Key>{escape(name(key))}</Key><Size>{len(data)}</Size>"
            f'<ETag>"{_digest(data)}"</ETag>'
            "<LastModified>2020-11-28T02:04:00.123Z</LastModified></Contents>"
            for key, data in page
        )
        body = (
            "<ListBucketResult><EncodingType>url</EncodingType>"
            f"<IsTruncated>{'false' if is_last else 'true'}</IsTruncated>{after}{contents}"
            "</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._drip(body) if fault == "drip" else self.wfile.write(body)
