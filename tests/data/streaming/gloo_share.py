"""One of two processes: writes down which images it was given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import distributed

from .sets import streamed


def main(rank: int, folder: str, out: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{out}/rendezvous", rank=rank, world_size=2)
    data = streamed(Path(folder), held_gb=0.0)
    common = {"overfit_batches": 0.0, "limit_train_batches": 1.0, "current_epoch": 0}
    data.trainer = SimpleNamespace(global_rank=distributed.get_rank(), world_size=2, **common)
    index = torch.cat([batch.index for batch in data.train_dataloader()])
    total = torch.tensor(len(index))
    distributed.all_reduce(total)
    val = torch.cat([batch.index for batch in data.val_dataloader()])
    found = {"index": index.tolist(), "val": val.tolist(), "sum": int(total)}
    torch.save(found, Path(out) / f"{rank}.pt")
    distributed.destroy_process_group()

