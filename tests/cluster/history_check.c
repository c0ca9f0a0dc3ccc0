/* Is what clients recorded linearizable? The files together are one history.
 *
 *     history-check FILE...
 *
 * Says how much it was. Exit status 1, with a sentence: it is not, it cannot be decided, or it shows nothing: hardly
 * anything was done, or what was written last to a key was never read. */
#include <uthash.h>

#include "tests/cluster/history_file.h"

static bool load(const char *path, struct history *h, struct buf *why)
{
    FILE *f = fopen(path, "r");
    bool fine = f && history_file_load(f, h, why);
    if (!f)
        buf_printf(why, "it cannot be opened");
    else
        fclose(f);
    return fine;
}

struct key {
    const char *name;
    uint64_t changed, read; /* the end of the last change that is done, the beginning of the last get */
    UT_hash_handle hh;
};

static struct key *key_of(struct key **keys, const char *name)
{
    struct key *k;
    HASH_FIND_STR(*keys, name, k);
    if (!k) {
        k = mem_alloc(sizeof(*k));
        *k = (struct key){.name = name};
        HASH_ADD_KEYPTR(hh, *keys, name, strlen(name), k);
    }
    return k;
}

static void note(struct key **keys, const struct history_op *o)
{
    struct key *k = key_of(keys, o->key);
    if (o->kind == HISTORY_GET)
        k->read = MAX(k->read, o->begin);
    else
        k->changed = MAX(k->changed, o->end);
}

/* A change that nobody reads is explained by any order. */
static bool all_read(const struct history *h, struct buf *why)
{
    struct key *keys = NULL, *k, *next;
    for (unsigned i = 0; i < h->n; i++)
        if (h->ops[i].outcome == HISTORY_DONE)
            note(&keys, &h->ops[i]);
    HASH_ITER(hh, keys, k, next) {
        if (k->changed > k->read && !why->len)
            buf_printf(why, "%s: not read after its last change", k->name);
        HASH_DEL(keys, k);
        mem_free(k);
    }
    return !why->len;
}

/* So are operations that failed. */
static bool enough_done(const struct history *h, struct buf *why)
{
    unsigned failed = 0;
    bool changed = false, read = false;
    for (unsigned i = 0; i < h->n; i++) {
        const struct history_op *o = &h->ops[i];
        bool done = o->outcome == HISTORY_DONE;
        failed += !done;
        changed = changed || (done && o->kind != HISTORY_GET);
        read = read || (done && o->kind == HISTORY_GET && o->value[0]);
    }
    if (!changed || !read)
        buf_printf(why, "no change was done, or none was read");
    else if (failed > h->n / 5)
        buf_printf(why, "%u of %u operations failed", failed, h->n);
    return !why->len;
}

static void print_counts(const struct history *h)
{
    unsigned kinds[3] = {0}, unknown = 0, not_done = 0;
    for (unsigned i = 0; i < h->n; i++) {
        kinds[h->ops[i].kind]++;
        unknown += h->ops[i].outcome == HISTORY_UNKNOWN;
        not_done += h->ops[i].outcome == HISTORY_NOT_DONE;
    }
    printf("puts=%u appends=%u gets=%u unknown=%u not_done=%u", kinds[HISTORY_PUT], kinds[HISTORY_APPEND], kinds[HISTORY_GET],
           unknown, not_done);
}

int main(int argc, char **argv)
{
    struct history h = {0};
    struct buf why = {0};
    bool fine = true;
    for (int i = 1; i < argc && fine; i++) {
        fine = load(argv[i], &h, &why);
        if (!fine)
            printf("%s: ", argv[i]);
    }
    fine = fine && history_check(&h, &why) && enough_done(&h, &why) && all_read(&h, &why);
    if (!fine)
        printf("%.*s\n", (int)why.len, (const char *)why.data);
    print_counts(&h);
    printf(fine ? " linearizable\n" : "\n");
    buf_release(&why);
    history_release(&h);
    return !fine;
}
