#!/bin/sh
# A worker without a socket: says that it is ready, works until TERM, and ends with 0. Its child is ended with it.
# With READY_FD set, readiness is a line on that descriptor.
stop() {
    echo "worker.sh: stopping"
    kill "$child" 2>/dev/null
    exit 0
}
trap stop TERM INT
sleep 86400 &
child=$!
echo "worker.sh: ready"
if [ -n "${READY_FD:-}" ]; then eval "echo ready >&$READY_FD"; fi
while :; do wait "$child" || exit 1; done
