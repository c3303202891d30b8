#!/usr/bin/env bash
# Every stage once on a GPU, and training, shadows and inversion there beside their peers: ten minutes at most.
# bash benchmarks/speed/gpu.sh        with leakbench and the extra [test] installed; gpu.sh cpu takes longer
# What it finds is left in $OUT (runs/gpu): quick.log, report.pdf, records.jsonl, speed.log, speed.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
device=${1:-cuda}
out=${OUT:-runs/gpu}
mkdir -p "$out"
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
limit=280
[ "$device" = cuda ] || limit=1800
status=0
timeout "$limit" python -m leakbench run quick --device "$device" --processes 1 --out "$run/quick" --cache "$run/cache" \
    2>&1 | tee "$out/quick.log" || status=$?
cp "$run"/quick/{report.pdf,records.jsonl} "$out" || status=$?
LEAKBENCH_BENCHMARK_DEVICE=$device timeout "$limit" python -m pytest benchmarks/speed/test_{training,shadows,synthesis}.py \
    --benchmark-enable -n 0 -s --benchmark-json "$out/speed.json" 2>&1 | tee "$out/speed.log" || status=$?
exit $status
