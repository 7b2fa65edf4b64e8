"""What happens when a run ends early: the other processes end too, and one line says how to go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lit_gen.errors import UserError
from lit_gen.stopping.processes import PROCESSES
from lit_gen.stopping.stops import LostError, Stop, StoppedError

_NEWS = 3.0  # seconds from an error of communication to the news of the process that caused it


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
        if not _of_communication(error) or (lost := PROCESSES.lost_within(_NEWS)) is None:
            raise
        raise LostError(lost, PROCESSES.advice()) from None


def _of_communication(error: Exception) -> bool:
    """Whether an exception may come from a collective: torch raises plain RuntimeErrors, and subclasses of them."""
    return isinstance(error, RuntimeError)
