"""Diffusion and flow matching: a network learns to reverse a process that adds noise to data."""

from lit_gen.families.diffusion.ddpm import DDPM
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.edm import EDM, KarrasGrid
from lit_gen.families.diffusion.flow_matching import FlowMatching
from lit_gen.families.diffusion.improved_ddpm import ImprovedDDPM, ImprovedDDPMVLB
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.learned_schedule import Linear, Monotone, ScheduleOf
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.pairing import IndependentPairing, OptimalTransportPairing, Pairing
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.schedules import CosineSchedule, EvenLevels, LinearBetas, NoiseSchedule
from lit_gen.families.diffusion.vdm import VDM

__all__ = [
    "DDPM",
    "EDM",
    "VDM",
    "CosineSchedule",
    "Diffusion",
    "EvenLevels",
    "FlowMatching",
    "ImprovedDDPM",
    "ImprovedDDPMVLB",
    "IndependentPairing",
    "KarrasGrid",
    "Labels",
    "Linear",
    "LinearBetas",
    "Monotone",
    "NoiseSchedule",
    "OdeSettings",
    "OptimalTransportPairing",
    "Pairing",
    "Sampling",
    "ScheduleOf",
]
