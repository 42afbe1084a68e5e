#!/bin/sh
# Remakes this folder's plan, files, page and evidence. Needs acqplan[samples]; minutes on two cores.
set -e
cd "$(dirname "$0")"
acqplan design dmd --images sample:cells --budget 12.5% --size 64x64 --photons 200 --steps 1200 --threads 1 --seed 0 \
  --overwrite -o cells-12.5pct.acqplan
acqplan export cells-12.5pct.acqplan --to dmd-tiff --device 1024x768 --overwrite -o dmd-tiff
acqplan export cells-12.5pct.acqplan --to table --overwrite -o table
acqplan export cells-12.5pct.acqplan --to numpy --overwrite -o numpy
acqplan show cells-12.5pct.acqplan --html plan.html --overwrite --png preview.png
acqplan show cells-12.5pct.acqplan --json > evidence.json
