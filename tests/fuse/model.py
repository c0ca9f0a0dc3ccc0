"""A model of the file system in memory, and a driver that does the same random operations to it and to two mounts.

    model.py MOUNT_A MOUNT_B KEY_SHARD NSHARDS SEED N [ONLY]

Results and errnos must be equal; the first difference ends it with the last operations and the seed, which replays the same
ones. ONLY stops before the N operations are done, to look at what is there.

The model says what programs may rely on (rgkvfs(8)): one tree for both mounts, each operation at one moment; what a file handle has
written is staged until a short write, a read, flush or fsync, and is seen until then by its own process only, in the size. What is written in
place is committed before another open or a truncation through that mount. A handle reads one version
from beginning to end; one that may write, or has read nothing yet, sees what its own mount has changed since. What it leaves to the mount it does not do: the other mount removes or
renames nothing that is open here."""
import ctypes, errno, os, random, stat, subprocess, sys, time

COMPONENT_MAX, PATH_MAX, VALUE_MAX = 255, 1024, 4 << 30
NOREPLACE, EXCHANGE = 1, 2
AT_FDCWD = -100
libc = ctypes.CDLL(None, use_errno=True)

class Fails(Exception):
    def __init__(self, name): self.name = name

class Node:
    """A file ("f"), directory ("d") or symbolic link ("l")."""
    def __init__(self, kind, mode, uid=0, gid=0):
        self.kind, self.mode, self.uid, self.gid = kind, mode, uid, gid
        self.data, self.children, self.target, self.xattrs, self.mtime = b"", {}, "", {}, None
        self.version = self.base = 0             # base: the last change that was no append
        self.handles = set()
        self.changes = [0, 0]                    # by each mount

    def changed(self, mount, append=False):
        Model.clock += 1
        self.changes[mount] += 1
        self.version = Model.clock
        if not append: self.base = self.version
        self.mtime = None

class Handle:
    """An open file: what is staged on it, and the version that it reads."""
    def __init__(self, node, mount, flags):
        self.node, self.mount, self.flags = node, mount, flags
        self.whole, self.ranges = False, []
        self.pin, self.pin_version, self.next, self.fresh = None, 0, 0, False
        self.served, self.pin_changes = False, node.changes[mount]
        self.orphan = False
        self.touched()
        self.opened, self.opened_at = self.wrote, self.wrote_at

    def touched(self): self.wrote, self.wrote_at = time.monotonic(), Model.operations

    def staged(self): return self.whole or bool(self.ranges)
    def writes(self): return self.flags & os.O_ACCMODE != os.O_RDONLY
    def reads(self): return self.flags & os.O_ACCMODE != os.O_WRONLY

    def updates(self): return self.reads() and self.writes()
    def outdated(self, at):
        beside = at != self.next and any(h.mount == self.mount and h.updates() for h in self.node.handles)
        return self.pin_changes != self.node.changes[self.mount] and (self.updates() or not self.served or beside)

    def shown(self):
        """What the value is once it is committed."""
        value = bytearray(b"" if self.whole else self.node.data)
        for at, data in self.ranges:
            value.extend(bytes(max(0, at - len(value))))
            value[at:at + len(data)] = data
        return bytes(value)

    def commit(self):
        if not self.staged(): return
        self.node.data = self.shown()
        self.node.changed(self.mount)
        self.whole, self.ranges, self.pin = False, [], None

class Model:
    clock = operations = 0

    def __init__(self, shard_of):
        self.root, self.shard_of = Node("d", 0o755), shard_of
        self.cross = False                       # files are renamed across shards

    # ---- names ----

    def walk(self, path, leaf=True):
        """The directory that holds the last component, and its name."""
        parts, node = path.split("/"), self.root
        for part in parts[:-1]: node = self.step(node, part)
        if node.kind != "d": raise Fails("ENOENT" if node.kind == "l" else "ENOTDIR")
        if leaf and len(parts[-1]) > COMPONENT_MAX: raise Fails("ENAMETOOLONG")
        return node, parts[-1]

    def step(self, node, part):
        if node.kind == "l": raise Fails("ENOENT")        # all links dangle
        if node.kind != "d": raise Fails("ENOTDIR")
        if len(part) > COMPONENT_MAX: raise Fails("ENAMETOOLONG")
        if part not in node.children: raise Fails("ENOENT")
        return node.children[part]

    def find(self, path, follow=True):
        if not path: return self.root
        parent, name = self.walk(path)
        node = self.step(parent, name)
        if follow and node.kind == "l": raise Fails("ENOENT")
        return node

    def maybe(self, path):
        try: return self.find(path, follow=False)
        except Fails: return None

    def add(self, path, node):
        parent, name = self.walk(path)
        if name in parent.children: raise Fails("EEXIST")
        parent.children[name] = node
        parent.mtime = None
        if parent.mode & stat.S_ISGID:
            node.gid = parent.gid
            if node.kind == "d": node.mode |= stat.S_ISGID
        return node

    def file(self, path):
        node = self.find(path)
        if node.kind == "d": raise Fails("EISDIR")
        return node

    # ---- operations on names ----

    def mkdir(self, mount, path, mode): self.add(path, Node("d", mode))
    def symlink(self, mount, path, target): self.add(path, Node("l", 0o777)).target = target
    def mkfifo(self, mount, path):
        parent, name = self.walk(path)
        raise Fails("EEXIST" if name in parent.children else "EPERM")
    def link(self, mount, path, path2):
        self.find(path, follow=False)
        parent, name = self.walk(path2)
        raise Fails("EEXIST" if name in parent.children else "EPERM")
    def readlink(self, mount, path):
        node = self.find(path, follow=False)
        if node.kind != "l": raise Fails("EINVAL")
        return node.target

    def gone(self, node):
        for h in node.handles:                   # only this mount's: they go on with a copy
            copy = Node("f", node.mode)
            copy.data = node.data
            if h.staged(): copy.data = h.shown()
            h.node, h.orphan, h.whole, h.ranges = copy, True, False, []
        node.handles = set()

    def unlink(self, mount, path):
        node = self.find(path, follow=False)
        if node.kind == "d": raise Fails("EISDIR")
        parent, name = self.walk(path)
        del parent.children[name]
        parent.mtime = None
        self.gone(node)

    def rmdir(self, mount, path):
        node = self.find(path, follow=False)
        if node.kind != "d": raise Fails("ENOTDIR")
        if node.children: raise Fails("ENOTEMPTY")
        parent, name = self.walk(path)
        del parent.children[name]
        parent.mtime = None

    def rename(self, mount, path, path2, flags):
        parent, name = self.walk(path, leaf=False)
        parent2, name2 = self.walk(path2, leaf=False)
        node = self.step(parent, name)
        self.walk(path2)
        other = parent2.children.get(name2)
        if other and flags & NOREPLACE: raise Fails("EEXIST")
        if not other and flags & EXCHANGE: raise Fails("ENOENT")
        if path2.startswith(path + "/"): raise Fails("EINVAL" if node.kind == "d" else "ENOTDIR")
        if path.startswith(path2 + "/"): raise Fails("EINVAL" if flags & EXCHANGE else "ENOTEMPTY")
        if node is other: return
        if other and not flags & EXCHANGE and (node.kind == "d") != (other.kind == "d"):
            raise Fails("ENOTDIR" if node.kind == "d" else "EISDIR")
        if self.shard_of(path) != self.shard_of(path2):
            if flags & EXCHANGE: raise Fails("EINVAL")
            if node.kind == "d" or not self.cross: raise Fails("EXDEV")
        if not flags & EXCHANGE and other and other.children: raise Fails("ENOTEMPTY")
        self.fits(node, path2)
        if flags & EXCHANGE: self.fits(other, path)
        if flags & EXCHANGE: parent.children[name], parent2.children[name2] = other, node
        else:
            del parent.children[name]
            parent2.children[name2] = node
            if other: self.gone(other)
        parent.mtime = parent2.mtime = None
        for n in (node, other):
            if not n: continue
            Model.clock += 1
            n.version = Model.clock
            if self.shard_of(path) != self.shard_of(path2): n.base = n.version

    def fits(self, node, path):
        if len(os.fsencode(path)) > PATH_MAX: raise Fails("ENAMETOOLONG")
        for name, child in node.children.items(): self.fits(child, f"{path}/{name}")

    def listdir(self, mount, path):
        node = self.find(path)
        if node.kind != "d": raise Fails("ENOTDIR")
        return sorted((name, n.kind) for name, n in node.children.items())

    # ---- attributes ----

    def stat(self, mount, path):
        node = self.find(path, follow=False)
        size = {"f": len(node.data), "d": 0, "l": len(node.target)}[node.kind]
        for h in node.handles:
            if h.mount == mount and h.staged(): size = len(h.shown())
        return node.kind, node.mode, node.uid, node.gid, size, node.mtime

    def chmod(self, mount, path, mode):
        self.find(path).mode = mode

    def chown(self, mount, path, uid, gid):
        node = self.find(path, follow=False)
        if uid >= 0: node.uid = uid
        if gid >= 0: node.gid = gid
        if node.kind == "f":                     # the kernel takes them away
            node.mode &= ~stat.S_ISUID
            if node.mode & stat.S_IXGRP: node.mode &= ~stat.S_ISGID

    def utime(self, mount, path, ns):
        node = self.find(path)
        for h in node.handles:
            if h.mount == mount: h.commit()
        node.mtime = ns

    def setxattr(self, mount, path, name, value, flags):
        node = self.find(path)
        if len(value) > 65536: raise Fails("E2BIG")
        if node is self.root or not name.startswith("user."): raise Fails("ENOTSUP")
        if name.startswith("user.rgkv."): raise Fails("EPERM")
        if name in node.xattrs and flags & os.XATTR_CREATE: raise Fails("EEXIST")
        if name not in node.xattrs and flags & os.XATTR_REPLACE: raise Fails("ENODATA")
        node.xattrs[name] = value
    def getxattr(self, mount, path, name):
        node = self.find(path)
        if name not in node.xattrs: raise Fails("ENODATA")
        return node.xattrs[name]
    def listxattr(self, mount, path):
        node = self.find(path)
        return sorted(node.xattrs)
    def removexattr(self, mount, path, name):
        node = self.find(path)
        if name.startswith("user.rgkv."): raise Fails("EPERM")
        if name not in node.xattrs: raise Fails("ENODATA")
        del node.xattrs[name]

    # ---- whole files ----

    def get(self, mount, path):
        node = self.file(path)
        self.publish(mount, node)
        return node.data

    def publish(self, mount, node):
        """What is written in place there comes before what comes now."""
        for h in node.handles:
            if h.mount == mount and h.writes() and not h.whole: h.commit()

    def put(self, mount, path, data, mode, excl):
        parent, name = self.walk(path)
        node = parent.children.get(name)
        if node and excl: raise Fails("EEXIST")
        if node is None: node = self.add(path, Node("f", mode))
        elif node.kind == "l": raise Fails("ENOENT")
        elif node.kind == "d": raise Fails("EISDIR")
        self.publish(mount, node)
        node.data = data
        node.changed(mount)

    def append(self, mount, path, data):
        parent, name = self.walk(path)
        node = parent.children.get(name) or self.add(path, Node("f", 0o644))
        if node.kind == "l": raise Fails("ENOENT")
        if node.kind == "d": raise Fails("EISDIR")
        self.publish(mount, node)
        node.data += data
        node.changed(mount, append=True)

    def patch(self, mount, path, at, data):
        node = self.file(path)
        self.publish(mount, node)
        if at + len(data) > VALUE_MAX: raise Fails("EFBIG")
        node.data = node.data[:at].ljust(at, b"\0") + data + node.data[at + len(data):]
        node.changed(mount)

    def truncate(self, mount, path, size):
        node = self.file(path)
        if size > VALUE_MAX: raise Fails("EFBIG")
        self.publish(mount, node)
        node.data = node.data[:size].ljust(size, b"\0")
        node.changed(mount)

    # ---- open files ----

    def open(self, mount, path, flags):
        node = self.file(path)
        h = Handle(node, mount, flags)
        node.handles.add(h)
        if h.reads() and not flags & os.O_TRUNC: h.pin, h.pin_version, h.fresh = node.data, node.version, True
        if h.writes() and flags & os.O_TRUNC: h.whole = True
        return h

    def close(self, h):
        if not h.orphan:
            h.commit()
            h.node.handles.discard(h)

    def write(self, h, data, at):
        if h.orphan:
            if h.flags & os.O_APPEND: at = len(h.node.data)
            h.node.data = h.node.data[:at].ljust(at, b"\0") + data + h.node.data[at + len(data):]
        elif h.flags & os.O_APPEND:
            h.commit()
            h.node.data += data
            h.node.changed(h.mount, append=True)
            h.pin = None
        else:
            h.ranges.append((at, data))
            if len(data) < 4096 and (at + len(data)) % 4096: h.commit()
        h.touched()
        return len(data)

    def read(self, h, at, n):
        """All answers that are right."""
        node = h.node
        if h.orphan:
            older = at and h.pin is not None and h.served and not h.writes() and h.pin_version != node.version
            if older: return [h.pin[at:at + n]]
            h.pin = None
            return [node.data[at:at + n]]
        h.commit()
        moves_on = at == 0 or (h.writes() and at != h.next)
        if h.pin is None or (moves_on and not h.fresh) or h.outdated(at): self.take(h)
        elif h.fresh and h.pin_version != node.version:
            h.fresh = False
            return self.either(h, at, n)
        elif at >= len(h.pin) and h.pin_version != node.version:
            if node.base <= h.pin_version:
                served = h.served
                self.take(h)
                h.served = served
        h.fresh = False
        return [h.pin[at:at + n]]

    def either(self, h, at, n):
        """The first read may be given what came with the open, or what is there now: by that one knows what the handle reads."""
        return [h.pin[at:at + n], h.node.data[at:at + n]]

    def take(self, h):
        h.pin, h.pin_version, h.pin_changes, h.served = h.node.data, h.node.version, h.node.changes[h.mount], False

    def ftruncate(self, h, size):
        if size > VALUE_MAX: raise Fails("EFBIG")
        if h.orphan: h.node.data = h.node.data[:size].ljust(size, b"\0")
        elif size == 0: h.whole, h.ranges = True, []
        else:
            data = h.shown()
            h.whole, h.ranges = True, [(0, data[:size].ljust(size, b"\0"))]
            h.commit()
        h.touched()

# ---- the driver: the same to the mounts ----

KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}
def cut(text): return text if len(text) < 60 else f"{text[:40]}…({len(text)})"

class Real:
    """The operations of Model, on the mounts."""
    def __init__(self, mounts): self.mounts = mounts
    def path(self, mount, path): return f"{self.mounts[mount]}/{path}"
    def with_file(self, mount, path, flags, mode, todo):
        fd = os.open(self.path(mount, path), flags, mode)
        try: result = todo(fd)
        except OSError:
            try: os.close(fd)
            except OSError: pass
            raise
        os.close(fd)
        return result

    def mkdir(self, m, path, mode): os.mkdir(self.path(m, path), mode)
    def symlink(self, m, path, target): os.symlink(target, self.path(m, path))
    def mkfifo(self, m, path): os.mkfifo(self.path(m, path))
    def link(self, m, path, path2): os.link(self.path(m, path), self.path(m, path2), follow_symlinks=False)
    def readlink(self, m, path): return os.readlink(self.path(m, path))
    def unlink(self, m, path): os.unlink(self.path(m, path))
    def rmdir(self, m, path): os.rmdir(self.path(m, path))
    def rename(self, m, path, path2, flags):
        a, b = (os.fsencode(self.path(m, p)) for p in (path, path2))
        if libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, flags): raise OSError(ctypes.get_errno(), "renameat2")
    def listdir(self, m, path):
        with os.scandir(self.path(m, path)) as entries:
            return sorted((e.name, "l" if e.is_symlink() else "d" if e.is_dir(follow_symlinks=False) else "f") for e in entries)
    def stat(self, m, path):
        s = os.lstat(self.path(m, path))
        return KINDS[stat.S_IFMT(s.st_mode)], stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns
    def chmod(self, m, path, mode): os.chmod(self.path(m, path), mode)
    def chown(self, m, path, uid, gid): os.lchown(self.path(m, path), uid, gid)
    def utime(self, m, path, ns): os.utime(self.path(m, path), ns=(ns, ns))
    def setxattr(self, m, path, name, value, flags): os.setxattr(self.path(m, path), name, value, flags)
    def getxattr(self, m, path, name): return os.getxattr(self.path(m, path), name)
    def listxattr(self, m, path): return sorted(os.listxattr(self.path(m, path)))
    def removexattr(self, m, path, name): os.removexattr(self.path(m, path), name)

    def get(self, m, path):
        with open(self.path(m, path), "rb", buffering=0) as f: return f.readall()
    def put(self, m, path, data, mode, excl):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_EXCL if excl else 0)
        self.with_file(m, path, flags, mode, lambda fd: self.write_all(fd, data))
    def append(self, m, path, data):
        self.with_file(m, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644, lambda fd: self.write_all(fd, data))
    def patch(self, m, path, at, data): self.with_file(m, path, os.O_WRONLY, 0, lambda fd: os.pwrite(fd, data, at))
    def truncate(self, m, path, size): os.truncate(self.path(m, path), size)
    def write_all(self, fd, data):
        if not data: os.fsync(fd)                # else it is put when the kernel releases the file, which nobody waits for
        while data: data = data[os.write(fd, data):]

class Driver:
    def __init__(self, mounts, model, seed):
        self.random = random.Random(seed)
        self.real, self.model = Real(mounts), model
        self.blob = self.random.randbytes(4 << 20)
        self.open = []                           # (fd, handle, path when it was opened)
        self.trace, self.done, self.counts, self.errors = [], 0, {}, {}

    # ---- choosing ----

    def name(self, depth): return self.random.choice(NAMES[:6 if depth else 8])
    def path(self):
        """Any name, or one in a directory that is there: else most of them would be below files."""
        if self.random.random() < 0.6:
            node, path = self.model.root, ""
            while True:
                name = self.random.choice(sorted(node.children)) if node.children and self.random.random() < 0.6 else self.name(path.count("/") + bool(path))
                path = f"{path}/{name}".lstrip("/")
                node = node.children.get(name)
                if not node or node.kind != "d" or path.count("/") == 3 or self.random.random() < 0.2: return path
        depth = self.random.choices((1, 2, 3, 4), (30, 50, 15, 5))[0]
        if self.random.random() < 0.01: return "/".join(self.name(i) for i in range(depth - 1)) + ("/" if depth > 1 else "") + self.random.choice(ODD)
        return "/".join(self.name(i) for i in range(depth))
    def size(self):
        return self.random.choice((0, 1, 5, 100, 511, 4095, 4096, 4097, 8192, 5000, 65535, 65536, 65537, 100000)
                                  if self.random.random() < 0.98 else ((1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20))
    def data(self, size=None):
        size = self.size() if size is None else size
        at = self.random.randrange(len(self.blob) - size)
        return self.blob[at:at + size]
    def offset(self): return self.random.choice((0, 0, 1, 100, 4000, 4096, 65536, 70000, 131072, self.random.randrange(200000)))
    def mode(self): return self.random.choice((0o644, 0o600, 0o755, 0o000, 0o777, 0o4755, 0o2755, 0o2644, 0o6711))

    # ---- comparing ----

    def fail(self, what):
        last = self.trace[-1].split("'")         # and what was done to the same names before
        names = {f"'{n}'" for n in last[1::2]}
        print(*(t for t in self.trace[-3000:-25] if any(n in t for n in names)), "…", *self.trace[-25:], sep="\n")
        sys.exit(f"{what}\nafter {self.done} operations")

    def errno_of(self, todo):
        try: return todo(), "ok"
        except OSError as e: return None, errno.errorcode.get(e.errno, str(e.errno))
        except Fails as e: return None, e.name

    def both(self, op, *args):
        mount = self.random.randrange(2)
        self.trace.append(f"{self.done} {'ab'[mount]} {op} " + " ".join(cut(repr(a)) for a in args))
        wanted, wanted_errno = self.errno_of(lambda: getattr(self.model, op)(mount, *args))
        got, got_errno = self.errno_of(lambda: getattr(self.real, op)(mount, *args))
        self.compare(op, wanted, wanted_errno, got, got_errno)

    def compare(self, op, wanted, wanted_errno, got, got_errno):
        self.counts[op] = self.counts.get(op, 0) + 1
        self.errors[wanted_errno] = self.errors.get(wanted_errno, 0) + 1
        if wanted_errno != got_errno: self.fail(f"{op}: {got_errno}, the model says {wanted_errno}")
        if op == "stat" and wanted and got:
            if wanted[0] == "d": got = got[:4] + (0, got[5])
            if wanted[5] is None: got = got[:5] + (None,)
        if wanted != got: self.fail(f"{op}: {cut(repr(got))}, the model says {cut(repr(wanted))}{self.where(wanted, got)}")

    def where(self, wanted, got):
        if not isinstance(wanted, bytes) or not isinstance(got, bytes): return ""
        at = next((i for i, (x, y) in enumerate(zip(wanted, got)) if x != y), min(len(wanted), len(got)))
        return f"; {len(got)} and {len(wanted)} bytes, different from {at}"

    # ---- one operation ----

    def held(self, path, mount):
        """Open here, or something below it: the other mount is to leave it alone."""
        node = self.model.maybe(path)
        def below(n):
            yield n
            for c in n.children.values(): yield from below(c)
        return node is not None and any(h.mount != mount for n in below(node) for h in n.handles)

    def step(self):
        Model.operations = self.done = self.done + 1
        now = time.monotonic()
        for entry in list(self.open):            # before the mount does so by itself, and before its version is forgotten
            fd, h, path = entry
            if h.staged() and (self.done - h.wrote_at > 20 or now - h.wrote > 0.4): self.fsync(entry)
            if self.done - h.opened_at > 1000 or now - h.opened > 20: self.close(entry)
        op = self.random.choices(OPS, WEIGHTS)[0]
        getattr(self, "do_" + op)()

    def do_put(self): self.both("put", self.path(), self.data(), self.mode(), self.random.random() < 0.3)
    def do_append(self): self.both("append", self.path(), self.data(min(self.size(), 70000)))
    def do_patch(self): self.both("patch", self.path(), self.offset() if self.random.random() < 0.98 else VALUE_MAX, self.data(min(self.size(), 100000) or 1))
    def do_truncate(self): self.both("truncate", self.path(), self.random.choice((0, 1, 4096, 5000, 65536, 100000, VALUE_MAX + 1)))
    def do_get(self): self.both("get", self.path())
    def do_stat(self): self.both("stat", self.path())
    def do_mkdir(self): self.both("mkdir", self.path(), self.random.choice((0o755, 0o700, 0o777)))
    def do_symlink(self): self.both("symlink", self.path(), "nowhere/" + "x" * self.random.choice((1, 50, 200)))
    def do_readlink(self): self.both("readlink", self.path())
    def do_mkfifo(self): self.both("mkfifo", self.path())
    def do_link(self): self.both("link", self.path(), self.path())
    def do_listdir(self): self.both("listdir", self.path() if self.random.random() < 0.9 else "")
    def do_chmod(self): self.both("chmod", self.path(), self.mode())
    def do_chown(self): self.both("chown", self.path(), self.random.choice((-1, 0, 1000)), self.random.choice((-1, 0, 1000)))
    def do_utime(self): self.both("utime", self.path(), self.random.randrange(1 << 60))
    def xattr(self): return self.random.choice(("user.a", "user.b", "user.long" + "n" * 200, "user.rgkv.mine", "trusted.x", "security.x"))
    def do_setxattr(self):
        size = self.random.choice((0, 1, 100, 3000))
        self.both("setxattr", self.path(), self.xattr(), self.data(size), self.random.choice((0, 0, os.XATTR_CREATE, os.XATTR_REPLACE)))
    def do_getxattr(self): self.both("getxattr", self.path(), self.xattr())
    def do_listxattr(self): self.both("listxattr", self.path())
    def do_removexattr(self): self.both("removexattr", self.path(), self.xattr())

    def by_one_mount(self, op, *args):
        """Names go, or get another content, by a mount to which no other's open file is in the way."""
        paths = [a for a in args if isinstance(a, str)]
        may = [m for m in (0, 1) if not any(self.held(p, m) for p in paths)]
        if not may: return
        mount = self.random.choice(may)
        self.trace.append(f"{self.done} {'ab'[mount]} {op} {' '.join(map(cut, map(repr, args)))}")
        wanted, wanted_errno = self.errno_of(lambda: getattr(self.model, op)(mount, *args))
        got, got_errno = self.errno_of(lambda: getattr(self.real, op)(mount, *args))
        self.compare(op, wanted, wanted_errno, got, got_errno)
    def do_unlink(self): self.by_one_mount("unlink", self.path())
    def do_rmdir(self): self.by_one_mount("rmdir", self.path())
    def do_rename(self): self.by_one_mount("rename", self.path(), self.path(), self.random.choice((0, 0, 0, NOREPLACE, EXCHANGE)))

    # ---- open files: at most one for each file ----

    def do_open(self):
        if len(self.open) >= 6: return
        path, mount = self.path(), self.random.randrange(2)
        node = self.model.maybe(path)
        if node and node.handles: return
        flags = self.random.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR)) | self.random.choice((0, 0, os.O_APPEND, os.O_TRUNC))
        if flags & os.O_ACCMODE == os.O_RDONLY: flags &= ~(os.O_TRUNC | os.O_APPEND)
        self.trace.append(f"{self.done} {'ab'[mount]} open {cut(repr(path))} {flags:o}")
        if node and node.kind == "d" and flags & os.O_ACCMODE == os.O_RDONLY: return
        h, wanted = self.errno_of(lambda: self.model.open(mount, path, flags))
        fd, got = self.errno_of(lambda: os.open(self.real.path(mount, path), flags))
        self.compare("open", None, wanted, None, got)
        if h: self.open.append((fd, h, path))

    def pick(self, want):
        fits = [e for e in self.open if want(e[1])]
        return self.random.choice(fits) if fits else None
    def note(self, entry, text): self.trace.append(f"{self.done} fd {entry[0]} ({cut(repr(entry[2]))}) {text}")

    def do_write(self):
        entry = self.pick(Handle.writes)
        if not entry: return
        fd, h, _ = entry
        data, at = self.data(self.random.choice((1, 100, 4095, 4096, 8192, 65536, 100000))), self.offset()
        self.note(entry, f"pwrite {len(data)} at {at}")
        wanted, wanted_errno = self.errno_of(lambda: self.model.write(h, data, at))
        got, got_errno = self.errno_of(lambda: os.pwrite(fd, data, at))
        self.compare("write", wanted, wanted_errno, got, got_errno)

    def do_read(self):
        entry = self.pick(Handle.reads)
        if not entry: return
        fd, h, _ = entry
        at = self.random.choice((h.next, h.next, 0, self.offset()))
        n = self.random.choice((1, 100, 4096, 65536, 200000))
        self.note(entry, f"pread {n} at {at}")
        answers = self.model.read(h, at, n)
        got, got_errno = self.errno_of(lambda: os.pread(fd, n, at))
        self.compare("read", answers[0] if got not in answers else got, "ok", got, got_errno)
        h.next = at + len(got)
        if len(answers) > 1 and answers[0] == answers[1]: self.close(entry)      # nobody knows which it reads
        elif len(answers) > 1 and got == answers[1]: self.model.take(h)
        h.served = h.served or len(got) > 0

    def do_ftruncate(self):
        entry = self.pick(Handle.writes)
        if not entry: return
        fd, h, _ = entry
        size = self.random.choice((0, 1, 4096, 5000, 100000, VALUE_MAX + 1))
        self.note(entry, f"ftruncate {size}")
        wanted, wanted_errno = self.errno_of(lambda: self.model.ftruncate(h, size))
        got, got_errno = self.errno_of(lambda: os.ftruncate(fd, size))
        self.compare("ftruncate", wanted, wanted_errno, got, got_errno)

    def do_fstat(self):
        entry = self.pick(lambda h: True)
        if not entry: return
        fd, h, _ = entry
        self.note(entry, "fstat")
        self.compare("fstat", len(h.shown()), "ok", os.fstat(fd).st_size, "ok")

    def fsync(self, entry):
        self.note(entry, "fsync")
        entry[1].commit()
        self.compare("fsync", None, "ok", *self.errno_of(lambda: os.fsync(entry[0])))
    def do_fsync(self):
        entry = self.pick(Handle.writes)
        if entry: self.fsync(entry)

    def close(self, entry):
        if entry[1].staged() and not entry[1].shown(): self.fsync(entry)
        self.note(entry, "close")
        self.open.remove(entry)
        self.model.close(entry[1])
        self.compare("close", None, "ok", *self.errno_of(lambda: os.close(entry[0])))
    def do_close(self):
        entry = self.pick(lambda h: True)
        if entry: self.close(entry)

    # ---- everything ----

    def compare_all(self):
        def visit(path, node):
            for mount in (0, 1):
                self.trace = [f"at the end, mount {'ab'[mount]}: {path}"]
                for op in ["stat"] * bool(path) + {"f": ["get", "listxattr"], "d": ["listdir"], "l": ["readlink"]}[node.kind]:
                    wanted, wanted_errno = self.errno_of(lambda: getattr(self.model, op)(mount, path))
                    got, got_errno = self.errno_of(lambda: getattr(self.real, op)(mount, path))
                    self.compare(op, wanted, wanted_errno, got, got_errno)
            for name, child in node.children.items(): visit(f"{path}/{name}".lstrip("/"), child)
        for entry in list(self.open): self.close(entry)
        visit("", self.model.root)

NAMES = ["a", "b", "dir", "L" * 255, "e f", "ü", "x7", "top8"]
ODD = ["M" * 256, "n" * 255, "-", "new\nline"]
OPS, WEIGHTS = zip(*{
    "put": 8, "append": 8, "patch": 6, "truncate": 4, "get": 8, "stat": 8, "mkdir": 10, "symlink": 2, "readlink": 2, "mkfifo": 1, "link": 1,
    "listdir": 4, "chmod": 3, "chown": 3, "utime": 3, "setxattr": 4, "getxattr": 3, "listxattr": 2, "removexattr": 2, "unlink": 5,
    "rmdir": 3, "rename": 8, "open": 8, "write": 12, "read": 14, "ftruncate": 3, "fstat": 5, "fsync": 3, "close": 4}.items())

def shards(program, count):
    names = NAMES + ODD
    return {name: int(subprocess.run([program, count, name], check=True, stdout=subprocess.PIPE).stdout.split()[0]) for name in names}

def renames_across(driver):
    """Whether this mount renames files across shards."""
    of = driver.model.shard_of
    pair = next((a, b) for a in NAMES for b in NAMES if of(a) != of(b))
    driver.real.put(0, pair[0], b"x", 0o644, False)
    try: driver.real.rename(0, *pair, 0)
    except OSError as e:
        if e.errno != errno.EXDEV: raise
        driver.real.unlink(0, pair[0])
        return False
    driver.real.unlink(0, pair[1])
    return True

def main():
    a, b, program, count, seed, n = sys.argv[1:7]
    os.umask(0)
    table = shards(program, count)
    driver = Driver((a, b), Model(lambda path: table[path.split("/")[0]]), int(seed))
    driver.model.cross = renames_across(driver)
    stop = int(sys.argv[7]) if len(sys.argv) > 7 else int(n)
    while driver.done < stop: driver.step()
    if stop == int(n): driver.compare_all()
    for key in sorted(driver.counts): print(f"{key}={driver.counts[key]}", end=" ")
    print("|", *(f"{k}={v}" for k, v in sorted(driver.errors.items())))

main()
