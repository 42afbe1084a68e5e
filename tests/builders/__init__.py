"""Plans, recipes, networks, images, acquisitions and raw files that tests share. Each is made here and nowhere else."""
