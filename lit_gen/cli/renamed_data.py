"""Options of data modules that have been renamed, for messages that name the new one."""

from __future__ import annotations

OLD_DATA_KEYS: dict[str, str] = {
    "data.size": "data.transform.size",
    "data.channels": "data.transform.channels",
    "data.crop": "data.transform.crop",
    "data.resize": "data.transform.resize",
    "data.subset": "data.hub.subset",
    "data.revision": "data.hub.revision",
    "data.root": "data.hub.root",
    "data.image_column": "data.columns.image",
    "data.label_column": "data.columns.label",
    "data.column": "data.columns.audio or data.columns.text",
    "data.separator": "data.columns.separator",
    "data.train_split": "data.splits.train",
    "data.val_split": "data.splits.val",
    "data.test_split": "data.splits.test",
    "data.num_train": "data.splits.num_train",
    "data.num_val": "data.splits.num_val",
    "data.num_test": "data.splits.num_test",
    "data.split_seed": "data.splits.seed",
    "data.max_memory_gb": "data.loader.max_memory_gb",
    "data.eval_batch_size": "data.loader.eval_batch_size",
    "data.seed": "data.loader.seed",
}
"""New names of options by their old names; both without ``init_args``."""
