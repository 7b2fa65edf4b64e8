"""lit_gen: train any family of generative model, and believe the comparison.

Importing the package is cheap: each subpackage is imported where it is used. From Python:

- ``load(run_or_checkpoint)``: a trained model that samples and computes likelihoods;
- ``train(config, **values)``: trains and scores, with the values of the YAML files;
- ``read_records(folder)``: the scores of all runs below a folder as a table.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from lit_gen.stopping.early import handle_signals_of_program

# Read by the OpenMP library when torch loads it, hence here. Its threads otherwise wait for each other by spinning:
# with other processes on the same two cores the digits' VAE trained at 340 images/s instead of 6,700.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Read when torch is loaded. Otherwise a process that loses the others prints a C++ stack with its one line.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

handle_signals_of_program()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lit_gen.api.loading import load
    from lit_gen.api.record_table import read_records
    from lit_gen.api.training import train

__all__ = ["load", "read_records", "train"]

_MODULES = {"load": "loading", "read_records": "record_table", "train": "training"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: torch and Lightning are not loaded by importing the package."""
    if name not in _MODULES:
        raise AttributeError(f"module 'lit_gen' has no attribute '{name}'")
    return getattr(importlib.import_module(f"lit_gen.api.{_MODULES[name]}"), name)
