"""``python -m acqplan``."""

import sys

from acqplan.cli import main

if __name__ == "__main__":
    sys.exit(main())
