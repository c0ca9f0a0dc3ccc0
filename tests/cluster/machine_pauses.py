"""How long this machine takes its processors away from everybody: a thread of the highest priority on each sleeps for a millisecond, again and
again, and is late when the machine (or the host that it is a guest of) did something else.

    machine_pauses.py DIR      until it is killed or DIR is gone; DIR/machine.N: how late at most in the last two to four seconds, in us.
                               Needs root"""
import os, sys, time

WINDOW_S = 2.0

def watch(cpu, path, parent):
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
    longest = before = 0.0
    began = time.monotonic()
    while os.getppid() == parent:
        asleep = time.monotonic()
        time.sleep(0.001)
        late = time.monotonic() - asleep - 0.001
        if late > longest or asleep - began >= WINDOW_S:
            if asleep - began >= WINDOW_S:
                before, longest, began = longest, 0.0, asleep
            longest = max(longest, late)
            with open(path + ".new", "w") as out:
                out.write(f"{int(max(longest, before) * 1e6)}\n")
            os.rename(path + ".new", path)

def main():
    parent = os.getppid()
    for cpu in sorted(os.sched_getaffinity(0))[1:]:
        above = os.getpid()
        if os.fork() == 0:
            parent = above
            break
    else:
        cpu = min(os.sched_getaffinity(0))
    try:
        watch(cpu, os.path.join(sys.argv[1], f"machine.{cpu}"), parent)
    except FileNotFoundError:
        pass

main()
