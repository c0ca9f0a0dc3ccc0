"""quickly(ROUND, ARGS...): the file that a round of calls leaves open, and what others saw of what it staged.

A second of its writer's silence publishes what is staged, and a busy machine makes such silences: only a round that was quicker counts.
A round that is tried again begins with a value of its own."""
import contextlib, os, time

def quickly(round, *args):
    for i in range(10):
        began = time.monotonic()
        fd, *seen = round(*args)
        if time.monotonic() - began < 0.9: return fd, *seen
        with contextlib.suppress(OSError): os.close(fd)  # the round may have done so
    raise SystemExit("no round is quick enough")
