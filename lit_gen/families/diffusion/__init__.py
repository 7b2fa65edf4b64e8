"""Diffusion and flow matching: a network learns to reverse a process that adds noise to data."""

from lit_gen.families.diffusion.ddpm import DDPM
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.edm import EDM, KarrasGrid
from lit_gen.families.diffusion.flow_matching import FlowMatching
from lit_gen.families.diffusion.improved_ddpm import ImprovedDDPM, ImprovedDDPMVLB
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.langevin import Langevin
from lit_gen.families.diffusion.learned_schedule import Linear, Monotone, ScheduleOf
from lit_gen.families.diffusion.ncsn import NCSN, Ladder
from lit_gen.families.diffusion.ncsn_v2 import NCSNv2
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.pairing import IndependentPairing, OptimalTransportPairing, Pairing
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.schedules import CosineSchedule, EvenLevels, LinearBetas, NoiseSchedule
from lit_gen.families.diffusion.score_matching import Denoising, Exact, ScoreMatching, Sliced
from lit_gen.families.diffusion.score_sde import ScoreSDE
from lit_gen.families.diffusion.sde import SDE, VESDE, VPSDE, SubVPSDE
from lit_gen.families.diffusion.vdm import VDM
from lit_gen.families.diffusion.weighting import LikelihoodWeighting, NoiseWeighting, Weighting

__all__ = [
    "DDPM",
    "EDM",
    "NCSN",
    "SDE",
    "VDM",
    "VESDE",
    "VPSDE",
    "CosineSchedule",
    "Denoising",
    "Diffusion",
    "EvenLevels",
    "Exact",
    "FlowMatching",
    "ImprovedDDPM",
    "ImprovedDDPMVLB",
    "IndependentPairing",
    "KarrasGrid",
    "Labels",
    "Ladder",
    "Langevin",
    "LikelihoodWeighting",
    "Linear",
    "LinearBetas",
    "Monotone",
    "NCSNv2",
    "NoiseSchedule",
    "NoiseWeighting",
    "OdeSettings",
    "OptimalTransportPairing",
    "Pairing",
    "Sampling",
    "ScheduleOf",
    "ScoreMatching",
    "ScoreSDE",
    "Sliced",
    "SubVPSDE",
    "Weighting",
]
