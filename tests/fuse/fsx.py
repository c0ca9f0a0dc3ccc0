"""Random operations on one file, compared with the same on bytes in memory.

    fsx.py FILE SEED N [map]

Writes, reads, truncations (by handle and by path), fsync, opening again; with `map` also reads and writes through shared maps. The first
difference ends it with the last operations; the seed replays them."""
import mmap, os, random, sys

LARGEST = 3 << 20
SIZES = (1, 10, 100, 511, 4095, 4096, 4097, 10000, 65536, 131072, 300000)

class File:
    def __init__(self, path, seed):
        self.path, self.random = path, random.Random(seed)
        self.good, self.trace = bytearray(), []
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

    def note(self, at, data):
        self.good.extend(bytes(max(0, at - len(self.good))))
        self.good[at:at + len(data)] = data

    def resized(self, size):
        del self.good[size:]
        self.good.extend(bytes(size - len(self.good)))

    def do_write(self, at, n):
        data = self.random.randbytes(n)
        assert os.pwrite(self.fd, data, at) == n
        self.note(at, data)

    def do_read(self, at, n): self.same(os.pread(self.fd, n, at), at, n)
    def do_ftruncate(self, at, n): os.ftruncate(self.fd, at); self.resized(at)
    def do_truncate(self, at, n): os.truncate(self.path, at); self.resized(at)
    def do_fsync(self, at, n): os.fsync(self.fd)
    def do_size(self, at, n): assert os.fstat(self.fd).st_size == len(self.good), os.fstat(self.fd).st_size
    def do_open(self, at, n):
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)
    def do_other(self, at, n):
        with open(self.path, "rb", buffering=0) as f: self.same(f.readall(), 0, len(self.good))

    def mapped(self, at, n, todo):
        if not self.good: return
        at %= len(self.good)
        with mmap.mmap(self.fd, len(self.good), mmap.MAP_SHARED) as m: todo(m, at, min(n, len(self.good) - at))
    def do_map_read(self, at, n): self.mapped(at, n, lambda m, at, n: self.same(m[at:at + n], at, n))
    def do_map_write(self, at, n):
        def write(m, at, n):
            data = self.random.randbytes(n)
            m[at:at + n] = data
            if self.random.random() < 0.5: m.flush()
            self.note(at, data)
        self.mapped(at, n, write)

    def same(self, got, at, n):
        wanted = bytes(self.good[at:at + n])
        first = next((i for i, (x, y) in enumerate(zip(got, wanted)) if x != y), min(len(got), len(wanted)))
        assert got == wanted, f"{len(got)} and {len(wanted)} bytes, different from {at + first}"

    def step(self, ops):
        op = self.random.choice(ops)
        at = self.random.randrange(LARGEST if self.random.random() < 0.3 else min(LARGEST, len(self.good) + 5000))
        if self.random.random() < 0.3: at &= ~4095
        n = self.random.choice(SIZES)
        self.trace.append(f"{op} {n} at {at}, of {len(self.good)}")
        getattr(self, "do_" + op)(at, n)

def main():
    path, seed, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ops = ["write"] * 6 + ["read"] * 6 + ["ftruncate", "truncate", "open", "other", "fsync", "size"]
    if sys.argv[4:] == ["map"]: ops += ["map_read", "map_write"] * 3
    f = File(path, seed)
    for i in range(n):
        try: f.step(ops)
        except (AssertionError, OSError) as e: sys.exit("\n".join(f.trace[-20:]) + f"\nseed {seed}, step {i}: {e!r}")
    os.close(f.fd)
    assert open(path, "rb").read() == f.good

main()
