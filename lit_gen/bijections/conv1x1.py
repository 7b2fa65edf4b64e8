"""Invertible 1x1 convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection


class InvertibleConv1x1(Bijection):
    """One square matrix W applied to the channels at each position, with ``W = P L (U + diag(s))``.

    P is a fixed permutation, L lower triangular with ones on its diagonal, U strictly upper triangular; the
    signs of s are fixed and its logarithm is learned, so that ``log |det W| = sum log |s|`` is cheap to compute and W
    cannot become singular. W is initialized as a random rotation. A vector ``[B, D]`` is an image without positions.

    Args:
        num_channels: Size of dimension 1.

    References:
        Kingma, Dhariwal 2018, arXiv:1807.03039, section 3.2, equations 10 and 11.
    """

    P: Tensor
    sign: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(num_channels, num_channels))[0]
        P, L, U = torch.linalg.lu(rotation)
        s = U.diagonal()
        self.register_buffer("P", P)
        self.register_buffer("sign", s.sign())
        self.log_s = nn.Parameter(s.abs().log())
        self.L = nn.Parameter(L.tril(-1))
        self.U = nn.Parameter(U.triu(1))

    def _triangles(self) -> tuple[Tensor, Tensor]:
        L = self.L.tril(-1) + torch.eye(len(self.L), device=self.L.device)
        return L, self.U.triu(1) + torch.diag(self.sign * self.log_s.exp())

    @staticmethod
    def _rotate(W: Tensor, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a rotation in bfloat16 cannot be inverted accurately
            x = x.float()
            return x @ W.T if x.dim() == 2 else F.conv2d(x, W[:, :, None, None])

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        L, U = self._triangles()
        positions = x[0, 0].numel()
        with torch.autocast(x.device.type, enabled=False):
            W = self.P @ (L @ U)
        return self._rotate(W, x), (positions * self.log_s.sum()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Two triangular solves in float64 on the CPU: the matrix is small, and not every device supports float64."""
        L, U = (triangle.cpu().double() for triangle in self._triangles())
        eye = torch.eye(len(L), dtype=torch.float64)
        inverse_L = torch.linalg.solve_triangular(L, eye, upper=False, unitriangular=True)
        inverse_U = torch.linalg.solve_triangular(U, eye, upper=True)
        return self._rotate((inverse_U @ inverse_L @ self.P.cpu().double().T).to(z), z)
