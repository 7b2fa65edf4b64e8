"""``python -m lit_gen.sample``: looking at a trained model. Importing this costs nothing."""
