"""acqplan: plan image acquisition under an exact measurement budget."""

__version__ = "0.1.0"
