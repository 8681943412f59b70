"""Executes its arguments with the inherited sockets 3, 4, ... non-blocking.

nginx takes sockets that NGINX names for those of an nginx before it, which are non-blocking. On one that blocks, which
siblings share, a worker waits in accept() for ever when another was quicker, and hears of no stop.
"""

import os
import sys

for descriptor in range(3, 3 + int(os.environ.get("LISTEN_FDS", "0"))):
    os.set_blocking(descriptor, False)
os.execv(sys.argv[1], sys.argv[1:])
