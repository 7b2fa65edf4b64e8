"""Writes ``.ci/checksums.txt``: every file that ``.ci/run`` installs, with its version and SHA-256.

    python -m pip install --dry-run --ignore-installed --report report.json -c constraints.txt -e '.[test]'
    python .ci/checksums.py report.json > .ci/checksums.txt

The files are those for Linux on x86-64 and Python 3.11, with what torch takes there for NVIDIA's cards.
"""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text())["install"]
    archives = {}
    for one in found:
        if archive := one["download_info"].get("archive_info"):
            archives[f"{one['metadata']['name']}=={one['metadata']['version']}"] = archive["hashes"]["sha256"]
    print("# Made by checksums.py, beside this file, which says how.")
    for name in sorted(archives, key=str.lower):
        print(f"{name} --hash=sha256:{archives[name]}")
