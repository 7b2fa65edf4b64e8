"""lit_gen: train any family of generative model, and believe the comparison.

Importing the package is cheap: each subpackage is imported where it is used.
"""

import os

from lit_gen.stopping.early import handle_signals_of_program

# Read by the OpenMP library when torch loads it, hence here. Its threads otherwise wait for each other by spinning:
# with other processes on the same two cores the digits' VAE trained at 340 images/s instead of 6,700.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Read when torch is loaded. Otherwise a process that loses the others prints a C++ stack with its one line.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

handle_signals_of_program()

__version__ = "0.1.0"
