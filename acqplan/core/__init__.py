"""What everything stands on, and no imaging: errors, the registry, seeds, atomic files, guarded HDF5."""
