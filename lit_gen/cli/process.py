"""What makes a Python process a good command: quick, quiet, and brief about what is wrong."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Callable

from lit_gen.errors import UserError

# Nvidia's driver, the same under Windows' Linux, AMD's: where none of these is, there is no GPU for torch to find.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def configure_process(args: list[str]) -> None:
    """Settings of the process that change no number and make CPU training faster and its output shorter.

    Where no GPU is to be used, torch is told so before its first look: otherwise every optimizer step probes for
    a driver (115 microseconds). And glibc is kept from handing each freed tensor back to the kernel, only to
    fault its pages in anew (up to half of a convolutional net's step).

    Args:
        args: The command line, which may ask for the CPU.
    """
    on_cpu = "trainer.accelerator=cpu" in " ".join(args).replace("accelerator cpu", "accelerator=cpu")
    if on_cpu or (sys.platform == "linux" and not any(map(os.path.exists, _GPU_DEVICES))):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    tune_malloc()
    quiet_logs()


class _News(logging.Filter):
    """Lets a line pass once: a run builds several Trainers, and each would name the machine's accelerators."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is worth reading."""
        text = record.getMessage()
        # An advertisement; and a limit of ours that means none.
        idle = "litlogger" in text or "100% of the batches will be used" in text
        news = text not in self._said and not idle
        self._said.add(text)
        return news


_NEWS = _News()


def quiet_logs() -> None:
    """Keeps what is no news from the screen: an advertisement, what was said before, another library's internals."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_NEWS)
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    # The batches are slices of a tensor in memory: worker processes would only slow them down.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # Curves are written every log_every_n_steps whatever the epoch's length.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval")


def tune_malloc() -> None:
    """Lets glibc keep what is freed for the next tensor; elsewhere than on glibc, does nothing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_top_pad, 64 * 2**20)


def run_command(command: Callable[[list[str]], None], args: list[str]) -> int:
    """Runs a command as a program does: bad input is one line on stderr and exit code 2.

    Returns:
        The exit code.
    """
    try:
        command(args)
    except KeyboardInterrupt:
        sys.stderr.write("error: stopped\n")
        return 130
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return getattr(error, "exit_code", 2)
    return 0
