#!/bin/sh
# Remakes this folder: ./remake.sh IMAGES, with the folder of training images (../CREDITS.md).
set -e
images=$(cd "${1:?name the folder of training images}" && pwd)
cd "$(dirname "$0")"
ln -sfn "$images" images
trap 'rm -f images' EXIT
acqplan design mri --images images --budget 12x --base ../bases/brain-points.acqbase --size 256x256 --seed 0 --steps 150 --threads 1 --fit pad --noise-range 0.5-2 --compact --overwrite -o brain-points-256-12x.acqplan
acqplan export brain-points-256-12x.acqplan --to numpy --overwrite -o numpy
acqplan export brain-points-256-12x.acqplan --to table --overwrite -o table
acqplan export brain-points-256-12x.acqplan --to bart --overwrite -o bart
acqplan show brain-points-256-12x.acqplan --html plan.html --png preview.png --overwrite
acqplan show brain-points-256-12x.acqplan --json > evidence.json
