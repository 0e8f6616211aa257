import pytest

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.preprocess import decoded_formats
from nsfwscan.doctor.samples import COLOUR, SIDE, sample
from nsfwscan.sources.filetype import HEAD_BYTES, Format, sniff


@pytest.mark.parametrize("row", decoded_formats(), ids=lambda row: row.name)
def test_each_decoded_format_has_a_sample(row: Format) -> None:
    data = sample(row)
    assert sniff(data[:HEAD_BYTES]) is row
    image = decode(data, Preprocess(size=SIDE))
    assert (image.format, image.width, image.height) == (row.name, SIDE, SIDE)
    assert image.pixels.mean((0, 1, 2)) == pytest.approx(COLOUR, abs=4)
