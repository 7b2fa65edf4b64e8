"""``python -m lit_gen.sample CHECKPOINT``: pictures, text or recordings of what a trained model makes."""

from __future__ import annotations

import sys
from pathlib import Path

from lit_gen.cli.process import run_command
from lit_gen.errors import UserError
from lit_gen.sample.options import parse

USAGE = """usage: python -m lit_gen.sample CHECKPOINT [--OPTION VALUE ...] [--SECTION.OPTION=VALUE ...]

Shows what a trained model makes, with its averaged weights where it has some, and prints where it is: a picture of
images, a file of text, or a WAV file for each recording, as the data are. The configuration is the one the checkpoint
carries; any option of lit_gen.fit overrides it, as in

  python -m lit_gen.sample runs/glow-digits-.../checkpoints/best.ckpt --temperature 0.7
  python -m lit_gen.sample CHECKPOINT --scoring.weights=raw --trainer.accelerator=cpu
  python -m lit_gen.sample CHECKPOINT --interpolate 3 14 --interpolate 15 92
  python -m lit_gen.sample CHECKPOINT --complete 3 14 15 --given 0.5
  python -m lit_gen.sample CHECKPOINT --prompt "ROMEO:" --n 3

samples, unless something else is asked for:
  --n N            how many (64 images, 8 of anything else)
  --label K        of class K, for a model trained with labels
  --temperature T  for a model that has one
  --sampler NAME   of a diffusion model, such as ddim
  --sampler-steps N
                   how many of its steps
  --guidance G     of a diffusion model with classes: 1 for none

--prompt TEXT      text that begins so, for an autoregressive model of text; it goes on to the window's end

--complete I J ... examples I, J ... and what an autoregressive model makes of their beginnings. Of images a row each,
                   framed: the real image, and what is given of it. Of text and audio one after the other: the real
                   window, what is given of it, its completions. Without --label, a model with classes draws the class
                   by what is given
  --given SHARE    of its rows, or of its length, that is given (0.5)
  --k K            completions of each (5)

--interpolate I J  the way from image I to image J through the latents, for a model that has an encoder; may be
                   given several times, a row each. Framed: the real images; beside them their reconstructions
  --steps K        images on the way, the reconstructions included (10)
  --linear         along straight lines, not along great circles

--nearest          each sample (framed) beside the training images nearest to it, the least new sample first, and
                   how near that is for a held-out image: a sample much nearer than that is a copy
  --k K            neighbours of each (5)

of all of them:
  --split test|val where the examples I and J, or the held-out ones, are taken from (test)
  --seed SEED      names the noise (0): the same seed, the same samples
  --out FILE       where to write: FILE.png for images, FILE.txt for text; for audio FILE.wav, which becomes
                   FILE-0.wav, FILE-1.wav ...; beside the run's own samples if not given

All further options: python -m lit_gen.fit --help"""


def main(args: list[str]) -> None:
    """The command."""
    if not args or not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        if args:
            return
    if not args or args[0].startswith("-"):
        raise UserError("which checkpoint? give its path first")
    options, rest = parse(args[1:])
    # torch and Lightning are not waited for by those who ask for help, or misspell an option.
    from lit_gen.sample.draw import draw

    draw(Path(args[0]), options, rest)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
