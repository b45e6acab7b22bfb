#!/bin/sh
# Entry point of an Expert's container on ECS: runs the agent once in the life of the task. A container that ECS restarts in the
# same task has the same volume, finds the mark there, and only ships what the one before it could not. It is restarted by the exit code
# 75, with which both commands end when something is left: an agent that failed must not hide that.
#
# usage: wrap.sh COMMAND ARG…    with PERSTACK_SHIPPER_JOURNAL_DIR below the volume
set -eu

mark=$(dirname "$PERSTACK_SHIPPER_JOURNAL_DIR")/agent-was-started
if mkdir "$mark" 2>/dev/null; then
    exec perstack-shipper exec --left-code 75 -- "$@"
fi
if [ ! -d "$mark" ]; then
    echo "$0: $mark cannot be made: let PERSTACK_SHIPPER_JOURNAL_DIR be in a folder that can be written" >&2
    exit 2
fi
exec perstack-shipper resume
