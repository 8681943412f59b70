"""Writes numbered lines, some a byte at a time and some of a mebibyte, until it has written enough or is told to end.

usage: lines.py COUNT DIRECTORY. Files in DIRECTORY tell how far it is: half.PID, done.PID.
"""
import os, signal, sys

count, directory = int(sys.argv[1]), sys.argv[2]
ending = False


def end(*_):
    global ending
    ending = True


def write(data):
    while data:
        data = data[os.write(1, data):]


def tell(what):
    open(os.path.join(directory, f"{what}.{os.getpid()}"), "w").close()


signal.signal(signal.SIGTERM, end)
me, number = os.getpid(), 0
while number < count and not ending:
    line = b"%d:%d:%s;\n" % (me, number, b"x" * (number % 120))
    if number % 5000 == 77:
        for byte in line:
            write(bytes([byte]))
    elif number % 20000 == 99:
        start = b"%d:%d:" % (me, number)
        write(start + b"y" * ((1 << 20) - len(start) - 1) + b";\n")
    else:
        write(line)
    number += 1
    if number == count // 2:
        tell("half")
# The last one has no newline.
write(b"%d:end:%d;" % (me, number))
tell("done")
while not ending:
    signal.pause()
