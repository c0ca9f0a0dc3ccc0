/* Clients that put, append to and read keys at random and write down what they did, each operation as one line of a history
 * (history_file.h). What they write is unique: "CLIENT.NUMBER,". Two ways to the cluster: load_mount.c, load_engine.c. */
#ifndef RGKV_TESTS_HISTORY_LOAD_H
#define RGKV_TESTS_HISTORY_LOAD_H

#include <pthread.h>

#include "base/prng.h"
#include "tests/cluster/history_file.h"

#define LOAD_CLIENTS_MAX 4096u

struct load_options {
    const char *mount;         /* a directory, or NULL: */
    const char *controllers;   /* by the client engine */
    const char *out;           /* where the history goes */
    const char *stop;          /* ends when this file exists */
    const char *count;         /* grows by a byte with each operation that is DONE */
    const char *prefix;        /* of the keys: PREFIX0 … */
    unsigned clients, first_client, keys, append, put; /* of 100 operations; the rest are reads */
    uint64_t operations;       /* of each client at most; 0: until stopped */
    uint64_t pause_us, seed;
};

/* What the clients share; load_record may be called by any thread. */
struct load {
    struct load_options o;
    pthread_mutex_t lock;
    FILE *out;
    int count_fd;
    uint64_t done, unknown, not_done, longest_us;
};

/* One client: what it does next. `value` is kept here until it is recorded. */
struct load_client {
    struct load *load;
    struct prng prng;
    unsigned number;
    uint64_t n;
    unsigned keys_read;        /* by load_next_read */
    struct history_op op;
    char value[32];
};

uint64_t load_now_us(void);
void load_client_init(struct load_client *c, struct load *l, unsigned number);
/* The next operation, begun now; false: this client is at its end. */
bool load_next(struct load_client *c);
/* Once all clients are at their ends: the read of the next key, begun now, so that what was written last is judged, too. False: all
 * were read. */
bool load_next_read(struct load_client *c);
/* It ended now. `read`: what a get that is DONE returned. */
void load_record(struct load_client *c, enum history_outcome outcome, const char *read);

/* All clients, until they end. */
void load_by_mount(struct load *l);
void load_by_engine(struct load *l);

#endif
