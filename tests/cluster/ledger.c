/* A load that keeps a ledger of what was acknowledged, and the audit of it. Without a mount, so that a test may kill nodes
 * by the hundred.
 *
 *     ledger run --controllers A,B,C --journal FILE [--workers N] [--ops N] [--value-bytes N] [--timeout S]
 *     ledger check --controllers A,B,C --journal FILE [--value-bytes N] [--timeout S]
 *
 * `run` ends after --ops acknowledged writes, or at SIGTERM, once what is in flight has an outcome. Worker W has two keys,
 * JOURNAL-aW.G grows by one line a time (1, 2, 3 …), JOURNAL-pW.G is put whole with the next number; after every put it reads back what it
 * put: anything older is a stale read and ends the program. An unknown outcome ends generation G, for a late copy may still come.
 * Journal, a line each: `A W G N T` appended, `P W G N T` put, `? W G N T` its outcome is unknown; T: monotonic microseconds.
 * `check` reads every key: every acknowledged append once and in order, the last acknowledged put to its last byte (--value-bytes: as
 * `run` was told), and beyond it at most the one of unknown outcome. A journal in which nothing was acknowledged shows nothing and is
 * refused. Exit status: 0; 1 a promise is broken (the sentence says which); 2 usage, or the cluster cannot be reached. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctrl/text.h"
#include "net/clock.h"
#include "net/net_client.h"

#define WORKERS_MAX 256u
#define GENERATION_APPENDS 400u
#define FLUSH_MS 20u
#define KEY_BYTES 200
#define CHECKS_IN_FLIGHT 64u

struct options {
    struct net_client_options client;
    const char *journal;
    unsigned workers;
    uint64_t ops, timeout_us;
    size_t value_bytes;
};

/* What became of one generation's keys. */
struct fate {
    uint64_t appended, put;      /* acknowledged */
    bool append_open, put_open;  /* the next one's outcome is unknown */
};

enum doing { APPENDING, PUTTING, READING };
struct worker {
    struct ledger *ledger;
    unsigned id, generation;
    enum doing doing;
    struct fate fate;
};

struct audit {                   /* one key on its way */
    struct ledger *ledger;
    unsigned worker, generation;
    bool puts;
};

struct ledger {
    struct options o;
    uv_loop_t loop;
    uv_timer_t flush;
    uv_signal_t term;
    struct net_client *client;
    FILE *journal;
    struct worker workers[WORKERS_MAX];
    unsigned running;
    uint64_t acknowledged, unknown, refused, reads;
    bool stopping, broken, closed;
    struct buf text;

    struct fate *fates[WORKERS_MAX];
    unsigned generations[WORKERS_MAX];
    struct audit next;           /* the key that is audited after those in flight */
    unsigned auditing;
    uint64_t audited;
};

_Noreturn static void usage(const char *what)
{
    fprintf(stderr, "ledger: %s\nledger run|check --controllers A,B,C --journal FILE [--workers N] [--ops N]"
                    " [--value-bytes N] [--timeout S]\n", what);
    exit(2);
}

static void broken(struct ledger *l, const char *key, const char *what, uint64_t is, uint64_t wanted)
{
    printf("ledger: %s: %s: %llu, wanted %llu\n", key, what, (unsigned long long)is, (unsigned long long)wanted);
    l->broken = true;
    uv_stop(&l->loop);
}

/* ---- what a key holds ---- */

/* At the top level, so that they spread over the shards; the journal's name keeps two loads apart. */
static void key_name(const struct ledger *l, char name[static KEY_BYTES], char letter, unsigned worker, unsigned generation)
{
    const char *slash = strrchr(l->o.journal, '/');
    snprintf(name, KEY_BYTES, "%s-%c%u.%u", slash ? slash + 1 : l->o.journal, letter, worker, generation);
}

static void append_text(struct buf *out, uint64_t n) { buf_printf(out, "%llu\n", (unsigned long long)n); }

static void put_text(struct buf *out, uint64_t n, size_t bytes)
{
    append_text(out, n);
    if (out->len < bytes) {
        size_t rest = bytes - out->len;
        memset(buf_grow(out, rest), 'x', rest);
    }
}

/* Which put this is; 0: no key; UINT64_MAX if it is anything else, as half of a put. */
static uint64_t put_number(struct bytes text, size_t bytes, struct buf *scratch)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        n = n * 10 + (text.data[i] - '0');
    buf_clear(scratch);
    if (text.len)
        put_text(scratch, n, bytes);
    return bytes_eq(buf_bytes(scratch), text) ? n : UINT64_MAX;
}

/* How many lines 1, 2, 3 … there are; UINT64_MAX if it is anything else. */
static uint64_t append_count(struct bytes text, struct buf *scratch)
{
    uint64_t n = 0;
    buf_clear(scratch);
    while (scratch->len < text.len)
        append_text(scratch, ++n);
    return bytes_eq(buf_bytes(scratch), text) ? n : UINT64_MAX;
}

/* ---- run ---- */

static void worker_go(struct worker *w);

static void note(struct worker *w, char what, uint64_t n)
{
    fprintf(w->ledger->journal, "%c %u %u %llu %llu\n", what, w->id, w->generation, (unsigned long long)n,
            (unsigned long long)clock_now_us());
}

static uint64_t *count_of(struct worker *w) { return w->doing == APPENDING ? &w->fate.appended : &w->fate.put; }

static void generation_over(struct worker *w)
{
    w->generation++;
    w->fate = (struct fate){0};
    w->doing = APPENDING;
}

static void wrote(struct worker *w)
{
    struct ledger *l = w->ledger;
    note(w, w->doing == APPENDING ? 'A' : 'P', ++*count_of(w));
    l->acknowledged++;
    if (w->doing == PUTTING)
        w->doing = READING;
    else
        w->doing = PUTTING;
}

static void read_back(struct worker *w, const struct kv_reply *r)
{
    char key[KEY_BYTES];
    key_name(w->ledger, key, 'p', w->id, w->generation);
    uint64_t n = put_number(r->data, w->ledger->o.value_bytes, &w->ledger->text);
    w->ledger->reads++;
    if (n != w->fate.put)
        broken(w->ledger, key, "read back", n, w->fate.put);
    w->doing = APPENDING;
    if (w->fate.appended >= GENERATION_APPENDS)
        generation_over(w);
}

static bool is_unknown(enum rgkv_err err)
{
    return err == RGKV_UNKNOWN || err == RGKV_SESSION_EXPIRED || err == RGKV_SESSION_OLD;
}

static void on_outcome(void *arg, const struct client_effect *e)
{
    struct worker *w = arg;
    struct ledger *l = w->ledger;
    if (!e->err && w->doing == READING)
        read_back(w, e->reply);
    else if (!e->err)
        wrote(w);
    else if (w->doing == READING || !is_unknown(e->err))
        l->refused++; /* surely not done: again */
    else {
        note(w, '?', *count_of(w) + 1);
        l->unknown++;
        generation_over(w);
    }
    worker_go(w);
}

static void fill_request(struct worker *w, char key[static KEY_BYTES], struct kv_request *q)
{
    struct buf *text = &w->ledger->text;
    key_name(w->ledger, key, w->doing == APPENDING ? 'a' : 'p', w->id, w->generation);
    *q = (struct kv_request){.key = bytes_str(key), .mode = 0644};
    buf_clear(text);
    switch (w->doing) {
    case APPENDING:
        q->op = KV_APPEND;
        append_text(text, w->fate.appended + 1);
        break;
    case PUTTING:
        q->op = KV_PUT;
        put_text(text, w->fate.put + 1, w->ledger->o.value_bytes);
        break;
    case READING:
        q->op = KV_GET;
        q->length = DATA_BYTES_MAX;
        break;
    }
    q->data = buf_bytes(text);
}

static void worker_go(struct worker *w)
{
    struct ledger *l = w->ledger;
    char key[KEY_BYTES];
    struct kv_request q;
    if (l->stopping || (l->o.ops && l->acknowledged >= l->o.ops)) {
        if (--l->running == 0)
            uv_stop(&l->loop);
        return;
    }
    fill_request(w, key, &q);
    net_client_submit(l->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, l->o.timeout_us, on_outcome, w);
}

static void on_flush(uv_timer_t *timer)
{
    struct ledger *l = timer->data;
    fflush(l->journal);
}

static void on_term(uv_signal_t *handle, int number)
{
    struct ledger *l = handle->data;
    l->stopping = true;
}

static void run_start(struct ledger *l)
{
    l->journal = fopen(l->o.journal, "w");
    if (!l->journal)
        usage("the journal cannot be written");
    uv_timer_start(&l->flush, on_flush, FLUSH_MS, FLUSH_MS);
    uv_signal_start(&l->term, on_term, SIGTERM);
    l->running = l->o.workers;
    for (unsigned i = 0; i < l->o.workers; i++) {
        l->workers[i] = (struct worker){.ledger = l, .id = i};
        worker_go(&l->workers[i]);
    }
}

static void run_print(struct ledger *l)
{
    fclose(l->journal);
    printf("acknowledged=%llu unknown=%llu refused=%llu reads=%llu\n", (unsigned long long)l->acknowledged,
           (unsigned long long)l->unknown, (unsigned long long)l->refused, (unsigned long long)l->reads);
}

/* ---- check ---- */

static struct fate *fate_of(struct ledger *l, unsigned worker, unsigned generation)
{
    if (worker >= WORKERS_MAX || generation > 1000000)
        usage("the journal is no journal");
    while (l->generations[worker] <= generation) {
        l->fates[worker] = mem_realloc(l->fates[worker], (l->generations[worker] + 1) * sizeof(struct fate));
        l->fates[worker][l->generations[worker]++] = (struct fate){0};
    }
    return &l->fates[worker][generation];
}

/* An append and a put take turns, so an open question is whose turn it was. */
static void take_line(struct fate *f, char what, uint64_t n)
{
    if (what == 'A')
        f->appended = n;
    else if (what == 'P')
        f->put = n;
    else if (f->appended == f->put)
        f->append_open = true;
    else
        f->put_open = true;
}

static void journal_read(struct ledger *l)
{
    char what;
    unsigned worker, generation;
    unsigned long long n, t;
    FILE *file = fopen(l->o.journal, "r");
    if (!file)
        usage("the journal cannot be read");
    int fields;
    while ((fields = fscanf(file, " %c %u %u %llu %llu", &what, &worker, &generation, &n, &t)) == 5 && strchr("AP?", what)) {
        take_line(fate_of(l, worker, generation), what, n);
        l->acknowledged += what != '?';
    }
    fclose(file);
    if (fields != EOF)
        usage("the journal is no journal");
    if (!l->acknowledged)
        usage("the journal has nothing that was acknowledged");
}

static void audit_next(struct ledger *l);

static void audit(struct ledger *l, const struct audit *a, struct bytes text)
{
    char key[KEY_BYTES];
    const struct fate *f = &l->fates[a->worker][a->generation];
    key_name(l, key, a->puts ? 'p' : 'a', a->worker, a->generation);
    uint64_t wanted = a->puts ? f->put : f->appended;
    uint64_t is = a->puts ? put_number(text, l->o.value_bytes, &l->text) : append_count(text, &l->text);
    bool open = a->puts ? f->put_open : f->append_open;
    if (is != wanted && !(open && is == wanted + 1))
        broken(l, key, a->puts ? "holds the put" : "holds appends", is, wanted);
    l->audited++;
}

static void on_read(void *arg, const struct client_effect *e)
{
    struct audit *a = arg;
    struct ledger *l = a->ledger;
    if (l->broken) {
        mem_free(a);
        return;
    }
    if (!e->err || e->err == RGKV_NOT_FOUND) {
        audit(l, a, e->err ? BYTES_EMPTY : e->reply->data);
    } else {
        printf("ledger: a key cannot be read: %s\n", e->why);
        l->broken = true;
    }
    mem_free(a);
    l->auditing--;
    audit_next(l);
}

static bool audit_advance(struct ledger *l)
{
    struct audit *a = &l->next;
    while (a->worker < WORKERS_MAX && a->generation >= l->generations[a->worker]) {
        a->worker++;
        a->generation = 0;
    }
    return a->worker < WORKERS_MAX;
}

static void audit_next(struct ledger *l)
{
    while (!l->broken && l->auditing < CHECKS_IN_FLIGHT && audit_advance(l)) {
        struct audit *a = mem_alloc(sizeof(*a));
        char key[KEY_BYTES];
        *a = l->next;
        a->ledger = l;
        l->next.generation += l->next.puts;
        l->next.puts = !l->next.puts;
        key_name(l, key, a->puts ? 'p' : 'a', a->worker, a->generation);
        l->auditing++;
        struct kv_request q = {.op = KV_GET, .key = bytes_str(key), .length = DATA_BYTES_MAX};
        net_client_submit(l->client, &(struct client_request){.kind = CLIENT_KV, .kv = &q}, l->o.timeout_us, on_read, a);
    }
    if (l->auditing == 0)
        uv_stop(&l->loop);
}

static void check_start(struct ledger *l)
{
    journal_read(l);
    audit_next(l);
}

static void check_print(struct ledger *l)
{
    if (!l->broken)
        printf("%llu keys hold what was acknowledged\n", (unsigned long long)l->audited);
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        mem_free(l->fates[i]);
}

/* ---- the program ---- */

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end)
        usage("a number is malformed");
    return n;
}

static void take(struct options *o, int letter)
{
    switch (letter) {
    case 'c':
        if (ctrl_parse_addrs(bytes_str(optarg), o->client.controllers, MEMBERS_MAX, &o->client.n_controllers, &(struct buf){0}))
            usage("--controllers is malformed");
        break;
    case 'j': o->journal = optarg; break;
    case 'w': o->workers = (unsigned)number(optarg); break;
    case 'o': o->ops = number(optarg); break;
    case 'v': o->value_bytes = number(optarg); break;
    case 't': o->timeout_us = number(optarg) * 1000000u; break;
    default: usage("unknown option");
    }
}

static void parse(int argc, char **argv, struct options *o)
{
    static const struct option words[] = {{"controllers", 1, NULL, 'c'}, {"journal", 1, NULL, 'j'}, {"workers", 1, NULL, 'w'},
                                          {"ops", 1, NULL, 'o'}, {"value-bytes", 1, NULL, 'v'}, {"timeout", 1, NULL, 't'}, {0}};
    *o = (struct options){.workers = 8, .timeout_us = 20000000};
    for (int letter; (letter = getopt_long(argc, argv, "", words, NULL)) != -1;)
        take(o, letter);
    if (!o->client.n_controllers || !o->journal || o->workers == 0 || o->workers > WORKERS_MAX || o->value_bytes > DATA_BYTES_MAX)
        usage("something is missing, or too large");
}

static void on_closed(void *arg) { ((struct ledger *)arg)->closed = true; }

static void ledger_init(struct ledger *l)
{
    uv_loop_init(&l->loop);
    uv_timer_init(&l->loop, &l->flush);
    uv_signal_init(&l->loop, &l->term);
    l->flush.data = l->term.data = l;
    if (net_client_new(&l->loop, &l->o.client, &l->client))
        usage("the controllers are malformed");
}

static void ledger_release(struct ledger *l)
{
    l->stopping = true;
    net_client_close(l->client, on_closed, l);
    uv_close((uv_handle_t *)&l->flush, NULL);
    uv_close((uv_handle_t *)&l->term, NULL);
    while (!l->closed)
        uv_run(&l->loop, UV_RUN_ONCE);
    buf_release(&l->text);
}

int main(int argc, char **argv)
{
    static struct ledger l;
    bool check = argc > 1 && strcmp(argv[1], "check") == 0;
    if (argc < 2 || (!check && strcmp(argv[1], "run") != 0))
        usage("run or check?");
    parse(argc - 1, argv + 1, &l.o);
    ledger_init(&l);
    check ? check_start(&l) : run_start(&l);
    uv_run(&l.loop, UV_RUN_DEFAULT);
    ledger_release(&l);
    check ? check_print(&l) : run_print(&l);
    return l.broken;
}
