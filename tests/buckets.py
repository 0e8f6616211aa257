"""A server of S3, over HTTP on the loopback interface."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def empty_bucket() -> Iterator[tuple[str, dict[str, str]]]:
    """Serve an empty bucket; give its URL, and the variables with which clients find it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }  # fmt: skip
    try:
        client = boto3.client(
            "s3", endpoint_url=variables["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="a", aws_secret_access_key="b",
        )  # fmt: skip
        client.create_bucket(Bucket="bucket")
        yield "s3://bucket", variables
    finally:
        server.stop()
