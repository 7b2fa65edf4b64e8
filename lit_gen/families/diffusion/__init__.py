"""Diffusion and flow matching: data are noised step by step or all the way, and a network learns to undo it."""

from lit_gen.families.diffusion.ddpm import DDPM
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.edm import EDM
from lit_gen.families.diffusion.flow_matching import FlowMatching
from lit_gen.families.diffusion.improved_ddpm import ImprovedDDPM, ImprovedDDPMVLB
from lit_gen.families.diffusion.learned_schedule import Linear, Monotone, ScheduleOf
from lit_gen.families.diffusion.pairing import Coupling, IndependentCoupling, OptimalTransportCoupling
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.schedules import CosineSchedule, EvenLevels, LinearBetas, NoiseSchedule
from lit_gen.families.diffusion.vdm import VDM

__all__ = [
    "DDPM",
    "EDM",
    "VDM",
    "CosineSchedule",
    "Coupling",
    "Diffusion",
    "EvenLevels",
    "FlowMatching",
    "ImprovedDDPM",
    "ImprovedDDPMVLB",
    "IndependentCoupling",
    "Linear",
    "LinearBetas",
    "Monotone",
    "NoiseSchedule",
    "OptimalTransportCoupling",
    "Sampling",
    "ScheduleOf",
]
