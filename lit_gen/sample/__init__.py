"""``python -m lit_gen.sample``: shows what a trained model generates. Importing this is cheap."""
