"""Settings of the process for commands: fast on CPUs, little output, one-line errors."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator

from lit_gen.errors import UserError, file_error
from lit_gen.malloc import reuse_freed_memory
from lit_gen.screen.quietness import SETTINGS, silence
from lit_gen.stopping.ends import ended_in_one_line
from lit_gen.stopping.processes import PROCESSES
from lit_gen.stopping.requests import REQUESTS
from lit_gen.stopping.stops import StoppedError

_QUIET = "--quiet"
# Nvidia's driver, the same under Windows' Linux, AMD's: where none of these is, there is no GPU for torch to find.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def configure_process(args: list[str]) -> None:
    """Configures the process for faster CPU training and shorter output; does not change results.

    If no GPU is used, GPUs are hidden before torch looks for one: otherwise every optimizer step probes for a driver
    (115 microseconds). And glibc keeps freed memory instead of returning each freed tensor to the kernel and
    faulting its pages in again (up to half of a convolutional network's step).

    Args:
        args: The command line, which may select the CPU.
    """
    on_cpu = "trainer.accelerator=cpu" in " ".join(args).replace("accelerator cpu", "accelerator=cpu")
    if on_cpu or (sys.platform == "linux" and not any(map(os.path.exists, _GPU_DEVICES))):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    reuse_freed_memory()
    quiet_logs()


# Advertisements, messages about limits that have no effect, and what our own lines and options say: devices, seed,
# TF32, and the end.
_IDLE = (
    "litlogger", "Tip:", "100% of the batches will be used", "GPU available", "TPU available", "HPU available",
    "Seed set to", "`Trainer.fit` stopped", "LOCAL_RANK: ", "Restoring states", "Restored all states", "Tensor Cores",
)  # fmt: skip


class _News(logging.Filter):
    """Passes each message once: a run builds several Trainers, each of which would list the accelerators."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is new and informative."""
        text = record.getMessage()
        news = text not in self._said and not any(part in text for part in _IDLE) and not SETTINGS.quiet
        self._said.add(text)
        return news


_NEWS = _News()


def quiet_logs() -> None:
    """Suppresses advertisements, repeated messages and warnings about other libraries' internals."""
    for module in (
        "pytorch.utilities.rank_zero", "fabric.utilities.rank_zero", "fabric.utilities.seed",
        "pytorch.accelerators.cuda",
    ):  # fmt: skip
        logging.getLogger(f"lightning.{module}").addFilter(_NEWS)
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    # The batches are slices of a tensor in memory: worker processes would only slow them down.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # A run that is resumed in its own folder finds its own checkpoints there.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # Curves are written every log_every_n_steps, regardless of the length of an epoch.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval")


@contextlib.contextmanager
def without_news() -> Iterator[None]:
    """Context without Lightning's messages about seeds and devices, for programs that build many Trainers."""
    quiet_logs()
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def run_command(command: Callable[[list[str]], int | None], args: list[str]) -> int:
    """Runs a command as a program does: bad input is one line on stderr and exit code 2, a failing disk exit code 1.

    A signal that asks to stop is one line too, and exit code 128 plus its number. With ``--quiet`` among the arguments,
    which the command itself does not see, only results, warnings and errors are printed.

    Args:
        command: Function of the command line that returns an exit code, or None for 0.
        args: The command line, without the program's name.

    Returns:
        The exit code.
    """
    if _QUIET in args:
        silence()
        args = [arg for arg in args if arg != _QUIET]
    with REQUESTS.listen():
        code = _outcome(command, args)
        if code:
            PROCESSES.kill_children(patience=1.0)
        return code


def _outcome(command: Callable[[list[str]], int | None], args: list[str]) -> int:
    try:
        with ended_in_one_line():
            return command(args) or 0
    except KeyboardInterrupt:  # outside the main thread, where signals are not handled
        return _say(StoppedError(signal.SIGINT))
    except UserError as error:
        return _say(error)
    except Exception as error:
        failed = file_error(error)
        if failed is None:
            raise
        return _say(failed)


def _say(error: UserError) -> int:
    """Prints an error, unless the reason why the process ends was printed already; returns the exit code."""
    if PROCESSES.claim_last_words():
        sys.stderr.write(f"error: {error}\n")
    return getattr(error, "exit_code", 2)
