"""What happens when a run ends early: the other processes end too, and one line says how to go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lit_gen.errors import UserError
from lit_gen.stopping.processes import PROCESSES
from lit_gen.stopping.stops import LostError, Stop, StoppedError

_NEWS = 3.0  # seconds from an error of communication to the news of the process that caused it
_UNREACHABLE = "another process of the run ended or cannot be reached"


@contextlib.contextmanager
def ended_in_one_line() -> Iterator[None]:
    """Ends the run's other processes when a signal stops it, and describes a stop or a lost process in one line.

    Whatever still hangs some seconds later, such as an upload, is ended by force.

    Raises:
        StoppedError: If a signal stopped the run.
        LostError: If another process of the run ended, on whatever exception that led to here.
    """
    try:
        yield
    except Stop as stop:
        stopped = StoppedError(stop.number, PROCESSES.advice())
        PROCESSES.end_within(stopped.exit_code, str(stopped))
        PROCESSES.kill_children()
        raise stopped from None
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, RuntimeError):  # what torch raises in a collective, and subclasses
            raise
        found = PROCESSES.lost_within(_NEWS) or (_UNREACHABLE if _of_communication(error) else None)
        if found is None:
            raise
        raise LostError(found, PROCESSES.advice()) from None


def _of_communication(error: Exception) -> bool:
    """Whether a collective failed; processes that a launcher such as ``srun`` starts do not learn more."""
    text = str(error)
    return any(word in text for word in ("gloo/transport", "ncclRemoteError", "NCCL communicator was aborted"))
