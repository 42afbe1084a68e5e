#!/bin/sh
# Remakes this folder: ./remake.sh IMAGES, with the folder of training images (../CREDITS.md).
set -e
images=$(cd "${1:?name the folder of training images}" && pwd)
cd "$(dirname "$0")"
ln -sfn "$images" images
trap 'rm -f images' EXIT
acqplan design dmd --images images --budget 25% --photons 200 --base ../bases/cells-128.acqbase --size 128x128 --seed 0 --steps 60 --threads 1 --compact --overwrite -o cells-128-25pct-200e.acqplan
acqplan export cells-128-25pct-200e.acqplan --to numpy --overwrite -o numpy
acqplan export cells-128-25pct-200e.acqplan --to table --overwrite -o table
acqplan show cells-128-25pct-200e.acqplan --html plan.html --png preview.png --overwrite
acqplan show cells-128-25pct-200e.acqplan --json > evidence.json
