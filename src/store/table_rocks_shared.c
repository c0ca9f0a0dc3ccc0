/* What the tables of a process share: cache, threads, and the one that asks whether a table is behind. */
#include "store/table_rocks_internal.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

#define UNASKED_BYTES_MAX (256u << 10) /* so much may be written before RocksDB is asked again */
#define WRITE_BUFFER_BYTES_MIN (2u << 20)
#define WRITE_BUFFER_BYTES_MAX (32u << 20)

/* ---- who would have to wait ---- */

static uint64_t property(struct table_rocks *t, const char *name)
{
    uint64_t value = 0;
    rocksdb_property_int(t->db, name, &value);
    return value;
}

static uint64_t first_files(struct table_rocks *t)
{
    char *text = rocksdb_property_value(t->db, "rocksdb.num-files-at-level0");
    uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    rocksdb_free(text);
    return n;
}

static bool in_trouble(struct table_rocks *t)
{
    if (property(t, "rocksdb.background-errors") != t->errors)
        t->in_trouble = true;
    return t->in_trouble;
}

static bool is_behind(struct table_rocks *t)
{
    return !in_trouble(t) &&
           (property(t, "rocksdb.num-immutable-mem-table") >= WRITE_BUFFERS_WAITING || first_files(t) >= FIRST_FILES_WAITING);
}

static void *ask(void *arg)
{
    struct table_rocks_shared *s = arg;
    struct table_rocks *t;
    pthread_setname_np(pthread_self(), "rgkv-ask");
    for (;;) {
        while (sem_wait(&s->asked) != 0)
            ;
        if (s->asker_ends)
            return NULL;
        pthread_mutex_lock(&s->lock);
        DL_FOREACH(s->tables, t)
            if (atomic_exchange(&t->asked, false))
                t->waits = is_behind(t);
        pthread_mutex_unlock(&s->lock);
    }
}

/* What was answered last; the next answer is on its way when it is due. If that takes long, no more than a buffer is written meanwhile. */
bool table_rocks_waits(struct table *table)
{
    struct table_rocks *t = table_rocks_of(table);
    bool waits = t->waits;
    if (!waits && t->unasked_bytes < UNASKED_BYTES_MAX)
        return false;
    if (!atomic_exchange(&t->asked, true)) {
        t->unasked_bytes = 0;
        sem_post(&t->shared->asked);
    }
    return waits || t->unasked_bytes >= t->shared->write_buffer_bytes;
}

/* A write that succeeds ends the trouble that was there when it began: what came meanwhile is for the next one. */
void table_rocks_wrote(struct table_rocks *t, size_t bytes, bool trouble_ends)
{
    t->unasked_bytes += bytes;
    if (trouble_ends) {
        t->errors = property(t, "rocksdb.background-errors");
        t->in_trouble = false;
    }
}

static void asker_start(struct table_rocks_shared *s)
{
    sem_init(&s->asked, 0, 0);
    int rc = pthread_create(&s->asker, NULL, ask, s);
    ASSERT(rc == 0);
}

static void asker_end(struct table_rocks_shared *s)
{
    s->asker_ends = true;
    sem_post(&s->asked);
    pthread_join(s->asker, NULL);
    sem_destroy(&s->asked);
}

/* ---- what tables share ---- */

/* A thread begins with the priority of the one that starts it, and nobody may raise it again: so that is not the caller. */
static void *start_compaction_threads(void *arg)
{
    struct table_rocks_shared *s = arg;
    id_t thread = (id_t)gettid();
    int err = setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + s->compaction_nice);
    (void)err; /* they only yield less */
    rocksdb_env_set_background_threads(s->env, BACKGROUND_JOBS);
    return NULL;
}

static void start_threads(struct table_rocks_shared *s)
{
    pthread_t starter;
    if (pthread_create(&starter, NULL, start_compaction_threads, s) == 0)
        pthread_join(starter, NULL);
    else
        rocksdb_env_set_background_threads(s->env, BACKGROUND_JOBS);
    rocksdb_env_set_high_priority_background_threads(s->env, 1);
}

/* RocksDB counts every comparison of keys in a variable of the thread unless told not to: a sixth of a busy node's time
 * (a put of 256 bytes on three nodes: 39 us of processor instead of 48). The level is this thread's: the one that will
 * read the tables; whoever writes them says it then. */
struct table_rocks_shared *table_rocks_shared_new(uint64_t budget_bytes, int compaction_nice)
{
    struct table_rocks_shared *s = mem_zalloc(sizeof(*s));
    s->compaction_nice = compaction_nice;
    pthread_mutex_init(&s->lock, NULL);
    rocksdb_set_perf_level(rocksdb_disable);
    s->cache = rocksdb_cache_create_lru(MAX(budget_bytes / 2, 1u << 20));
    s->env = rocksdb_create_default_env();
    start_threads(s);
    asker_start(s);
    s->write_buffer_bytes = MIN(MAX(budget_bytes / 16, WRITE_BUFFER_BYTES_MIN), WRITE_BUFFER_BYTES_MAX);
    return s;
}

void table_rocks_shared_free(struct table_rocks_shared *s)
{
    if (!s)
        return;
    ASSERT(!s->tables);
    asker_end(s);
    pthread_mutex_destroy(&s->lock);
    rocksdb_cache_destroy(s->cache);
    rocksdb_env_destroy(s->env);
    mem_free(s);
}

struct patience *table_rocks_patience(struct table_rocks_shared *s) { return &s->patience; }

/* ---- the tables ---- */

void table_rocks_shared_add(struct table_rocks *t)
{
    pthread_mutex_lock(&t->shared->lock);
    DL_APPEND(t->shared->tables, t);
    if (t->shared->trims_end)
        rocksdb_disable_manual_compaction(t->db);
    pthread_mutex_unlock(&t->shared->lock);
}

void table_rocks_shared_remove(struct table_rocks *t)
{
    pthread_mutex_lock(&t->shared->lock);
    DL_DELETE(t->shared->tables, t);
    pthread_mutex_unlock(&t->shared->lock);
}

void table_rocks_trims_end(struct table_rocks_shared *s)
{
    struct table_rocks *t;
    pthread_mutex_lock(&s->lock);
    if (!s->trims_end)
        DL_FOREACH(s->tables, t)
            rocksdb_disable_manual_compaction(t->db);
    s->trims_end = true;
    pthread_mutex_unlock(&s->lock);
}

void table_rocks_memory(struct table_rocks_shared *s, struct table_rocks_memory *ret_m)
{
    struct table_rocks *t;
    *ret_m = (struct table_rocks_memory){.cache = rocksdb_cache_get_usage(s->cache)};
    pthread_mutex_lock(&s->lock);
    DL_FOREACH(s->tables, t) {
        uint64_t buffers = 0, indexes = 0;
        rocksdb_property_int(t->db, "rocksdb.size-all-mem-tables", &buffers);
        rocksdb_property_int(t->db, "rocksdb.estimate-table-readers-mem", &indexes);
        ret_m->buffers += buffers;
        ret_m->indexes += indexes;
    }
    pthread_mutex_unlock(&s->lock);
}
