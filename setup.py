"""Packages of the wheel: those of ``lit_gen``, and its configurations and sweeps, which lie at the top of a checkout.

Everything else stands in ``pyproject.toml``, which cannot name packages both by a search and by their folders.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lit_gen", "lit_gen.*"]), "lit_gen.configs", "lit_gen.sweeps"],
    package_dir={"lit_gen.configs": "configs", "lit_gen.sweeps": "sweeps"},
)
