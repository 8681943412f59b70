"""Says that it is ready and beats as often as it is asked to, from its only loop. TERM ends it."""
import os
import socket
import time

sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.environ["NOTIFY_SOCKET"])
sender.send(b"READY=1")
while True:
    time.sleep(int(os.environ["WATCHDOG_USEC"]) / 2e6)
    sender.send(b"WATCHDOG=1")
