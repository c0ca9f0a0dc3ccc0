"""A network that can be told to misbehave, between clients and nodes and between nodes.

    proxy.py run SOCKET SEED PUBLIC=REAL...      one listener for each node, in order: node 1, 2, …
    proxy.py say SOCKET WORD...                  one command; prints its answer

Nodes listen on REAL and are named by PUBLIC (--advertise), so everything between processes passes here, frame by frame
(src/wire/msg.h). Who dials is read from its HELLO: a node by its address, anybody else is a client, `c`.

    faults [delay_ms=N] [request_lost=P] [reply_lost=P] [reset=P]   P in percent; what is not given is 0
                      a frame is delayed by 0 … N ms, by itself: frames overtake each other; a request is lost before it is
                      seen, a reply after the request was carried out; a reset ends both connections after a frame
    cut A B           nothing passes between A and B (each a node's number, c, or * for all), both ways
    cut_one A B       nothing from A to B
    heal              no cuts; connections that lost something in one are reset
    route A N ADDR    connections from A to node N end at ADDR instead; those that are open are reset
    stats             how many frames passed and what was done to the others

A HELLO is neither lost nor late (the connection would not be one), only cut."""
import asyncio, random, socket, struct, sys

HEADER, HELLO = 48, 1
REPLIES = {4, 6, 8, 10, 12, 14, 16, 18, 19}      # of enum msg_kind
FRAME_MAX = 32 << 20

class Net:
    def __init__(self, seed, nodes):
        self.random = random.Random(seed)
        self.nodes = nodes                       # [(public, real)]
        self.names = {public: str(n + 1) for n, (public, _) in enumerate(nodes)}
        self.faults = {}
        self.cuts = set()
        self.routes = {}
        self.pairs = set()
        self.stats = dict.fromkeys(("passed", "delayed", "requests_lost", "replies_lost", "resets", "cut", "connections"), 0)

    def count(self, what): self.stats[what] += 1
    def is_cut(self, a, b): return any((x, y) in self.cuts for x in (a, "*") for y in (b, "*"))
    def happens(self, fault): return self.random.random() * 100 < self.faults.get(fault, 0)

    def name_of(self, hello):
        """The address is at the begin of the bulk, with the version right behind it."""
        body, = struct.unpack_from("<I", hello, 24)
        text = hello[HEADER + body:].decode("latin-1")
        fits = [public for public in self.names if text.startswith(public)]
        return self.names[max(fits, key=len)] if fits else "c"

class Side(asyncio.Protocol):
    """One connection of a pair: cuts what comes in into frames."""
    def __init__(self, pair): self.pair, self.transport, self.data = pair, None, bytearray()

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error): self.pair.end()

    def data_received(self, data):
        self.data += data
        at = 0
        while len(self.data) - at >= HEADER:
            body, bulk = struct.unpack_from("<II", self.data, at + 24)
            size = HEADER + body + bulk
            if size > FRAME_MAX: return self.pair.end()
            if len(self.data) - at < size: break
            self.pair.frame(self, bytes(self.data[at:at + size]))
            at += size
        del self.data[:at]

class Pair:
    """Who dialled, and the node it wants: nothing is dialled before the HELLO says who it is."""
    def __init__(self, net, to):
        self.net, self.to, self.who = net, to, None
        self.near, self.far = Side(self), Side(self)
        self.waiting, self.maimed, self.ended = [], False, False
        net.pairs.add(self)
        net.count("connections")

    def end(self):
        if self.ended: return
        self.ended = True
        self.net.pairs.discard(self)
        for side in (self.near, self.far):
            if side.transport: side.transport.abort()

    async def dial(self):
        public, real = self.net.nodes[int(self.to) - 1]
        host, port = self.net.routes.get((self.who, self.to), real).rsplit(":", 1)
        try: await asyncio.get_running_loop().create_connection(lambda: self.far, host, int(port))
        except OSError: return self.end()
        if self.ended: return self.far.transport.abort()
        for data in self.waiting: self.far.transport.write(data)
        self.waiting = None

    def deliver(self, side, data):
        if self.ended: return
        self.net.count("passed")
        if side is self.far and self.waiting is not None: self.waiting.append(data)
        elif side.transport: side.transport.write(data)

    def frame(self, source, data):
        net, kind = self.net, data[5]
        if self.who is None:
            self.who = net.name_of(data)
            self.dialling = asyncio.ensure_future(self.dial())
        upward = source is self.near
        target = self.far if upward else self.near
        ends = (self.who, self.to) if upward else (self.to, self.who)
        if net.is_cut(*ends):
            self.maimed = True
            return net.count("cut")
        if kind == HELLO: return self.deliver(target, data)
        reply = kind in REPLIES
        if net.happens("reply_lost" if reply else "request_lost"):
            return net.count("replies_lost" if reply else "requests_lost")
        delay = net.random.uniform(0, net.faults.get("delay_ms", 0)) / 1000
        if delay:
            net.count("delayed")
            asyncio.get_running_loop().call_later(delay, self.deliver, target, data)
        else: self.deliver(target, data)
        if net.happens("reset"):
            net.count("resets")
            self.end()

def command(net, words):
    name, args = words[0], words[1:]
    if name == "faults":
        net.faults = {k: float(v) for k, v in (a.split("=") for a in args)}
        unknown = set(net.faults) - {"delay_ms", "request_lost", "reply_lost", "reset"}
        if unknown: raise ValueError(f"no such fault: {unknown}")
    elif name == "cut": net.cuts |= {(args[0], args[1]), (args[1], args[0])}
    elif name == "cut_one": net.cuts.add((args[0], args[1]))
    elif name == "heal":
        net.cuts.clear()
        for pair in list(net.pairs):
            if pair.maimed: pair.end()
    elif name == "route":
        net.routes[args[0], args[1]] = args[2]
        for pair in list(net.pairs):
            if (pair.who, pair.to) == (args[0], args[1]): pair.end()
    elif name == "stats": return " ".join(f"{k}={v}" for k, v in net.stats.items())
    else: raise ValueError(f"no such command: {name}")
    return "ok"

async def run(path, seed, nodes):
    net = Net(seed, nodes)
    loop = asyncio.get_running_loop()

    async def serve(reader, writer):
        words = (await reader.readline()).decode().split()
        try: answer = command(net, words)
        except (ValueError, IndexError) as e: answer = f"error: {e}"
        writer.write(answer.encode() + b"\n")
        await writer.drain()
        writer.close()

    for n, (public, _) in enumerate(nodes):
        host, port = public.rsplit(":", 1)
        await loop.create_server(lambda to=str(n + 1): Pair(net, to).near, host, int(port), backlog=512)
    await asyncio.start_unix_server(serve, path)
    await asyncio.Event().wait()

def say(path, words):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(" ".join(words).encode() + b"\n")
        answer = s.makefile().read().strip()
    print(answer)
    return answer.startswith("error")

mode, path, args = sys.argv[1], sys.argv[2], sys.argv[3:]
if mode == "run": asyncio.run(run(path, args[0], [tuple(a.split("=")) for a in args[1:]]))
elif mode == "say": sys.exit(say(path, args))
else: sys.exit(__doc__)
