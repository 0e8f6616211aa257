"""The use of Ray: start or join a cluster, and stream blocks through the two stages.

No other module imports Ray.
"""

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pyarrow as pa

from nsfwscan.cluster.actors import Decode, Infer
from nsfwscan.cluster.job import Job
from nsfwscan.errors import EngineError, NsfwScanError
from nsfwscan.util.files import temporary_folder
from nsfwscan.util.parallel import available_cores

STORE_BYTES = 512 << 20
"""Memory of the object store of a local run. It holds the pieces between the stages."""

_HALF_A_CORE = 0.5
"""What an actor of either kind asks for: each core decodes and scores in turns, as in a scan."""

_TASKS = 1 << 13
"""Most tasks of a run: Ray keeps some kilobytes about each in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """The sizes of the two pools of actors.

    Attributes
    ----------
    decoders
        Most actors that read and decode. None: one for each core.
    scorers
        Most actors that score. None: one for each core, or as many as the GPUs have room for.
    gpus
        GPUs of each actor that scores: a fraction, or 0 for none.
    """

    decoders: int | None = None
    scorers: int | None = None
    gpus: float = 0.0


def load_ray(address: str | None) -> Any:
    """Import Ray, for the first time in this process, and keep it quiet; local for no address.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"  # or it writes to the terminal
    if address is None:
        # Despite its name it also holds on Linux: the only address of this node is 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # Otherwise Ray writes a token to the home folder. Other users of the machine have none.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray  # noqa: PLC0415 - slow, and it reads these variables

    return ray


@contextmanager
def ray_cluster(address: str | None) -> Iterator[None]:
    """Join the cluster at an address, or run one on this machine, until the block ends.

    The local one listens on the loopback interface only, has no dashboard, and keeps its files in a
    temporary folder, which is removed. Neither reports its use to Ray's makers.

    Raises
    ------
    EngineError
        If there is no cluster at the address, or Ray does not start.
    """
    ray = load_ray(address)
    # Ray reports dead workers on standard output, until it is shut down.
    with (
        open(os.devnull, "w", encoding="utf-8") as null,
        redirect_stdout(null),
        ExitStack() as stack,
    ):
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if address is None:
            options |= {
                "address": "local",
                "num_cpus": available_cores(),
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
                # Ray lets everybody into this folder, and the one around it lets nobody in.
                "_temp_dir": f"{stack.enter_context(temporary_folder(_short_temporary()))}/r",
            }
        else:
            _check_reachable(address)
            options["address"] = address
        handler = signal.getsignal(signal.SIGTERM)
        stack.callback(ray.shutdown)  # before its folder is removed
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _as_ours(error) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has replaced it
        yield


def _check_reachable(address: str) -> None:
    """Find out whether something listens at an address: Ray would try it for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not (host and port.isdigit()):
        return  # such as auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"there is no Ray cluster at {address} ({error}); give --address as ray start has "
            "printed it"
        ) from error


def _short_temporary() -> Path:
    """Return a new name where the system has its temporary files, or in /tmp if that is too long.

    Names of sockets have a limit of 107 bytes, of which Ray and the folders take 89.
    """
    usual = gettempdir()
    return Path("/tmp" if len(os.fsencode(usual)) > 18 else usual, "ray")  # noqa: S108 - the folder in it is private


def check_gpus(pools: Pools) -> None:
    """Raise `EngineError` if no node of the cluster has the GPUs of an actor."""
    import ray  # noqa: PLC0415 - see above

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    most = max((node["Resources"].get("GPU", 0.0) for node in nodes if node["Alive"]), default=0.0)
    if pools.gpus > most:
        raise EngineError(
            f"no node of the Ray cluster has {pools.gpus:g} GPUs (the most are {most:g}); leave "
            "--gpus out to score on the CPU"
        )


def stream(job: Job, blocks: Sequence[int], pools: Pools) -> Generator[pa.Table]:
    """Send blocks through the stages, and yield what `Infer` gives, in any order.

    Ray starts an actor again that dies, and repeats what it had not finished.

    Parameters
    ----------
    job
        What the actors do.
    blocks
        The numbers of the blocks, one or more.
    pools
        How many actors there are.

    Raises
    ------
    NsfwScanError
        If the work cannot go on.
    """
    import ray  # noqa: PLC0415 - see above
    from ray.data import ActorPoolStrategy, DataContext, from_arrow  # noqa: PLC0415

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    # A piece is a row, and each is handed on by itself, so that a task that is repeated hands on
    # the same ones.
    context.target_max_block_size = 1
    # A piece of files that each take all of their time is longer than the limit of half an hour.
    context.execution_no_progress_timeout_s = -1

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cores = max(1, int(there.get("CPU", 1)))
    scorers = pools.scorers or (int(there.get("GPU", 0) / pools.gpus) if pools.gpus else cores)
    sizes = (min(pools.decoders or cores, len(blocks)), max(1, scorers))
    decode, infer = (ActorPoolStrategy(min_size=1, max_size=size) for size in sizes)
    step = -(-len(blocks) // _TASKS)
    tables = [
        pa.table({"block": blocks[start : start + step]}) for start in range(0, len(blocks), step)
    ]
    common: dict[str, Any] = {
        "batch_format": "pyarrow",
        "fn_constructor_args": (job,),
        "num_cpus": _HALF_A_CORE,
    }
    dataset = (
        from_arrow(tables)
        .map_batches(Decode, compute=decode, batch_size=None, **common)
        # With GPUs, Ray wants a number: that of the one piece which a block has.
        .map_batches(Infer, compute=infer, batch_size=1, num_gpus=pools.gpus, **common)
    )
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
    except Exception as error:
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> NsfwScanError:
    """Return the exception of an actor's own work, or a sentence about what Ray says."""
    from ray.exceptions import RayError  # noqa: PLC0415 - see above

    chain = _chain(error)
    for one in chain:
        # Ray's own have the class of the actor's exception too, and its traceback as the message.
        if isinstance(one, NsfwScanError) and not isinstance(one, RayError):
            said, added, _ = str(one).partition("\nFailed to apply UDF")
            return EngineError(said) if added else one
    if any("InvalidAuthToken" in str(one) for one in chain):
        return EngineError(
            "the Ray cluster wants a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the "
            "token, unless ~/.ray/auth_token has it"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return EngineError(f"Ray has failed: {lines[-1] if lines else type(error).__name__}")


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and its causes, also those that Ray keeps in an attribute.

    Ray has been seen to make an exception its own cause.
    """
    found: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        one = pending.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in found):
            found.append(one)
            pending += [getattr(one, "cause", None), one.__cause__]
    return found
