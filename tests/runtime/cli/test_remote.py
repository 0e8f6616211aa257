"""Whole commands, through the installed console script: objects of stores."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from helpers import PHOTOS, encoded, lacking, mean_model
from PIL import Image
from stores import BUCKET, Server, environment, moto_server, put_all

from nsfwscan import Manifest, Preprocess
from nsfwscan.sources.tables import ENDINGS

ROOT = f"s3://{BUCKET}"
SCAN = ("-m", "m.onnx", "-q", "-f", "jsonl")
ODD = (
    "a b.png", "a%20b.png", "a+b.png", "100%.png", "a#b.png", "a?b=c&d.png", "ü.png", "u\u0308.png",
    "写真/1.png", "x//y.png", "x/./y.png", "x/../y.png", "/lead.png", "back\\slash.png",
    '"quoted".png', "<&>.png", "~*'()!.png", "$(rm).png", "{a,b}.png", "end.png/", "a\u202eb.png",
)  # fmt: skip


NO_CREDENTIALS = (
    "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "AWS_PROFILE, or log in"
)
OTHER_SCHEME = (
    "such URLs are not read; those that are begin with s3://, gs://, az://, https://, http://"
)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(autouse=True)
def model(tmp_path: Path) -> Path:
    return mean_model(tmp_path / "m.onnx", Manifest(name="redness", preprocess=Preprocess(size=8)))


def image(red: int) -> bytes:
    return encoded(Image.new("RGB", (20, 20), (red, 0, 0)), "PNG")


def records(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def below(output: str, root: str) -> dict[str, dict[str, Any]]:
    """Return the records by path below a root, without what an earlier scan changes."""
    found = records(output)
    return {
        one["path"].removeprefix(f"{root}/"): one | {"path": "", "cached": False} for one in found
    }


@pytest.mark.slow
def test_a_bucket_gives_the_records_of_the_same_files(run: Run, tmp_path: Path, moto: str) -> None:
    folder = tmp_path / "photos"
    for name in ("astronaut.png", "chelsea.png", "rocket.jpg", "retina.jpg", "logo.png"):
        target = folder / ("sub/" if name < "d" else "") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((PHOTOS / name).read_bytes())
    (folder / "cut.jpg").write_bytes((PHOTOS / "rocket.jpg").read_bytes()[:40_000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.txt").write_bytes(b"no image")
    (folder / "text.jpg").write_bytes(b"no image")
    (folder / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(900_000))
    (folder / "large.png").write_bytes(image(9) + bytes(900_000))
    (folder / ".hidden.png").write_bytes(image(9))
    objects = {
        f"photos/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    put_all(moto, objects | {"photos/sub/": b"", "photos/": b""})
    more = ("--max-filesize", "900000", "--threshold", "0.4")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = environment(moto) | {"TMPDIR": str(scratch)}
    local = run("photos", *SCAN, *more, "--no-cache")
    remote = run(f"{ROOT}/photos", *SCAN, *more, "--no-cache", environment=env)
    assert below(remote.stdout, f"{ROOT}/photos") == below(local.stdout, "photos")
    assert local.returncode == remote.returncode == 2
    assert list(below(remote.stdout, f"{ROOT}/photos")) == sorted(below(local.stdout, "photos"))
    text = [
        run(source, "-m", "m.onnx", "--no-cache", *more, environment=env).stdout.splitlines()[-1]
        for source in ("photos", f"{ROOT}/photos/")
    ]
    assert text[0].rpartition(";")[0] == text[1].rpartition(";")[0]
    assert list(scratch.iterdir()) == []
    with Server(objects) as server:
        web = [f"{server.url}/{BUCKET}/{key}" for key in objects if "hidden" not in key]
        one_by_one = run(*web, *SCAN, *more, "--no-cache", environment=environment(server.url))
        found = below(one_by_one.stdout, f"{server.url}/{BUCKET}/photos")
        assert found == below(local.stdout, "photos")


@pytest.mark.slow
def test_any_key_survives_the_way_through_lists_and_records(
    run: Run, tmp_path: Path, moto: str
) -> None:
    objects = {key: image(i) for i, key in enumerate(ODD)}
    put_all(moto, objects)
    env = environment(moto)
    options = (*SCAN, "--no-cache", "--hidden")
    scanned = run(ROOT, *options, environment=env)
    scores = {one["path"]: one["score"] for one in records(scanned.stdout)}
    assert scores == {
        f"{ROOT}/{key}": pytest.approx(i / 255, abs=1e-6) for i, key in enumerate(ODD)
    }
    (tmp_path / "paths").write_bytes(b"\0".join(map(os.fsencode, scores)))
    (tmp_path / "report.jsonl").write_text(scanned.stdout)
    lists = [("--files-from", "paths", "--null"), ("--files-from", "report.jsonl")]
    for ending in ENDINGS:
        listed = run("list", ROOT, "--hidden", "-o", f"list{ending}", environment=env)
        assert listed.stderr == f"{len(ODD)} listed, 0 skipped\n"
        lists.append(("--files-from", f"list{ending}"))
    for arguments in lists:
        again = run(*arguments, *options, environment=env)
        assert {one["path"]: one["score"] for one in records(again.stdout)} == scores


@pytest.mark.slow
@pytest.mark.parametrize(("etags", "again"), [("strong", 0), ("weak", 2), ("none", 2)])
def test_a_second_scan_reads_only_objects_without_a_reliable_tag(
    run: Run, tmp_path: Path, etags: str, again: int
) -> None:
    objects = {"a.png": image(1), "b.png": image(2)}
    (tmp_path / "list").write_text("".join(f"{ROOT}/{key}\n" for key in objects))
    with Server(objects, etags=etags) as server:
        env = environment(server.url)
        web = [f"{server.url}/{BUCKET}/{key}" for key in objects]
        for sources in (("--files-from", "list"), web):
            first = run(*sources, *SCAN, "--cache", "c", environment=env)
            assert first.returncode == 0
            server.asked.clear()
            second = run(*sources, *SCAN, "--cache", "c", environment=env)
            assert server.asked.total() == again
            assert server.looked.total() == 2 - again  # only what the cache knows
            server.looked.clear()
            assert below(first.stdout, "") == below(second.stdout, "")
            assert all(one["cached"] for one in records(second.stdout))
        server.asked.clear()
        run(ROOT, *SCAN, "--cache", "c", environment=env)  # the tags of a listing are strong
        run(ROOT, *SCAN, "--cache", "c", environment=env)
        assert server.asked.total() == again * 2
        server.asked.clear()
        server.objects = objects | {"a.png": image(200)}
        changed = run(ROOT, *SCAN, "--cache", "c", "--threshold", "0.5", environment=env)
        assert [one["status"] for one in records(changed.stdout)] == ["flagged", "safe"]
        assert server.asked["a.png"] == 1
    pruned = run("cache", "prune", "--cache", "c").stdout
    assert "dropped   files that no longer exist: 0; scores: 0\n" in pruned
    kept = "kept      files that may exist where it cannot look: 4\n"
    assert (kept in pruned) == (not again)


@pytest.mark.slow
def test_errors_are_one_clear_sentence(run: Run, tmp_path: Path, moto: str) -> None:
    put_all(moto, {"a.png": image(9)})
    env = environment(moto)
    anonymous = {name: value for name, value in env.items() if "KEY" not in name}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert name not in os.environ
    nowhere = environment("http://127.0.0.1:1")
    for url, variables, reason, said in (
        ("s3://no-such-bucket/a.png", env, "not-found", "there is no such object or bucket"),
        (f"{ROOT}/none.png", env, "not-found", "there is no such object, and nothing below it"),
        (f"{moto}/{BUCKET}/none.png", env, "not-found", "the server answered 404 Not Found"),
        (f"{moto}/{BUCKET}/a.png", env, "unreadable", "the server answered 403 Forbidden"),
        (ROOT, anonymous, "unreadable", NO_CREDENTIALS),
        (ROOT, nowhere, "unreadable", "the connection to the store failed (127.0.0.1:1)"),
        ("gs://bucket/", nowhere, "unreadable", "the connection to the store failed (127.0.0.1:1)"),
        ("s3://B!/a.png", env, "not-found", "this is no name of a bucket of S3"),
        ("gs://no-such-bucket/", env, "not-found", "there is no such object or bucket"),
        ("az://container/", {}, "unreadable",
         "the account is not known: set AZURE_STORAGE_ACCOUNT_NAME"),
        ("ftp://host/a.png", {}, "not-found", OTHER_SCHEME),
    ):  # fmt: skip
        done = run(url, *SCAN, "--no-cache", "--timeout", "2", environment=variables)
        assert done.returncode == 2, (url, done.stderr)
        (record,) = records(done.stdout)
        assert (record["reason"], record["detail"]) == (reason, said), url
        assert (record["path"], record["status"], record["score"]) == (url, "error", None)


def test_without_the_extra_a_url_is_one_sentence(tmp_path: Path) -> None:
    code = lacking("nsfwscan", "obstore", "botocore", "urllib3")
    for url, package in ((ROOT, "botocore"), ("https://127.0.0.1/a.png", "urllib3")):
        done = subprocess.run(
            [sys.executable, "-c", code, url, "--no-cache", "-m", "m.onnx", "-q"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"nsfwscan: cannot read {url}: it needs {package}, which is not installed: "
            'pip install "nsfwscan[remote]"\n'
        )


@pytest.mark.slow
def test_each_store_is_reached_in_its_usual_ways(run: Run, tmp_path: Path) -> None:
    """A profile with an endpoint, a public bucket of S3, and one of Google."""
    objects = {"a b%20c#?ü.png": image(9), "dir/": b"", "dir/b.png": image(8)}
    (tmp_path / "credentials").write_text(
        "[mine]\naws_access_key_id = an-id\naws_secret_access_key = a-secret\n"
    )
    with Server(objects) as server:
        (tmp_path / "config").write_text(
            f"[profile mine]\nregion = eu-central-1\nendpoint_url = {server.url}\n"
        )
        env = environment(server.url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del env[name]
        public = env | {"AWS_SKIP_SIGNATURE": "true"}
        del env["AWS_ENDPOINT_URL"], env["AWS_REGION"]
        files = {name: str(tmp_path / name) for name in ("config", "credentials")}
        profile = env | {
            "AWS_PROFILE": "mine",
            "AWS_CONFIG_FILE": files["config"],
            "AWS_SHARED_CREDENTIALS_FILE": files["credentials"],
        }
        for root, variables in ((ROOT, profile), (ROOT, public), (f"gs://{BUCKET}", env)):
            done = run(root, *SCAN, "--cache", "c", environment=variables)
            assert done.returncode == 0, done.stdout
            paths = [one["path"].removeprefix(f"{root}/") for one in records(done.stdout)]
            assert paths == ["a b%20c#?ü.png", "dir/b.png"]
        server.asked.clear()
        for path in (root, f"{root}/a b%20c#?ü.png"):
            assert run(path, *SCAN, "--cache", "c", environment=env).returncode == 0
        assert not server.asked


@pytest.mark.slow
def test_shards_of_a_bucket_are_its_parts(run: Run, moto: str) -> None:
    put_all(moto, {f"{i}.png": image(i) for i in range(9)})
    env = environment(moto)
    whole = run(ROOT, *SCAN, "--no-cache", environment=env).stdout
    parts = [
        run(ROOT, *SCAN, "--no-cache", "--shard", f"{i}/2", environment=env).stdout
        for i in range(2)
    ]
    assert sorted("".join(parts).splitlines()) == sorted(whole.splitlines())
    assert all(parts)


@pytest.mark.slow
def test_credentials_appear_nowhere(run: Run, tmp_path: Path) -> None:
    secret = "X-Amz-Signature=5ec2e7"
    with Server({"a.png": image(9), "b.png": image(200)}) as server:
        env = environment(server.url) | {"AWS_SECRET_ACCESS_KEY": "5ec2e7"}
        address = server.url.replace("://", "://user:5ec2e7@")
        signed = [f"{address}/{BUCKET}/{key}?{secret}" for key in ("a.png", "b.png", "none.png")]
        (tmp_path / "list").write_text("\n".join(signed))
        for format_ in ("text", "jsonl", "json", "csv", "html", "sarif", "parquet"):
            done = run(
                ROOT, *signed, "--files-from", "list", "-m", "m.onnx", "--verbose", "--cache", "c",
                "-f", format_, "-o", f"report.{format_}", environment=env,
            )  # fmt: skip
            assert done.returncode == 2
            assert "5ec2e7" not in done.stdout + done.stderr
        assert server.asked["none.png"] > 0
    assert f"{server.url}/{BUCKET}/b.png" in (tmp_path / "report.text").read_text()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "list":
            assert b"5ec2e7" not in path.read_bytes(), path


@pytest.mark.slow
def test_what_acts_on_files_leaves_objects_alone(run: Run, tmp_path: Path) -> None:
    with Server({"a.png": image(200)}) as server:
        done = run(
            ROOT, *SCAN, "--no-cache", "-o", "report.jsonl", environment=environment(server.url)
        )
    assert done.returncode == 1
    applied = run("apply", "--from", "report.jsonl", "--flagged", "--move-to", "away")
    assert applied.returncode == 2
    assert applied.stderr == (
        "nsfwscan: only files are acted upon, and the images are objects of a store, such as "
        f"{ROOT}/a.png; use the tools of the store\n"
    )
    assert run("review", "report.jsonl", "-o", "page").returncode == 0
    (page,) = (path.read_text() for path in (tmp_path / "page").glob("*.html"))
    assert "only images in files are shown; this one is in a store" in page
    assert f'"{ROOT}/a.png"' in page


@pytest.mark.slow
def test_a_malformed_url_costs_one_record(run: Run, tmp_path: Path) -> None:
    with Server({"a.png": image(9)}) as server:
        env = environment(server.url)
        good = f"{server.url}/{BUCKET}/a.png"
        bad = ("http://[::1/x.jpg", "http://h:99999/x.jpg", "s3://b\\!/a.jpg", "ftp://h/a.jpg")
        (tmp_path / "list").write_text("\n".join((*bad, f"  {good} ", "")))
        scanned = run("--files-from", "list", *SCAN, "--no-cache", environment=env)
        found = records(scanned.stdout)
        assert [(one["path"], one["reason"]) for one in found] == [
            *((url, "not-found") for url in bad), (good, None),
        ]  # fmt: skip
        listed = run("list", "--files-from", "list", "-o", "l.jsonl", environment=env)
        assert (listed.returncode, listed.stderr[:9]) == (0, "5 listed,")
        shards = [
            run("--files-from", "list", *SCAN, "--no-cache", "--shard", f"{i}/2", environment=env)
            for i in range(2)
        ]
        assert sorted("".join(one.stdout for one in shards).splitlines()) == sorted(
            scanned.stdout.splitlines()
        )
        for i in range(2):
            shard = run("s3://no!/", *SCAN, "--no-cache", "--shard", f"{i}/2", environment=env)
            assert (shard.returncode, len(records(shard.stdout))) == (2, 1)


@pytest.mark.slow
def test_a_place_is_scanned_once_and_secrets_are_in_no_record(run: Run, tmp_path: Path) -> None:
    word = "PASSW0RD"
    with Server({"set/a.png": image(9), "set/b.png": image(8)}) as server:
        env = environment(server.url)
        done = run(f"{ROOT}/set/", f"{ROOT}/set", *SCAN, "--no-cache", environment=env)
        assert [one["path"] for one in records(done.stdout)] == [
            f"{ROOT}/set/a.png", f"{ROOT}/set/b.png",
        ]  # fmt: skip
        urls = (
            f" http://user:{word}@[::1/x?{word}", f"http:/user:{word}@h/x", f"ftp://u:{word}@h/x?y",
            f"http://user:PA/{word}@h/x", f"s3://u:{word}@bkt!/set", f"http:/u:{word}@{'h' * 300}",
        )  # fmt: skip
        (tmp_path / "list").write_text("\n".join(urls))
        for sources in (urls, ("--files-from", "list")):
            done = run(*sources, *SCAN, "--no-cache", "--verbose", environment=env)
            assert done.returncode == 2
            assert len(records(done.stdout)) == len(urls)
            assert word not in done.stdout + done.stderr
    allowed = run("allow", f"s3://u:{word}@bkt/a.png", "--reason", "x")
    assert allowed.returncode == 2
    assert "this command takes files, and no URLs; fetch the image first" in allowed.stderr
    assert word not in allowed.stderr


def redirect(to: str) -> str:
    return f"302 Found\r\nLocation: {to}\r\nConnection: close"


@pytest.mark.slow
def test_an_answer_that_cannot_be_used_says_why(run: Run) -> None:
    """In a process of its own: urllib3 leaves the sockets of some to the collector."""
    answers = {
        redirect("a0.png"): "the server redirects more than 5 times",
        redirect("s3://b/k"): (
            "the server redirects to a URL that begins with s3:, which is not read"
        ),
        redirect("file:///x"): "the server redirects to a URL without a host, which is not read",
        redirect("http://[::1/x"): "this is no valid web address, or the server redirects to none",
        "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip": (
            "the bytes are not encoded as the server says (Content-Encoding)"
        ),
        f"200 OK\r\nX: {'y' * 70_000}": "the server's answer has a line that is too long",
        "\r\n".join(["200 OK", *["X: y"] * 200]): "the server's answer is no valid HTTP",
    }
    faults = {f"a{i}.png": [f"HTTP/1.1 {one}\r\n\r\n"] * 9 for i, one in enumerate(answers)}
    with Server(dict.fromkeys(faults, b""), faults) as server:
        urls = [f"{server.url}/{BUCKET}/{key}" for key in faults]
        done = run(*urls, *SCAN, "--no-cache", environment=environment(server.url))
        assert [one["detail"] for one in records(done.stdout)] == list(answers.values())
        assert {server.asked[key] for key in list(faults)[1:]} == {1}
