#!/usr/bin/env bash
# Draws docs/report.png, the picture of a report in the README, from a recording. Usage: docs/draw.sh PROGRAM RECORDING JOB
set -euo pipefail
program=$1 recording=$2 job=$3
work=$(mktemp -d)
trap 'kill "$local" 2>/dev/null || true; rm -rf "$work"' EXIT
export HOME=$work AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local PERSTACK_SHIPPER_LOG_GROUP=/perstack/prod
"$program" local --listen 127.0.0.1:0 2>"$work/said" &
local=$!
until url=$(grep -o 'http://127[^,]*' "$work/said" | head -n 1) && [[ -n $url ]]; do sleep 0.1; done
export AWS_ENDPOINT_URL=$url
"$program" <"$recording"
"$program" report --job "$job" >"$work/report.html"
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update \
    --disable-sync --hide-scrollbars --user-data-dir="$work/chromium" --window-size=1180,1130 --screenshot="$work/report.png" \
    "file://$work/report.html" 2>"$work/chromium.log"
mv "$work/report.png" "$(dirname "$0")/report.png"
