import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsfwscan.errors import LabelError
from nsfwtrain.data.origins import ORIGIN_FILE, add_origins, read_origins

A, B = "a" * 40 + ".jpg", "b" * 40 + ".png"


def test_an_object_keeps_its_origin(tmp_path: Path) -> None:
    assert read_origins(tmp_path) == {}
    add_origins(tmp_path, {B: '/x/a "b", c.png'})
    add_origins(tmp_path, {A: "/x/á.jpg", B: "/y/other.png"})
    assert (tmp_path / ORIGIN_FILE).read_text("utf-8").splitlines()[0] == "objectId,path"
    assert read_origins(tmp_path) == {A: "/x/á.jpg", B: '/x/a "b", c.png'}


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=20))
def test_any_path_is_one_line(tmp_path: Path, name: bytes) -> None:
    (tmp_path / ORIGIN_FILE).unlink(missing_ok=True)
    add_origins(tmp_path, {A: "/x/" + os.fsdecode(name)})
    (found,) = read_origins(tmp_path).values()
    assert found.startswith("/x/")
    assert len((tmp_path / ORIGIN_FILE).read_text("utf-8").splitlines()) == 2


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ORIGIN_FILE).write_text(f"objectId,path\n{A}\n")
    with pytest.raises(LabelError, match=r"origin\.csv, line 2: expected objectId and path"):
        read_origins(tmp_path)
