"""The names of devices."""

import re

from nsfwscan.errors import DeviceError

SEE_DOCTOR = '; "nsfwscan doctor" says what to do'
"""What is added where a GPU does not come up; not, of course, by the doctor itself."""

_DEVICE = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")


def check_device(device: str) -> None:
    """Raise `DeviceError` unless a device is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _DEVICE.fullmatch(device):
        raise DeviceError(f"device {device!r} is unknown: write auto, cpu, cuda or cuda:N")


def gpu_index(device: str) -> int:
    """Give the N of ``cuda:N``; where there is none, it is the first."""
    match = _DEVICE.fullmatch(device)
    return int(match[1] or 0) if match else 0
