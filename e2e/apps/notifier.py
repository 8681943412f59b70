"""Sends each line of its input to NOTIFY_SOCKET, for programs whose language cannot."""
import os
import socket
import sys

sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.environ["NOTIFY_SOCKET"])
for line in sys.stdin:
    sender.send(line.encode())
