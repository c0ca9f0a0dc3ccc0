"""One appender per key, all at once, each keeping to itself what its key must be in the end.

    appenders.py DIR WANT STOP COUNT PAUSE_MS KEY...

Each takes WANT/KEY as what DIR/KEY is, and appends `KEY N` lines to it, one command each, until the file STOP exists;
then what the key must be is in WANT/KEY. COUNT grows by a byte with each append. The mount waits as long as it takes
(-o hard): an append that fails ends everything with a sentence and status 1."""
import os, sys, threading, time

directory, want, stop, count, pause = sys.argv[1:6]
keys = sys.argv[6:]
counter = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
failed = []
appended = [0]
longest = [0.0]

def append(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        if os.write(fd, data) != len(data): raise OSError(0, "a short write")
    finally: os.close(fd)

def run(key):
    n = 0
    with open(f"{want}/{key}", "ab") as wanted:
        while not os.path.exists(stop) and not failed:
            n += 1
            line = b"%s %d\n" % (key.encode(), n)
            start = time.monotonic()
            try: append(f"{directory}/{key}", line)
            except OSError as e:
                failed.append(f"append {n} to {key}: {e.strerror} ({e.errno}) after {time.monotonic() - start:.3f} s")
                return
            longest[0] = max(longest[0], time.monotonic() - start)
            wanted.write(line)
            os.write(counter, b".")
            time.sleep(int(pause) / 1000)
    appended[0] += n

threads = [threading.Thread(target=run, args=(k,)) for k in keys]
for t in threads: t.start()
for t in threads: t.join()
if failed: sys.exit("; ".join(failed))
print(f"appends={appended[0]} longest_ms={int(longest[0] * 1000)}")
