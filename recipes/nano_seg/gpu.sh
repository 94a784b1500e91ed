#!/bin/sh
# Trains the embedded segmentation weights on one CUDA card within ten minutes:
#
#   sh recipes/nano_seg/gpu.sh PACK START.pt OUT
#
# PACK is what `python -m recipes.nano_seg.pack` and `recipes.nano_seg.teachers` wrote (parts of less than 30 MB, which
# may travel one by one), START.pt a one-class checkpoint. The checkpoint is OUT/fastsam-nano-seg.pt, OUT/*.csv the losses.
# The settings are those of a run on a CPU but for the batch and the rate, which goes with its square root. Not yet
# run on a card; on a CPU `DEVICE=cpu BATCH=2 WORKERS=0 RUN=0.2 COOL=0.2` goes through the same steps.
set -eu
pack=$1 start=$2 out=$3
run() { "${PYTHON:-python}" -m recipes.nano_seg.fit "$@" --out "$out/run" --device "${DEVICE:-cuda}" --workers "${WORKERS:-14}"; }
run run --pack "$pack" --weights "$start" --batch "${BATCH:-64}" --lr "${LR:-1.1e-3}" --minutes "${RUN:-6}"
run cool --minutes "${COOL:-2}"
cp "$out"/run/cooled-*.pt "$out/fastsam-nano-seg.pt"
cp "$out"/run/*.csv "$out/"
