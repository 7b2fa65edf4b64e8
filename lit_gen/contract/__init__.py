"""The interface that every model implements."""

from lit_gen.contract.example_values import ExampleValues
from lit_gen.contract.generative_module import Examples, GenerativeModule, block_within
from lit_gen.contract.likelihood_module import Batch
from lit_gen.contract.model_options import Diagnosis, Estimation, SamplingOptions, Tempered
from lit_gen.contract.stages import EncodesToIntegers

__all__ = [
    "Batch",
    "Diagnosis",
    "EncodesToIntegers",
    "Estimation",
    "ExampleValues",
    "Examples",
    "GenerativeModule",
    "SamplingOptions",
    "Tempered",
    "block_within",
]
