"""Writers whose every put is timed, and what they saw while shards moved. Times are microseconds of the wall clock, as bash's
EPOCHREALTIME without its dot.

    pause.py write STOP LOG FILE…       one process per FILE: puts a small value whole, over and over, until STOP exists;
                                        each put is a line `start latency` in LOG.N
    pause.py pauses ENDS LOG…           for each line `end` of the file ENDS (a shard's new group serves, somebody was told at
                                        `end`): the longest put that was under way in the 150 ms before; and their distribution
    pause.py p99 FROM TO LOG…           99th percentile of latencies of puts that began in [FROM, TO), and how many
    pause.py below MILLISECONDS ENDS LOG…  status 1 unless half of the pauses are at most that long"""
import os, sys, time

WINDOW_US = 150000

def now(): return time.time_ns() // 1000

def write(stop, log, path):
    n = 0
    with open(log, "w", buffering=1 << 20) as out:
        while not os.path.exists(stop):
            n += 1
            start, began = now(), time.monotonic_ns()
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try: os.write(fd, b"round %d\n" % n)
            finally: os.close(fd)
            out.write(f"{start} {(time.monotonic_ns() - began) // 1000}\n")
            time.sleep(0.001)

def write_all(stop, log, *paths):
    pids = []
    for i, path in enumerate(paths):
        pid = os.fork()
        if pid == 0:
            write(stop, f"{log}.{i}", path)
            os._exit(0)
        pids.append(pid)
    sys.exit(any(os.waitpid(pid, 0)[1] for pid in pids))

def puts(logs):
    for log in logs:
        with open(log) as f:
            for line in f: yield tuple(map(int, line.split()))

def quantile(values, share): return sorted(values)[min(len(values) - 1, int(len(values) * share))]

def find_pauses(ends, logs):
    all_puts, found = list(puts(logs)), []
    for end in map(int, open(ends)):
        meanwhile = [l for t, l in all_puts if t < end and t + l > end - WINDOW_US]
        if meanwhile: found.append(max(meanwhile))
    if not found: sys.exit("no puts before any end")
    return found

def pauses(ends, *logs):
    found = find_pauses(ends, logs)
    print(f"moves={len(found)} min_us={min(found)} median_us={quantile(found, 0.5)} max_us={max(found)} all_us={','.join(map(str, found))}")

def below(ms, ends, *logs): sys.exit(quantile(find_pauses(ends, logs), 0.49) > int(ms) * 1000)

def p99(start, end, *logs):
    inside = [l for t, l in puts(logs) if int(start) <= t < int(end)]
    if not inside: sys.exit("no puts then")
    print(f"p99_us={quantile(inside, 0.99)} median_us={quantile(inside, 0.5)} max_us={max(inside)} puts={len(inside)}")

{"write": write_all, "pauses": pauses, "below": below, "p99": p99}[sys.argv[1]](*sys.argv[2:])
