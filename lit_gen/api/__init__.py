"""What a program or a notebook uses: loaded models, tables of records, and training; ``lit_gen`` names all of it."""
