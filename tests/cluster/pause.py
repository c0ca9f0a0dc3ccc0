"""Writers whose every put is timed, and what they saw while shards moved.

    pause.py write STOP LOG FILE…       one process per FILE: puts a small value whole, over and over, until STOP exists;
                                        each put is a line `start latency` (microseconds) in LOG.N
    pause.py pauses PHASES LOG…         of each phase of the file PHASES (lines `name start end`) the longest gap
                                        between two puts of a writer, and their distribution over all phases
    pause.py p99 FROM TO LOG…           99th percentile of latencies of puts that began in [FROM, TO), and how many
    pause.py now                        the clock of all of these"""
import os, sys, time

def now(): return time.monotonic_ns() // 1000

def write(stop, log, path):
    n = 0
    with open(log, "w", buffering=1 << 20) as out:
        while not os.path.exists(stop):
            n += 1
            start = now()
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try: os.write(fd, b"round %d\n" % n)
            finally: os.close(fd)
            out.write(f"{start} {now() - start}\n")
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

def lines(logs):
    for log in logs:
        with open(log) as f: yield [tuple(map(int, l.split())) for l in f]

def quantile(values, share): return sorted(values)[min(len(values) - 1, int(len(values) * share))]

def pauses(phases, *logs):
    found, writers = [], list(lines(logs))
    for phase in open(phases):
        name, start, end = phase.split()
        inside = [l for w in writers for t, l in w if int(start) <= t < int(end)]
        if inside: found.append(max(inside))
    if not found: sys.exit("no puts in any phase")
    print(f"moves={len(found)} min_us={min(found)} median_us={quantile(found, 0.5)} max_us={max(found)} all_us={','.join(map(str, found))}")

def p99(start, end, *logs):
    inside = [l for w in lines(logs) for t, l in w if int(start) <= t < int(end)]
    if not inside: sys.exit("no puts then")
    print(f"p99_us={quantile(inside, 0.99)} median_us={quantile(inside, 0.5)} max_us={max(inside)} puts={len(inside)}")

def show_now(): print(now())

{"write": write_all, "pauses": pauses, "p99": p99, "now": show_now}[sys.argv[1]](*sys.argv[2:])
