#!/usr/bin/env bash
# Demonstrates perstack-shipper without AWS: starts its own CloudWatch Logs endpoint, ships a recorded run through a pipe
# as `perstack run` would, reads the run back and prints the tokens of its steps. Leaves nothing behind.
#
# usage: deploy/demo.sh PROGRAM RECORDING
set -euo pipefail

program=$(realpath "$1")
recording=$2
group=/perstack/demo

work=$(mktemp -d)
endpoint=
cleanup() {
  trap '' INT TERM
  if [[ -n $endpoint ]]; then
    kill "$endpoint" 2>/dev/null || true
    wait "$endpoint" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[[ -t 1 ]] || step() { printf '\n%s\n' "$*"; }

step "1. An endpoint for CloudWatch Logs on this machine: perstack-shipper local"
mkfifo "$work/said"
"$program" local --listen 127.0.0.1:0 --dir "$work/cloudwatch" 2>"$work/said" &
endpoint=$!
exec 3<"$work/said"
said=
read -r said <&3 || true
if [[ ! $said =~ (http://[0-9.:]+), ]]; then
  echo "the endpoint did not start: $said" >&2
  exit 1
fi
# Keep reading what the endpoint prints, so that it never blocks.
cat <&3 >/dev/null &
url=${BASH_REMATCH[1]}
echo "${said%% In another shell:}"
export AWS_ENDPOINT_URL=$url AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo
export AWS_EC2_METADATA_DISABLED=true XDG_STATE_HOME=$work/state
unset AWS_PROFILE AWS_SESSION_TOKEN
# If something is wrong, the demo should fail soon.
export PERSTACK_SHIPPER_GIVE_UP_AFTER=20s PERSTACK_SHIPPER_DRAIN_TIMEOUT=2s

step "2. A recorded run through the pipe: cat $(basename "$recording") | perstack-shipper --log-group $group"
"$(dirname "$0")/stamp.sh" "$recording" >"$work/run.jsonl" # as if the run had just ended
recording=$work/run.jsonl
cat "$recording" | "$program" --log-group "$group"

step "3. Read back: perstack-shipper logs --log-group $group --job …"
job=$(sed -n '/"jobId"/{s/.*"jobId":"\([^"]*\)".*/\1/p;q;}' "$recording")
"$program" logs --log-group "$group" --job "$job" >"$work/back.jsonl"
if ! cmp "$recording" "$work/back.jsonl"; then
  echo "what came back differs from what was shipped" >&2
  exit 1
fi
echo "$(wc -l <"$work/back.jsonl") lines of job $job, byte for byte as they were shipped"

if ! command -v jq >/dev/null; then
  step "4. The run's first lines, as text, because there is no jq here to add up its tokens"
  "$program" logs --log-group "$group" --job "$job" | cut -c1-100 | sed -n 1,10p
  exit
fi

step "4. Tokens per step: perstack-shipper logs --log-group $group --job … | jq …"
# The event of a delegate or interactive tool repeats the usage of the callTools before it.
# shellcheck disable=SC2016 # the $ are jq's
"$program" logs --log-group "$group" --job "$job" | jq -rs '
  map(select(.usage and .type != "callDelegate" and .type != "callInteractiveTool"))
  | (["expert", "step", "event", "input", "output", "cached"]),
    (.[] | [.expertKey, .stepNumber, .type, .usage.inputTokens, .usage.outputTokens, .usage.cachedInputTokens]),
    (["all", "", "", (map(.usage.inputTokens) | add), (map(.usage.outputTokens) | add), (map(.usage.cachedInputTokens) | add)])
  | @tsv' | awk -F '\t' '{ printf "%-22s %4s  %-12s %7s %7s %7s\n", $1, $2, $3, $4, $5, $6 }'
