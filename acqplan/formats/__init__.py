"""File formats that hardware and other software load: `check`, `write` and `read` side by side, one file each."""
