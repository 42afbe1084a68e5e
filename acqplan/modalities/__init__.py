"""One folder for each instrument: everything that only it knows."""
