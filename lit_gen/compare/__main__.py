"""``lit-gen compare``: trains one model of each family on the same data, and shows them on one board."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from lit_gen.cli.arguments import Arguments
from lit_gen.cli.data_kind import data_file, value_of
from lit_gen.cli.process import configure_process, run_command
from lit_gen.compare.ladders import FAMILIES
from lit_gen.compare.plan import Plan, make_plan, read_plan
from lit_gen.compare.runner import baselines, check_folder, run_all
from lit_gen.errors import UserError, writing

PLAN = "plan.json"
USAGE = """usage: python -m lit_gen.compare --data.path=DIR [--minutes N] [--seeds N] [--families NAME ...] [--out DIR]
       python -m lit_gen.compare --config configs/data/mnist.yaml --minutes 60 --seeds 3

Trains one model of each family on the same data, one after the other, and shows them on one board with baselines. Each
model is the largest whose training fits its share of the time on this machine; sizes and budgets are measured first.

  --data.path=PATH      a folder of images or of recordings, or a text file; or --config with a data file
  --minutes N           time of all runs together (default 60)
  --seeds N             runs of each family, which differ in their seed alone (default 1)
  --families NAME ...   some of vae, flow, diffusion, gan, autoregressive (default: all that fit the data)
  --out DIR             folder of the comparison (default runs/compare-NAME); a stopped comparison goes on there
  --plan                measure, print the plan and end

Further options of lit_gen.fit, such as --data.transform.size=64 or --trainer.accelerator=gpu, hold for all runs."""


def main(args: list[str]) -> int:
    """Runs the command; returns its exit code: 1 if a run failed.

    Raises:
        UserError: If an option is wrong, or the data cannot be read.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return 0
    options, rest = _parsed(args)
    data = [*data_file(rest), *rest]
    folder = Path(options["out"] or f"runs/compare-{_name(data)}")
    plan_file = folder / PLAN
    check_folder(folder, plan_file)
    configure_process(rest)
    plan = _plan(options, data, plan_file)
    _print_plan(plan, folder)
    if options["plan"]:
        return 0
    failed = run_all(plan, folder)
    if missing := baselines(plan, folder):
        print(missing, file=sys.stderr)
    _board(folder)
    if failed:
        print(f"failed: {', '.join(failed)}; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def _parsed(args: list[str]) -> tuple[dict[str, Any], list[str]]:
    own = Arguments()
    own.add_argument("--minutes", type=float, default=60.0)
    own.add_argument("--seeds", type=int, default=1)
    own.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    own.add_argument("--out")
    own.add_argument("--plan", action="store_true")
    options, rest = own.split(args)
    if not 0 < options["minutes"] < math.inf:
        raise UserError(f"--minutes={options['minutes']:g}: give a positive number")
    if not 1 <= options["seeds"] <= 1000:
        raise UserError(f"--seeds={options['seeds']}: give a number from 1 to 1000")
    own_model = [arg for arg in rest if arg.startswith("--model")]
    if own_model:
        raise UserError(f"{own_model[0].split('=')[0]}: compare chooses the models; leave it out, or use lit-gen fit")
    return options, rest


def _name(data: list[str]) -> str:
    found = value_of(data, "--data.name") or Path(value_of(data, "--config") or "data").stem
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in found)


def _plan(options: dict[str, Any], data: list[str], file: Path) -> Plan:
    """The plan of an earlier start, or a new one, which is written unless only the plan is wanted."""
    families = list(dict.fromkeys(options["families"]))
    if file.is_file():
        plan = read_plan(file)
        if (plan.data, plan.minutes, plan.seeds) != (tuple(data), options["minutes"], options["seeds"]):
            raise UserError(
                f"{file} is of another comparison ({plan.minutes:g} minutes, {plan.seeds} seeds); repeat its options to"
                " go on, or give another --out"
            )
        return plan
    plan = make_plan(data, options["minutes"], options["seeds"], families)
    if not options["plan"]:
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            plan.write(file)
    return plan


def _print_plan(plan: Plan, folder: Path) -> None:
    total = plan.seeds * sum(choice.seconds for choice in plan.choices) / 60
    print(f"plan: {len(plan.choices) * plan.seeds} runs, about {total:.0f} min, {plan.num_samples:,} samples scored, in"
          f" {folder}")
    for choice in plan.choices:
        print(f"  {choice.family:<15} {choice.name}: {choice.parameters:,} parameters, {choice.examples:,} examples,"
              f" {choice.seconds:.0f} s a run")
    sys.stdout.flush()


def _board(folder: Path) -> None:
    from lit_gen.leaderboard.__main__ import main as leaderboard

    page = folder / "leaderboard.html"
    leaderboard([str(folder), "--html", str(page)])


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
