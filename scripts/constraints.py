"""Write the versions that images are built with: of this environment, or of a folder that pip installed into.

python scripts/constraints.py > docker/constraints.txt
python scripts/constraints.py FOLDER > docker/constraints-diarization.txt
"""

from __future__ import annotations

import sys
from importlib import metadata

_LEFT_OUT = {"aftercall", "pip", "setuptools", "wheel"}


def main() -> None:
    """Print one line for each package, in order."""
    found = {
        each.metadata["Name"].lower().replace("_", "-"): each.version
        for each in metadata.distributions(path=sys.argv[1:] or sys.path)
    }
    lines = [
        "# Written by scripts/constraints.py.",
        *(f"{name}=={found[name]}" for name in sorted(found.keys() - _LEFT_OUT)),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
