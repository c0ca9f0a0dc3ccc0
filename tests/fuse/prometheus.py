"""A strict reader of Prometheus' text format (0.0.4): reads standard input, fails with the line that is wrong.

What is checked beyond the grammar: base units (seconds and bytes) and plain names, as promtool wants them; HELP and TYPE once and before their samples, all samples of a name together, no sample twice,
histograms whose buckets grow and end with +Inf equal to _count, counters that are not negative and end in _total.
With arguments: prints the values of the samples whose text begins with the first one."""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (\+Inf|-Inf|NaN|[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?: -?\d+)?")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


def wrong(number, line, why):
    sys.exit(f"line {number}: {why}: {line!r}")


def family_of(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        base = name[: -len(suffix)]
        if name.endswith(suffix) and types.get(base) == "histogram":
            return base
    return name


def check_histograms(types, samples):
    for base in (n for n, t in types.items() if t == "histogram"):
        rows = {}
        for (name, labels), value in samples.items():
            if name == base + "_bucket":
                le = [x for x in labels if x.startswith('le="')]
                assert len(le) == 1, f"{base}: a bucket needs one le"
                key = tuple(x for x in labels if x not in le)
                rows.setdefault(key, []).append((float(le[0][4:-1]), value))
        for key, buckets in rows.items():
            values = [v for _, v in sorted(buckets)]
            assert values == sorted(values), f"{base}{key}: buckets do not grow"
            assert sorted(buckets)[-1][0] == float("inf"), f"{base}{key}: no +Inf"
            assert samples[(base + "_count", key)] == values[-1], f"{base}{key}: _count is not the last bucket"
            assert (base + "_sum", key) in samples, f"{base}{key}: no _sum"


def main():
    text = sys.stdin.read()
    helps, types, samples, done, current, shown = {}, {}, {}, set(), None, []
    if not text.endswith("\n"):
        sys.exit("the text does not end with a newline")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.startswith("#"):
            m = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
            if not m:
                wrong(number, line, "neither HELP nor TYPE")
            kind, name, rest = m.groups()
            table = helps if kind == "HELP" else types
            if name in table or name in done or name == current:
                wrong(number, line, f"a second {kind}, or one behind its samples")
            if kind == "TYPE" and rest not in TYPES:
                wrong(number, line, "no such type")
            if re.search("(nano|micro|milli)seconds?|minutes?|hours?|(kilo|mega|giga|kibi|mebi|gibi)bytes?|_ms|_us", name):
                wrong(number, line, "seconds and bytes are the units of this format")
            if kind == "TYPE" and (name.endswith(("_count", "_sum", "_bucket")) or (name.endswith("_total") and rest != "counter")):
                wrong(number, line, "the end of its name says another type")
            table[name] = rest
            continue
        m = SAMPLE.fullmatch(line)
        if not m:
            wrong(number, line, "not a sample")
        name, labels, value = m.groups()
        family = family_of(name, types)
        if family not in types or family not in helps:
            wrong(number, line, "no HELP and TYPE before it")
        if family != current:
            if family in done:
                wrong(number, line, "samples of one name are not together")
            if current:
                done.add(current)
            current = family
        split = re.findall(LABEL, labels or "")
        names = [x.split("=")[0] for x in split]
        key = (name, tuple(split))
        if len(set(names)) != len(names) or key in samples:
            wrong(number, line, "a label or a sample twice")
        samples[key] = float(value)
        if types[family] == "counter" and (float(value) < 0 or not family.endswith("_total")):
            wrong(number, line, "that is no counter")
        if len(sys.argv) > 1 and line.startswith(sys.argv[1]):
            shown.append(value)
    try:
        check_histograms(types, samples)
    except AssertionError as e:
        sys.exit(str(e))
    empty = [n for n in types if n not in done and n != current]
    if len(sys.argv) > 1:
        print("\n".join(shown))
    else:
        print(f"{len(samples)} samples of {len(types)} names, {len(empty)} of them empty")


main()
