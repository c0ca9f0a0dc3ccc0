"""Loads that run while something happens to the cluster; they end when the file STOP exists.

    load.py write DIR STOP KEYS     appends the next number to each of KEYS files (seqK) and puts it whole to another
                                    (valK), over and over; reads back what it wrote at once
    load.py read DIR STOP KEYS      reads these through another mount: a sequence only grows, a value never goes back
    load.py check DIR ROUNDS KEYS   afterwards: every sequence is exactly 1 … ROUNDS, each once, in order

The last line says `rounds=N operations=N longest_ms=N`. Any operation that fails ends it with a sentence and status 1."""
import os, sys, time

class Clock:
    def __init__(self): self.n, self.longest = 0, 0.0
    def time(self, what, f, *args):
        start = time.monotonic()
        try: result = f(*args)
        except OSError as e: sys.exit(f"{what}: {e.strerror} ({e.errno}) after {time.monotonic() - start:.3f} s")
        self.n += 1
        self.longest = max(self.longest, time.monotonic() - start)
        return result

def with_file(path, flags, f):
    fd = os.open(path, flags, 0o644)
    try: return f(fd)
    finally: os.close(fd)

def append(path, data): with_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, lambda fd: os.write(fd, data))
def put(path, data): with_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, lambda fd: os.write(fd, data))
def get(path): return with_file(path, os.O_RDONLY, lambda fd: b"".join(iter(lambda: os.read(fd, 1 << 20), b"")))
def get_or_nothing(path):
    try: return get(path)
    except FileNotFoundError: return b""

def sequence(n): return b"".join(b"%d\n" % i for i in range(1, n + 1))
def value(k, n): return b"key %d round %d\n" % (k, n)
def want(got, wanted, what):
    if got != wanted: sys.exit(f"{what}: read {len(got)} bytes ending in {got[-40:]!r}, wanted {len(wanted)} ending in {wanted[-40:]!r}")

def write(clock, d, stop, keys):
    n = 0
    while not os.path.exists(stop):
        n += 1
        for k in range(keys):
            clock.time(f"append seq{k}", append, f"{d}/seq{k}", b"%d\n" % n)
            clock.time(f"put val{k}", put, f"{d}/val{k}", value(k, n))
            want(clock.time(f"get val{k}", get, f"{d}/val{k}"), value(k, n), f"val{k} of round {n}")
        k = n % keys
        want(clock.time(f"get seq{k}", get, f"{d}/seq{k}"), sequence(n), f"seq{k} of round {n}")
    return n

def read(clock, d, stop, keys):
    seen_seq, seen_val, rounds = [0] * keys, [0] * keys, 0
    while not os.path.exists(stop):
        rounds += 1
        for k in range(keys):
            seq = clock.time(f"get seq{k}", get_or_nothing, f"{d}/seq{k}")
            n = seq.count(b"\n")
            want(seq, sequence(n), f"seq{k}")
            val = clock.time(f"get val{k}", get_or_nothing, f"{d}/val{k}")
            m = int(val.split()[3]) if val else 0
            want(val, value(k, m) if m else b"", f"val{k}")
            if n < seen_seq[k] or m < seen_val[k]: sys.exit(f"key {k} went back: {seen_seq[k]} to {n}, {seen_val[k]} to {m}")
            seen_seq[k], seen_val[k] = n, m
    return rounds

def check(clock, d, rounds, keys):
    for k in range(keys):
        want(clock.time(f"get seq{k}", get, f"{d}/seq{k}"), sequence(int(rounds)), f"seq{k}")
        want(clock.time(f"get val{k}", get, f"{d}/val{k}"), value(k, int(rounds)), f"val{k}")
    return int(rounds)

clock = Clock()
rounds = {"write": write, "read": read, "check": check}[sys.argv[1]](clock, sys.argv[2], sys.argv[3], int(sys.argv[4]))
print(f"rounds={rounds} operations={clock.n} longest_ms={int(clock.longest * 1000)}")
