#!/bin/sh
# Remakes this folder's plan, files, page and evidence. Needs acqplan[samples]; minutes on two cores.
set -e
cd "$(dirname "$0")"
acqplan design mri --images sample:brain --budget 4x --pattern points --size 128x128 --steps 1200 --threads 1 --seed 0 \
  --overwrite -o brain-4x.acqplan
acqplan export brain-4x.acqplan --to bart --overwrite -o bart
acqplan export brain-4x.acqplan --to table --overwrite -o table
acqplan export brain-4x.acqplan --to numpy --overwrite -o numpy
acqplan show brain-4x.acqplan --html plan.html --overwrite --png preview.png
acqplan show brain-4x.acqplan --json > evidence.json
