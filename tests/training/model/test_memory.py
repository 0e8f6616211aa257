import pytest

from nsfwtrain.errors import RunError
from nsfwtrain.model.keras import tf
from nsfwtrain.model.memory import BatchSize


def allocate(size: int, *, fits: int) -> int:
    """Really run out of memory if the size exceeds `fits`."""
    tf.fill([1 if size <= fits else 2**47], 0.0)
    return size


@pytest.mark.slow  # TensorFlow waits 10 s for memory before it gives up
def test_a_batch_is_halved_until_it_fits() -> None:
    said: list[str] = []
    batch = BatchSize(64, said.append)
    assert batch.run(lambda size: allocate(size, fits=40)) == 32
    assert batch.run(lambda size: allocate(size, fits=40)) == 32
    assert said == ["out of memory: the batch size is now 32"]


@pytest.mark.slow
def test_too_little_memory_for_one_image_is_an_error() -> None:
    with pytest.raises(RunError, match="not enough memory for a single image"):
        BatchSize(1, lambda _line: None).run(lambda size: allocate(size, fits=0))
