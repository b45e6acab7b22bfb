#!/bin/sh
# Entry point of an Expert's container on ECS: runs the agent once in the life of the task. When ECS restarts the container
# in the same task, the new container has the same volume, finds the mark there, and only ships what was left. Exit code 75
# causes the restart. Both commands exit with 75 when something is left, even if the agent failed.
#
# usage: wrap.sh COMMAND ARG…    with PERSTACK_SHIPPER_JOURNAL_DIR below the volume
set -eu

mark=$(dirname "$PERSTACK_SHIPPER_JOURNAL_DIR")/agent-was-started
if mkdir "$mark" 2>/dev/null; then
    exec perstack-shipper exec --left-code 75 -- "$@"
fi
if [ ! -d "$mark" ]; then
    echo "$0: $mark cannot be created: set PERSTACK_SHIPPER_JOURNAL_DIR to a path in a writable folder" >&2
    exit 2
fi
exec perstack-shipper resume
