import pytest

from nsfwscan.errors import DeviceError
from nsfwscan.inference.devices import check_device, gpu_index


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices_are_known_by_their_names(device: str) -> None:
    check_device(device)
    assert gpu_index(device) == (12 if device == "cuda:12" else 0)


@pytest.mark.parametrize("device", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1000", "cpu:0"])
def test_other_names_are_refused_with_what_to_write(device: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda or cuda:N"):
        check_device(device)
