"""Callbacks for any family: they use ``sample`` and the likelihood only."""

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.checkpoint import BestCheckpoint
from lit_gen.callbacks.compile import Compile
from lit_gen.callbacks.curves import Curves
from lit_gen.callbacks.diagnostics import Diagnostics
from lit_gen.callbacks.ema import EMA
from lit_gen.callbacks.end_state import EndState
from lit_gen.callbacks.interrupt import Interrupt
from lit_gen.callbacks.keep_config import KeepConfig
from lit_gen.callbacks.keep_data import KeepData
from lit_gen.callbacks.metrics_file import KeepMetrics
from lit_gen.callbacks.progress import ProgressBar
from lit_gen.callbacks.rescue import Rescue
from lit_gen.callbacks.same_buffers import SameBuffers
from lit_gen.callbacks.sample_grid import SampleGrid
from lit_gen.callbacks.sample_quality import SampleQuality
from lit_gen.callbacks.schedule import Schedule
from lit_gen.callbacks.step_seed import StepSeed
from lit_gen.callbacks.summary_table import SummaryTable
from lit_gen.callbacks.throughput import Throughput
from lit_gen.callbacks.time_needed import TimeNeeded

__all__ = [
    "EMA",
    "BestCheckpoint",
    "Budget",
    "Compile",
    "Curves",
    "Diagnostics",
    "EndState",
    "Interrupt",
    "KeepConfig",
    "KeepData",
    "KeepMetrics",
    "ProgressBar",
    "Rescue",
    "SameBuffers",
    "SampleGrid",
    "SampleQuality",
    "Schedule",
    "StepSeed",
    "SummaryTable",
    "Throughput",
    "TimeNeeded",
]
