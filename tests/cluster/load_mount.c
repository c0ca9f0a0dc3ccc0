/* A load through a mount: each client is a thread that does what a program would do with a file. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/cluster/history_load.h"

/* A change that fails with this was surely not done (rgkvfs(8), ERRORS); of any other nobody knows. */
static enum history_outcome outcome_of_errno(void) { return errno == EHOSTDOWN ? HISTORY_NOT_DONE : HISTORY_UNKNOWN; }

static enum history_outcome change(const char *path, int flags, const char *value)
{
    size_t len = strlen(value);
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0)
        return outcome_of_errno();
    bool written = write(fd, value, len) == (ssize_t)len;
    enum history_outcome outcome = written ? HISTORY_DONE : outcome_of_errno();
    if (close(fd) != 0 && written)
        outcome = HISTORY_UNKNOWN;
    return outcome;
}

static bool read_all(int fd, struct buf *to)
{
    for (;;) {
        size_t before = to->len;
        ssize_t n = read(fd, buf_grow(to, 1 << 16), 1 << 16);
        to->len = before + (n > 0 ? (size_t)n : 0);
        if (n <= 0)
            return n == 0;
    }
}

static enum history_outcome get(const char *path, struct buf *to)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return errno == ENOENT ? HISTORY_DONE : HISTORY_NOT_DONE;
    bool fine = read_all(fd, to);
    close(fd);
    return fine ? HISTORY_DONE : HISTORY_NOT_DONE;
}

static void do_one(struct load_client *c, struct buf *read)
{
    char path[4200];
    enum history_outcome outcome = HISTORY_UNKNOWN;
    snprintf(path, sizeof(path), "%s/%s", c->load->o.mount, c->op.key);
    buf_clear(read);
    switch (c->op.kind) {
    case HISTORY_GET: outcome = get(path, read); break;
    case HISTORY_PUT: outcome = change(path, O_TRUNC, c->value); break;
    case HISTORY_APPEND: outcome = change(path, O_APPEND, c->value); break;
    case HISTORY_MOVE: case HISTORY_MISS: case HISTORY_ADD: case HISTORY_LIST: case HISTORY_PATCH: break; /* never drawn */
    }
    buf_put_u8(read, 0);
    load_record(c, outcome, (const char *)read->data);
}

static void *run(void *arg)
{
    struct load_client *c = arg;
    struct buf read = {0};
    while (load_next(c)) {
        do_one(c, &read);
        if (c->load->o.pause_us)
            usleep((useconds_t)c->load->o.pause_us);
    }
    buf_release(&read);
    return NULL;
}

void load_by_mount(struct load *l)
{
    pthread_t *threads = mem_alloc(l->o.clients * sizeof(*threads));
    struct load_client *clients = mem_alloc(l->o.clients * sizeof(*clients));
    for (unsigned i = 0; i < l->o.clients; i++) {
        load_client_init(&clients[i], l, i);
        if (pthread_create(&threads[i], NULL, run, &clients[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < l->o.clients; i++)
        pthread_join(threads[i], NULL);
    struct buf read = {0};
    while (load_next_read(&clients[0]))
        do_one(&clients[0], &read);
    buf_release(&read);
    mem_free(clients);
    mem_free(threads);
}
