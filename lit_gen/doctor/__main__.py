"""``python -m lit_gen.doctor``: looks at the machine and the installation, and says what to do."""

from __future__ import annotations

import sys

from lit_gen.cli.arguments import Arguments
from lit_gen.cli.process import quiet_logs, run_command
from lit_gen.errors import UserError

USAGE = """usage: python -m lit_gen.doctor [--report]

Shows versions, devices, the precision that is fast here (measured in about a second), threads, W&B, feature networks,
data, disks and memory. A line that begins with ! names what would make a run fail, with - what could be better; the
line below it says what to do. Exit code 1 if there is a !.

  --report   the same to paste into an issue: without paths, names of users and hosts, addresses and keys"""


def main(args: list[str]) -> int:
    """Runs the command; returns 1 if something would make a run fail.

    Raises:
        UserError: There is an argument that it does not have.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return 0
    parser = Arguments()
    parser.add_argument("--report", action="store_true")
    options, rest = parser.split(args)
    if rest:
        raise UserError(f"doctor takes --report alone, but was given '{rest[0]}'")
    quiet_logs()
    # Help and errors in arguments need no torch.
    from lit_gen.doctor import devices, findings, places, software

    checks = [
        software.versions, devices.devices, devices.threads, devices.precision, places.memory, places.disks,
        places.data, places.networks, places.wandb,
    ]  # fmt: skip
    found = []
    for finding in findings.found_by(checks):
        found.append(finding)
        if not options["report"]:
            print(findings.line(finding), flush=True)
    if options["report"]:
        print(findings.report(found))
    return int(any(finding.state == "wrong" for finding in found))


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
