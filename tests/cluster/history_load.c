/* history-load --mount DIR | --controllers A,B,C  --out FILE --stop FILE --count FILE [--clients N] [--first-client N]
 *              [--keys N] [--prefix TEXT] [--append PERCENT] [--put PERCENT] [--operations N] [--pause-ms N] [--seed N]
 *
 * Ends when the file STOP exists, or each client has done its operations; then each key is read once more, and it says
 * `operations=N … longest_ms=N`. An operation that fails is recorded as what its error says: not done, or unknown. */
#include "tests/cluster/history_load.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t load_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- one client ---- */

void load_client_init(struct load_client *c, struct load *l, unsigned number)
{
    *c = (struct load_client){.load = l, .number = l->o.first_client + number};
    prng_init(&c->prng, l->o.seed * 100003 + c->number);
}

static enum history_kind draw_kind(struct load_client *c)
{
    uint64_t drawn = prng_below(&c->prng, 100);
    if (drawn < c->load->o.append)
        return HISTORY_APPEND;
    return drawn < c->load->o.append + c->load->o.put ? HISTORY_PUT : HISTORY_GET;
}

bool load_next(struct load_client *c)
{
    const struct load_options *o = &c->load->o;
    if ((o->operations && c->n >= o->operations) || access(o->stop, F_OK) == 0)
        return false;
    c->op = (struct history_op){.kind = draw_kind(c), .value = c->value};
    snprintf(c->op.key, sizeof(c->op.key), "%s%u", o->prefix, (unsigned)prng_below(&c->prng, o->keys));
    snprintf(c->value, sizeof(c->value), "%u.%llu,", c->number, (unsigned long long)c->n++);
    c->op.begin = load_now_us();
    return true;
}

bool load_next_read(struct load_client *c)
{
    const struct load_options *o = &c->load->o;
    if (c->keys_read >= o->keys)
        return false;
    c->op = (struct history_op){.kind = HISTORY_GET};
    snprintf(c->op.key, sizeof(c->op.key), "%s%u", o->prefix, c->keys_read++);
    c->op.begin = load_now_us();
    return true;
}

void load_record(struct load_client *c, enum history_outcome outcome, const char *read)
{
    struct load *l = c->load;
    struct history_op o = c->op;
    o.outcome = outcome;
    o.end = load_now_us();
    if (o.kind == HISTORY_GET)
        o.value = (char *)read;
    pthread_mutex_lock(&l->lock);
    history_file_put(l->out, &o);
    l->done++;
    l->unknown += outcome == HISTORY_UNKNOWN;
    l->not_done += outcome == HISTORY_NOT_DONE;
    l->longest_us = MAX(l->longest_us, o.end - o.begin);
    pthread_mutex_unlock(&l->lock);
    if (outcome == HISTORY_DONE && write(l->count_fd, ".", 1) != 1)
        abort();
}

/* ---- the program ---- */

_Noreturn static void usage(const char *what)
{
    fprintf(stderr, "history-load: %s; the head of tests/cluster/history_load.c says how it is used\n", what);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (end == text || *end)
        usage("a number is malformed");
    return n;
}

static void take(struct load_options *o, int letter)
{
    switch (letter) {
    case 'm': o->mount = optarg; break;
    case 'c': o->controllers = optarg; break;
    case 'o': o->out = optarg; break;
    case 's': o->stop = optarg; break;
    case 'n': o->count = optarg; break;
    case 'x': o->prefix = optarg; break;
    case 'l': o->clients = (unsigned)number(optarg); break;
    case 'f': o->first_client = (unsigned)number(optarg); break;
    case 'k': o->keys = (unsigned)number(optarg); break;
    case 'a': o->append = (unsigned)number(optarg); break;
    case 'p': o->put = (unsigned)number(optarg); break;
    case 'i': o->operations = number(optarg); break;
    case 'w': o->pause_us = number(optarg) * 1000; break;
    case 'e': o->seed = number(optarg); break;
    default: usage("unknown option");
    }
}

static void parse(int argc, char **argv, struct load_options *o)
{
    static const struct option words[] = {
        {"mount", 1, NULL, 'm'}, {"controllers", 1, NULL, 'c'}, {"out", 1, NULL, 'o'}, {"stop", 1, NULL, 's'},
        {"count", 1, NULL, 'n'}, {"prefix", 1, NULL, 'x'}, {"clients", 1, NULL, 'l'}, {"first-client", 1, NULL, 'f'},
        {"keys", 1, NULL, 'k'}, {"append", 1, NULL, 'a'}, {"put", 1, NULL, 'p'}, {"operations", 1, NULL, 'i'},
        {"pause-ms", 1, NULL, 'w'}, {"seed", 1, NULL, 'e'}, {0}};
    *o = (struct load_options){.prefix = "key", .clients = 10, .keys = 10, .append = 50, .put = 5, .seed = 1};
    for (int letter; (letter = getopt_long(argc, argv, "", words, NULL)) != -1;)
        take(o, letter);
    if (optind < argc || !o->mount == !o->controllers || !o->out || !o->stop || !o->count)
        usage("one of --mount and --controllers, --out, --stop and --count are needed");
    if (!o->clients || o->clients > LOAD_CLIENTS_MAX || !o->keys || o->append + o->put > 100)
        usage("a number is out of range");
}

int main(int argc, char **argv)
{
    static struct load l = {.lock = PTHREAD_MUTEX_INITIALIZER};
    parse(argc, argv, &l.o);
    l.out = fopen(l.o.out, "w");
    l.count_fd = open(l.o.count, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (!l.out || l.count_fd < 0) {
        perror("history-load");
        return 1;
    }
    (l.o.mount ? load_by_mount : load_by_engine)(&l);
    printf("operations=%llu unknown=%llu not_done=%llu longest_ms=%llu\n", (unsigned long long)l.done,
           (unsigned long long)l.unknown, (unsigned long long)l.not_done, (unsigned long long)l.longest_us / 1000);
    close(l.count_fd);
    return fclose(l.out) != 0;
}
