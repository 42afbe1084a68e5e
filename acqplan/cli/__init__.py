"""The command line: the only part of acqplan that prints.

Exit codes: 0 done; 1 a bug, with its traceback; 2 the input is wrong, with one line of cause and one of remedy;
130 stopped by Ctrl-C (143 by a termination signal).
"""

from acqplan.cli.app import main

__all__ = ["main"]
