#!/bin/sh
# Remakes this folder: ./remake.sh IMAGES, with the folder of training images (../CREDITS.md).
set -e
images=$(cd "${1:?name the folder of training images}" && pwd)
cd "$(dirname "$0")"
ln -sfn "$images" images
trap 'rm -f images' EXIT
acqplan design dmd --images images --budget 25% --photons 200 --base ../bases/cells-64.acqbase --size 64x64 --seed 0 --steps 200 --threads 1 --compact --overwrite -o cells-64-25pct-200e.acqplan
acqplan export cells-64-25pct-200e.acqplan --to numpy --overwrite -o numpy
acqplan export cells-64-25pct-200e.acqplan --to table --overwrite -o table
acqplan export cells-64-25pct-200e.acqplan --to dmd-tiff --device 1024x768 --overwrite -o dmd-tiff
acqplan show cells-64-25pct-200e.acqplan --html plan.html --png preview.png --overwrite
acqplan show cells-64-25pct-200e.acqplan --json > evidence.json
