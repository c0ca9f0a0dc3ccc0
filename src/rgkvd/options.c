#include "rgkvd/options.h"

#include <stdlib.h>

#include "ctrl/text.h"
#include "net/addr.h"

const char options_usage[] =
    "Usage: rgkvd --listen HOST:PORT --data DIR --controllers H:P,H:P,H:P [OPTION]...\n"
    "One node of an rgkvfs cluster.\n"
    "\n"
    "  --listen HOST:PORT     where to listen; port 0 takes any\n"
    "  --advertise HOST:PORT  how others name this node, if not by --listen\n"
    "  --data DIR             the data directory, made if missing\n"
    "  --controllers LIST     the addresses of the controller's members, the same on every node\n"
    "  --shards N             shards of a new cluster (default 256); fixed for ever\n"
    "  --snapshot-bytes N     compact a log beyond N bytes (default 64 MiB); -1 never\n"
    "  --memory-bytes N       what caches, buffers and logs may take of memory (default 512 MiB)\n"
    "  --prefault             touch a quarter of that at the start, so that no pause comes of it later\n"
    "  --nice N               the nice value of the loop, which sends heartbeats and answers (default 0: unchanged)\n"
    "  --election-ms N        election timeouts are random in N to 2N ms (default 250)\n"
    "  --heartbeat-ms N       a leader's heartbeat (default 50)\n"
    "  --insecure             listen beyond loopback, though nothing is encrypted\n"
    "  --die-with-parent[=PID]  end when the process that started this one ends\n"
    "  --version, --help\n";

/* ---- values ---- */

static enum rgkv_err number(const char *name, const char *text, int64_t min, int64_t max, int64_t *ret_n, struct buf *why)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max) {
        buf_printf(why, "--%s takes a number from %lld to %lld, not \"%s\"", name, (long long)min, (long long)max, text);
        return RGKV_INVALID;
    }
    *ret_n = n;
    return RGKV_OK;
}

/* It is compared with what the controllers and `join` say, as text: one that is written otherwise would never be found. */
static enum rgkv_err address(const char *name, struct bytes addr, const char *text, const char **ret_addr, struct buf *why)
{
    if (!ctrl_addr_valid(addr)) {
        buf_printf(why, "--%s takes HOST:PORT%s, not \"%s\"", name, text[0] == '[' ? ", IPv6 in its shortest form" : "", text);
        return RGKV_INVALID;
    }
    *ret_addr = text;
    return RGKV_OK;
}

/* Port 0 is any that is free. */
static enum rgkv_err set_listen(struct options *o, const char *v, struct buf *why)
{
    struct addr_parts parts;
    char some[ADDR_BYTES_MAX];
    bool any = !addr_split(v, &parts) && strcmp(parts.port, "0") == 0;
    snprintf(some, sizeof(some), "%.*s1", (int)strlen(v) - 1, any ? v : "");
    return address("listen", bytes_str(any ? some : v), v, &o->listen, why);
}

static enum rgkv_err set_advertise(struct options *o, const char *v, struct buf *why)
{
    return address("advertise", bytes_str(v), v, &o->advertise, why);
}

static enum rgkv_err set_data(struct options *o, const char *v, struct buf *why)
{
    if (!*v || strlen(v) > 2048) {
        buf_printf(why, "--data takes a directory");
        return RGKV_INVALID;
    }
    o->data = v;
    return RGKV_OK;
}

static enum rgkv_err set_controllers(struct options *o, const char *v, struct buf *why)
{
    struct buf detail = {0};
    enum rgkv_err err = ctrl_parse_addrs(bytes_str(v), o->controllers, MEMBERS_MAX, &o->n_controllers, &detail);
    if (err)
        buf_printf(why, "--controllers: %.*s", (int)detail.len, detail.data ? (const char *)detail.data : "");
    buf_release(&detail);
    return err;
}

static enum rgkv_err set_shards(struct options *o, const char *v, struct buf *why)
{
    int64_t n;
    enum rgkv_err err = number("shards", v, 1, NSHARDS_MAX, &n, why);
    if (!err)
        o->nshards = (uint32_t)n;
    return err;
}

static enum rgkv_err set_snapshot_bytes(struct options *o, const char *v, struct buf *why)
{
    return number("snapshot-bytes", v, -1, INT64_MAX, &o->snapshot_bytes, why);
}

static enum rgkv_err set_memory_bytes(struct options *o, const char *v, struct buf *why)
{
    int64_t n;
    enum rgkv_err err = number("memory-bytes", v, MEMORY_BYTES_MIN, INT64_MAX, &n, why);
    if (!err)
        o->memory_bytes = (uint64_t)n;
    return err;
}

static enum rgkv_err set_prefault(struct options *o, const char *v, struct buf *why)
{
    o->prefault = true;
    return RGKV_OK;
}

static enum rgkv_err set_nice(struct options *o, const char *v, struct buf *why)
{
    int64_t n;
    enum rgkv_err err = number("nice", v, -20, 19, &n, why);
    if (!err)
        o->nice = (int)n;
    return err;
}

static enum rgkv_err milliseconds(const char *name, const char *v, uint64_t *ret_us, struct buf *why)
{
    int64_t n;
    enum rgkv_err err = number(name, v, 1, 600000, &n, why);
    if (!err)
        *ret_us = (uint64_t)n * 1000;
    return err;
}

static enum rgkv_err set_election(struct options *o, const char *v, struct buf *why)
{
    return milliseconds("election-ms", v, &o->election_us, why);
}

static enum rgkv_err set_heartbeat(struct options *o, const char *v, struct buf *why)
{
    return milliseconds("heartbeat-ms", v, &o->heartbeat_us, why);
}

static enum rgkv_err set_insecure(struct options *o, const char *v, struct buf *why)
{
    o->insecure = true;
    return RGKV_OK;
}

static enum rgkv_err set_die_with_parent(struct options *o, const char *v, struct buf *why)
{
    int64_t parent = 0;
    enum rgkv_err err = v ? number("die-with-parent", v, 1, INT32_MAX, &parent, why) : RGKV_OK;
    o->die_with_parent = true;
    o->parent = (uint64_t)parent;
    return err;
}

static enum rgkv_err set_version(struct options *o, const char *v, struct buf *why)
{
    o->action = OPTIONS_VERSION;
    return RGKV_OK;
}

static enum rgkv_err set_help(struct options *o, const char *v, struct buf *why)
{
    o->action = OPTIONS_HELP;
    return RGKV_OK;
}

/* ---- words ---- */

enum value { VALUE_NONE, VALUE_MAY, VALUE_MUST };
static const struct option_row {
    const char *name;
    enum value value;
    enum rgkv_err (*set)(struct options *o, const char *value, struct buf *why);
} rows[] = {
    {"listen", VALUE_MUST, set_listen},
    {"advertise", VALUE_MUST, set_advertise},
    {"data", VALUE_MUST, set_data},
    {"controllers", VALUE_MUST, set_controllers},
    {"shards", VALUE_MUST, set_shards},
    {"snapshot-bytes", VALUE_MUST, set_snapshot_bytes},
    {"memory-bytes", VALUE_MUST, set_memory_bytes},
    {"prefault", VALUE_NONE, set_prefault},
    {"nice", VALUE_MUST, set_nice},
    {"election-ms", VALUE_MUST, set_election},
    {"heartbeat-ms", VALUE_MUST, set_heartbeat},
    {"insecure", VALUE_NONE, set_insecure},
    {"die-with-parent", VALUE_MAY, set_die_with_parent},
    {"version", VALUE_NONE, set_version},
    {"help", VALUE_NONE, set_help},
};

static const struct option_row *row_of(const char *word, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, word, len) == 0)
            return &rows[i];
    return NULL;
}

static enum rgkv_err malformed(struct buf *why, const char *format, const char *word)
{
    buf_printf(why, "%s%s", word, format);
    return RGKV_INVALID;
}

/* Takes argv[*at], and its value if that is a word of its own. */
static enum rgkv_err take(struct options *o, int argc, char *const argv[], int *at, struct buf *why)
{
    const char *word = argv[*at];
    if (strncmp(word, "--", 2) != 0)
        return malformed(why, " is not an option; see rgkvd --help", word);
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word + 2);
    const struct option_row *row = row_of(word + 2, len);
    if (!row)
        return malformed(why, " is not an option; see rgkvd --help", word);
    const char *value = equals ? equals + 1 : NULL;
    if (row->value == VALUE_NONE && value)
        return malformed(why, ": this option takes no value", word);
    if (row->value == VALUE_MUST && !value) {
        if (*at + 1 >= argc)
            return malformed(why, " needs a value", word);
        value = argv[++*at];
    }
    return row->set(o, value, why);
}

static bool nowhere(const char *addr)
{
    struct addr_parts parts;
    struct sockaddr_storage sa;
    return addr_split(addr, &parts) == RGKV_OK && addr_numeric(&parts, &sa) == RGKV_OK &&
           addr_is_wildcard((const struct sockaddr *)&sa);
}

static enum rgkv_err check_whole(const struct options *o, struct buf *why)
{
    if (o->action != OPTIONS_RUN)
        return RGKV_OK;
    if (!o->listen || !o->data) {
        buf_printf(why, "--%s is missing; see rgkvd --help", o->listen ? "data" : "listen");
        return RGKV_INVALID;
    }
    if (nowhere(o->advertise ? o->advertise : o->listen)) {
        buf_printf(why, "others cannot reach a node at %s: give --advertise HOST:PORT", o->advertise ? o->advertise : o->listen);
        return RGKV_INVALID;
    }
    if (o->heartbeat_us * 2 > o->election_us) {
        buf_printf(why, "--heartbeat-ms must be at most half of --election-ms, or every delay is an election");
        return RGKV_INVALID;
    }
    return RGKV_OK;
}

enum rgkv_err options_parse(int argc, char *const argv[], struct options *ret_o, struct buf *why)
{
    struct options o = {
        .nshards = NSHARDS_DEFAULT,
        .snapshot_bytes = SNAPSHOT_BYTES_DEFAULT,
        .memory_bytes = MEMORY_BYTES_DEFAULT,
        .election_us = ELECTION_US_DEFAULT,
        .heartbeat_us = HEARTBEAT_US_DEFAULT,
    };
    for (int at = 1; at < argc; at++) {
        enum rgkv_err err = take(&o, argc, argv, &at, why);
        if (err)
            return err;
    }
    enum rgkv_err err = check_whole(&o, why);
    if (!err)
        *ret_o = o;
    return err;
}
