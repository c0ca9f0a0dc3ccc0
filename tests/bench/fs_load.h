/* What programs do with small files, by several threads at once: the load of fs-bench. Every thread has its own files, spread over the top level of
 * the directory. An operation is what a program does: open, read or write, close. */
#ifndef RGKV_TESTS_BENCH_FS_LOAD_H
#define RGKV_TESTS_BENCH_FS_LOAD_H

#include "tests/bench/hist.h"

#define LOAD_THREADS_MAX 16u
#define LOAD_FILES 64u /* of each thread */
#define LOAD_NAME_BYTES 64u

enum load_op { LOAD_CREATE, LOAD_OVERWRITE, LOAD_READ, LOAD_STAT, LOAD_APPEND, LOAD_OPS };
const char *load_op_name(enum load_op op);

struct load {
    enum load_op op;
    unsigned threads;          /* at most LOAD_THREADS_MAX */
    double seconds;
    size_t bytes;              /* that a file holds, an append adds */
    uint64_t run;              /* makes names of creations new */
};
/* Added to by each run. */
struct load_result {
    struct hist ns;            /* of each operation that succeeded */
    uint64_t errors;
    double seconds;
};

/* "bench-THREAD-FILE", of creations "bench-THREAD-RUN-I". */
void load_name(const struct load *l, unsigned thread, uint64_t i, char name[LOAD_NAME_BYTES]);
/* The files that are overwritten, read and appended to. False: errno says why. */
MUST_USE bool fs_load_prepare(const char *dir, unsigned threads, size_t bytes);
void fs_load_run(const char *dir, const struct load *l, struct load_result *r);

uint64_t load_now_ns(void);

#endif
