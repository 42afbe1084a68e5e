"""File formats that hardware and other software load, and images: reading, writing and recognising side by side.

`contracts` says what a format can do, and each format that no instrument owns is one module here; the others stand with
their modality. The ways in and out that all of them go through are `export` (patterns), `save` and `lookup` (acquired
data), and `results` (reconstructed images).
"""
