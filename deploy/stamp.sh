#!/bin/sh
# Prints a recorded run as if it had ended just now: shifts all of its timestamps by the same time. CloudWatch accepts the
# time of an event only for two weeks, and `aws logs tail` shows the last ten minutes.
#
# usage: stamp.sh RECORDING
set -eu
export LC_ALL=C

last=$(grep -o '"timestamp":[0-9]*' "$1" | cut -d: -f2 | sort -n | tail -n 1)
awk -v "later=$(($(date +%s) * 1000 - ${last:-0}))" '{
  line = ""
  for (rest = $0; match(rest, /"timestamp":[0-9]+/); rest = substr(rest, RSTART + RLENGTH)) {
    time = substr(rest, RSTART + 12, RLENGTH - 12)
    line = line substr(rest, 1, RSTART + 11) sprintf("%.0f", time + later)
  }
  print line rest
}' "$1"
