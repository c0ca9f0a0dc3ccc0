"""What comes from outside and means no good, or makes no sense.

    hostile.py garbage HOST:PORT         bytes of all kinds; whatever can be seen to be wrong has to be hung up on
    hostile.py idle HOST:PORT N          N connections that say nothing, and N that go away at once; then ends them
    hostile.py proxy PORT HOST:PORT FILE passes connections on; what the client says on each is kept in FILE.0, FILE.1, …
    hostile.py replay HOST:PORT FILE…    says all that again: whole, whole twice, cut off anywhere, with bytes changed"""
import os, random, socket, struct, sys, threading

random.seed(7)
ANSWER_S = 5

def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)

def connect(to):
    s = socket.create_connection(to, ANSWER_S)
    s.settimeout(ANSWER_S)
    return s

def say(s, data):
    try: s.sendall(data)
    except (ConnectionError, TimeoutError): pass

def hung_up(s):
    """True when the other side closes within ANSWER_S; what it says before is read."""
    try:
        while s.recv(1 << 16): pass
        return True
    except ConnectionError: return True
    except TimeoutError: return False

def read_frame(s):
    """The greeting: 48 bytes of header (lengths at 24 and 28), then the rest."""
    data = b""
    while len(data) < 48 or len(data) < 48 + sum(struct.unpack_from("<II", data, 24)):
        more = s.recv(1 << 16)
        if not more: sys.exit("no greeting")
        data += more
    return data

def header(kind=1, version=1, flags=0, body=0, bulk=0, magic=b"RGKV", reserved=0):
    return magic + struct.pack("<BBHQQIIQQ", version, kind, flags, 1, 0, body, bulk, 0, reserved)

def garbage(to):
    with connect(to) as s: greeting = read_frame(s)
    kind, version = greeting[5], greeting[4]
    wrong = {
        "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100,
        "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" + b"\0" * 100,
        "TLS": bytes.fromhex("16030100a5010000a10303") + os.urandom(200),
        "zeros": b"\0" * 4096,
        "ones": b"\xff" * 4096,
        "random bytes": random.randbytes(100000),
        "another magic": header(magic=b"RGKW"),
        "another version": header(version=99),
        "reserved flags": header(version=version, flags=1),
        "reserved bytes": header(version=version, reserved=1),
        "an unknown kind": header(version=version, kind=250),
        "body of 2^32-1": header(version=version, body=2**32 - 1),
        "body of 2^31": header(version=version, body=2**31),
        "bulk of 2^32-1": header(version=version, bulk=2**32 - 1),
        "lengths that overflow together": header(version=version, body=2**32 - 48, bulk=2**32 - 1),
        "a wrong checksum": greeting[:32] + bytes(8) + greeting[40:],
        "a changed body": greeting[:-1] + bytes([greeting[-1] ^ 1]),
        "no body at all": header(version=version, kind=kind),
    }
    for what, data in wrong.items():
        with connect(to) as s:
            read_frame(s)
            say(s, data)
            if not hung_up(s): sys.exit(f"{what}: the connection stays open")
    for n in range(0, len(greeting), 7):         # cut off anywhere, then gone
        with connect(to) as s: say(s, greeting[:n])
    with connect(to) as s:                       # its own greeting: a peer that claims to be it
        say(s, greeting * 3)
    for _ in range(300):                         # bits of a good frame turned over
        bad = bytearray(greeting)
        for _ in range(random.randint(1, 4)): bad[random.randrange(len(bad))] ^= 1 << random.randrange(8)
        with connect(to) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            say(s, bytes(bad))
    held = [connect(to) for _ in range(20)]      # announced, never sent
    for s in held: say(s, header(version=version, body=500 << 10, bulk=4 << 20) + b"x" * 100)
    for s in held: s.close()

def idle(to, n):
    held = [connect(to) for _ in range(n)]
    for _ in range(n):
        s = connect(to)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    for s in held: s.close()

def pump(source, target, copy):
    try:
        while data := source.recv(1 << 16):
            if copy: copy.write(data); copy.flush()
            target.sendall(data)
    except OSError: pass
    for s in (source, target):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass

def proxy(port, to, path):
    listener = socket.create_server(("127.0.0.1", port))
    n = 0
    while True:
        client, _ = listener.accept()
        try: server = socket.create_connection(to, ANSWER_S)
        except OSError:
            client.close()
            continue
        server.settimeout(None)
        threading.Thread(target=pump, args=(client, server, open(f"{path}.{n}", "wb")), daemon=True).start()
        threading.Thread(target=pump, args=(server, client, None), daemon=True).start()
        n += 1

def drain(s):
    s.settimeout(0.2)
    hung_up(s)

def replay(to, paths):
    sessions = [open(p, "rb").read() for p in paths]
    for data in sessions:
        with connect(to) as s: say(s, data); drain(s)
        with connect(to) as s: say(s, data + data); drain(s)
        for _ in range(10):
            with connect(to) as s: say(s, data[:random.randrange(len(data) + 1)])
        for _ in range(30):
            bad = bytearray(data)
            for _ in range(3): bad[random.randrange(len(bad))] ^= 1 << random.randrange(8)
            with connect(to) as s: say(s, bytes(bad))
    print(f"{len(sessions)} sessions, {sum(map(len, sessions))} bytes")

mode, args = sys.argv[1], sys.argv[2:]
if mode == "garbage": garbage(address(args[0]))
elif mode == "idle": idle(address(args[0]), int(args[1]))
elif mode == "proxy": proxy(int(args[0]), address(args[1]), args[2])
elif mode == "replay": replay(address(args[0]), args[1:])
else: sys.exit(__doc__)
