"""The two stages, in this process and without Ray: the records are those of a scan."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from faults.scans import many, redness
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import Classifier, DecodedImage, InputError, ModelError, ScanOptions, Selection, scan
from nsfwscan.cluster import actors
from nsfwscan.cluster.actors import Decode, Infer, cut
from nsfwscan.cluster.blocks import NAME, write_blocks
from nsfwscan.cluster.job import Job
from nsfwscan.cluster.parts import Collector, pieces_of
from nsfwscan.errors import EngineError
from nsfwscan.pipeline.inflight import Result
from nsfwscan.pipeline.reading import Decoded
from nsfwscan.reports.parquet import to_batch
from nsfwscan.sources.entry import Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.walk import discover


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Path]:
    """Enter the folder of the test; the stages change it themselves."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def make_job(classifier: Classifier, **changes: Any) -> Job:
    manifest = classifier.manifest
    values: dict[str, Any] = {
        "folder": str(Path.cwd()), "out": "run", "entries": 0, "model": str(classifier.path),
        "sha256": classifier.sha256, "manifest": manifest, "preprocess": manifest.preprocess,
        "options": ScanOptions(), "threshold": manifest.threshold, "names": (), "gpu": False,
    }  # fmt: skip
    return Job(**(values | changes))


def test_the_stages_give_the_records_of_a_scan(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier.load(redness(at / "m.onnx"))
    many(at / "photos", 40)
    (at / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (at / "photos" / "note.txt").write_text("text")
    (at / "photos" / "link.png").symlink_to("nowhere")
    (at / "run").mkdir()
    monkeypatch.setattr(actors, "PIECE_ENTRIES", 7)
    with scan("photos", classifier, selection=Selection(follow=True)) as run:
        records = list(run)
    skipped = Counter[Kind]()
    found = discover(["photos"], Selection(follow=True))
    *_, entries = write_blocks(at / "run" / NAME, found, 30, skipped)
    job = make_job(classifier, entries=entries)
    decode, infer, collector = Decode(job), Infer(job), Collector({0: 30, 1: entries - 30})
    whole = [
        pieces
        for table in decode(pa.table({"block": [0, 1]}))
        for piece in pieces_of(infer(table))
        if (pieces := collector.add(piece)) is not None
    ]
    decode.close()
    batches = [piece.records for pieces in whole for piece in pieces]
    assert pa.Table.from_batches(batches) == pa.Table.from_batches([to_batch(records)])
    assert sum((p.skipped for pieces in whole for p in pieces), skipped) == run.skipped


@given(st.lists(st.integers(1, 9), max_size=30))
def test_pieces_are_bounded_and_whole(frames: list[int]) -> None:
    """Each has at most the limit of bytes, and one image more."""
    size = 600
    images = [
        Decoded(str(i), "", "", DecodedImage(np.zeros((n, size, size, 3), np.uint8), 1, 1, ""))
        for i, n in enumerate(frames)
    ]
    found: list[Decoded | Result] = [*images, Skipped("x", Kind.TEXT)]
    pieces = list(cut(found))
    assert [one for piece in pieces for one in piece] == found
    for piece in pieces[:-1]:
        sizes = [one.image.pixels.nbytes for one in piece if isinstance(one, Decoded)]
        assert sum(sizes[:-1]) < actors.PIECE_BYTES <= sum(sizes)


def test_a_node_with_something_else_is_named(at: Path) -> None:
    classifier = Classifier.load(redness(at / "m.onnx"))
    job = make_job(classifier)
    (at / "run").mkdir()
    table = pa.table({"block": [0]})
    with pytest.raises(InputError, match=r"cannot read manifest\.parquet in run"):
        list(Decode(job)(table))
    list(write_blocks(at / "run" / NAME, [], 1, Counter()))
    with pytest.raises(InputError, match=r"another manifest\.parquet in run"):
        list(Decode(replace(job, entries=1))(table))
    with pytest.raises(InputError, match="has no folder /gone"):
        list(Decode(replace(job, folder="/gone"))(table))
    with pytest.raises(EngineError, match="install the same version on all nodes"):
        list(Decode(replace(job, version="0"))(table))
    with pytest.raises(ModelError, match="has another model at"):
        replace(job, sha256="0" * 64).load()
