#!/bin/sh
# A worker without a socket: says that it is ready, works until TERM, and ends with 0. Its child is ended with it.
# With READY_FD set, readiness is a line on that descriptor. With NOTIFIER set (a command that sends lines to
# NOTIFY_SOCKET), it is READY=1, and with WATCHDOG_USEC it beats in its loop.
stop() {
    echo "worker.sh: stopping"
    kill "$child" 2>/dev/null
    exit 0
}
notify() { echo "$1" | $NOTIFIER; }
trap stop TERM INT
sleep 86400 &
child=$!
echo "worker.sh: ready"
if [ -n "${READY_FD:-}" ]; then eval "echo ready >&$READY_FD"; fi
if [ -n "${NOTIFIER:-}" ]; then notify READY=1; fi
while [ -n "${NOTIFIER:-}" ] && [ -n "${WATCHDOG_USEC:-}" ]; do
    notify WATCHDOG=1
    sleep 0.2
done
while :; do wait "$child" || exit 1; done
