/* fs-bench: what a mounted file system does per second, and how long one operation takes.
 *
 * fs-bench DIR [SECONDS [BYTES]]: for 1 and 16 threads, each in turn for SECONDS (2): create, overwrite, read, stat and append of small files of BYTES
 * (100). One line each:
 *
 *     op=create threads=1 ops_per_s=1234 p50_us=700 p99_us=1500 p999_us=9000 errors=0
 *
 * fs-bench --added MOUNT SCRATCH A,B,C [SECONDS]: what the mount of the cluster A,B,C adds to a client without a file system. Measured by turns, SECONDS
 * (3) each, are the medians of the mount, of the client (client_load.h), of a mount that does nothing, and of a bare one that only asks the cluster
 * (fs_noop.h; these two are mounted below SCRATCH, an empty directory). `added` is in units of what the first of these costs, `of_bare` of what
 * the second adds to the client:
 *
 *     op=read threads=1 mount_us=240 client_us=180 noop_us=50 bare_us=235 added=1.20 of_bare=1.09
 *
 * fs-bench --large DIR LOCAL [MIB]: one file of MIB (1024) mebibytes, written to LOCAL (a directory of the machine's own disk) and to DIR, each with an
 * fsync at the end, then read from DIR. What three members on one disk allow is a sixth of what the disk does:
 *
 *     op=write dir=LOCAL mb_per_s=640.0
 *     op=write dir=DIR mb_per_s=120.0 of_sixth=1.13
 *     op=read dir=DIR mb_per_s=450.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/client_load.h"
#include "tests/bench/fs_noop.h"

#define BYTES_DEFAULT 100u
#define BYTES_MAX (1u << 20)
#define TURNS 3u

static const unsigned thread_counts[] = {1, LOAD_THREADS_MAX};

static double us(const struct load_result *r, double share) { return (double)hist_quantile(&r->ns, share) / 1e3; }

static bool prepared(const char *dir, size_t bytes)
{
    bool ok = fs_load_prepare(dir, LOAD_THREADS_MAX, bytes);
    if (!ok)
        fprintf(stderr, "fs-bench: %s cannot be written: %s\n", dir, strerror(errno));
    return ok;
}

/* ---- small files ---- */

static void report(const struct load *l, const struct load_result *r)
{
    printf("op=%s threads=%u ops_per_s=%.0f p50_us=%.0f p99_us=%.0f p999_us=%.0f errors=%lu\n", load_op_name(l->op), l->threads,
           (double)r->ns.n / r->seconds, us(r, 0.5), us(r, 0.99), us(r, 0.999), r->errors);
    fflush(stdout);
}

static int small(const char *dir, double seconds, size_t bytes)
{
    uint64_t errors = 0;
    if (!prepared(dir, bytes))
        return 1;
    for (size_t c = 0; c < ARRAY_LEN(thread_counts); c++)
        for (unsigned op = 0; op < LOAD_OPS; op++) {
            static struct load_result r;
            struct load l = {.op = (enum load_op)op, .threads = thread_counts[c], .seconds = seconds, .bytes = bytes, .run = load_now_ns()};
            r = (struct load_result){0};
            fs_load_run(dir, &l, &r);
            report(&l, &r);
            errors += r.errors;
        }
    return errors != 0;
}

/* ---- what the mount adds ---- */

enum side { SIDE_MOUNT, SIDE_CLIENT, SIDE_NOOP, SIDE_BARE, SIDES };

struct sides {
    const char *dirs[SIDES];
    char noop[4096], bare[4096];
    struct client_load *client;
    struct load_result results[SIDES];
};

static void turn(struct sides *s, struct load *l)
{
    for (unsigned side = 0; side < SIDES; side++) {
        l->run = load_now_ns();
        if (side == SIDE_CLIENT)
            client_load_run(s->client, l, &s->results[side]);
        else
            fs_load_run(s->dirs[side], l, &s->results[side]);
    }
}

static uint64_t report_added(const struct load *l, const struct sides *s)
{
    double p50[SIDES];
    uint64_t errors = 0;
    for (unsigned side = 0; side < SIDES; side++) {
        p50[side] = us(&s->results[side], 0.5);
        errors += s->results[side].errors;
    }
    double adds = p50[SIDE_MOUNT] - p50[SIDE_CLIENT];
    printf("op=%s threads=%u mount_us=%.0f client_us=%.0f noop_us=%.0f bare_us=%.0f added=%.2f of_bare=%.2f\n", load_op_name(l->op), l->threads,
           p50[SIDE_MOUNT], p50[SIDE_CLIENT], p50[SIDE_NOOP], p50[SIDE_BARE], adds / p50[SIDE_NOOP], adds / (p50[SIDE_BARE] - p50[SIDE_CLIENT]));
    fflush(stdout);
    return errors;
}

static uint64_t compare(struct sides *s, double seconds)
{
    uint64_t errors = 0;
    for (size_t c = 0; c < ARRAY_LEN(thread_counts); c++)
        for (unsigned op = 0; op < LOAD_OPS; op++) {
            struct load l = {.op = (enum load_op)op, .threads = thread_counts[c], .seconds = seconds / TURNS, .bytes = BYTES_DEFAULT};
            memset(s->results, 0, sizeof s->results);
            for (unsigned i = 0; i < TURNS; i++)
                turn(s, &l);
            errors += report_added(&l, s);
        }
    return errors;
}

static void in_scratch(const char *scratch, const char *name, char path[4096])
{
    snprintf(path, 4096, "%s/%s", scratch, name);
    mkdir(path, 0755);
}

static int added(const char *mount, const char *scratch, const char *controllers, double seconds)
{
    static struct sides s;
    uint64_t errors = 1;
    in_scratch(scratch, "noop", s.noop);
    in_scratch(scratch, "bare", s.bare);
    s.dirs[SIDE_MOUNT] = mount;
    s.dirs[SIDE_NOOP] = s.noop;
    s.dirs[SIDE_BARE] = s.bare;
    pid_t noop = fs_noop_start(s.noop, NULL, BYTES_DEFAULT), bare = noop < 0 ? -1 : fs_noop_start(s.bare, controllers, BYTES_DEFAULT);
    if (bare < 0)
        fprintf(stderr, "fs-bench: nothing can be mounted in %s, or %s are no addresses\n", scratch, controllers);
    else if (prepared(mount, BYTES_DEFAULT)) {
        s.client = client_load_new(controllers);
        errors = compare(&s, seconds);
        client_load_free(s.client);
    }
    if (bare > 0)
        fs_noop_stop(bare);
    if (noop > 0)
        fs_noop_stop(noop);
    return errors != 0;
}

/* ---- one large file ---- */

#define LARGE_BLOCK (1u << 20)

/* A pass over the file, block after block; seconds, or -1. */
static double pass(const char *path, int flags, unsigned mib)
{
    static uint8_t block[LARGE_BLOCK];
    int fd = open(path, flags, 0644);
    bool writes = (flags & O_ACCMODE) == O_WRONLY, good = fd >= 0;
    uint64_t begin = load_now_ns(), noise = begin;
    for (unsigned i = 0; good && i < mib; i++) {
        for (size_t k = 0; writes && k + 8 <= sizeof block; k += 8) { /* nothing that compresses */
            noise = noise * 6364136223846793005u + 1442695040888963407u;
            memcpy(block + k, &noise, 8);
        }
        good = (writes ? write(fd, block, sizeof block) : read(fd, block, sizeof block)) == (ssize_t)sizeof block;
    }
    if (good && writes)
        good = fsync(fd) == 0;
    if (fd >= 0)
        good = close(fd) == 0 && good;
    if (!good)
        fprintf(stderr, "fs-bench: %s: %s\n", path, strerror(errno));
    return good ? (double)(load_now_ns() - begin) / 1e9 : -1;
}

static int large(const char *dir, const char *local, unsigned mib)
{
    char here[4096], there[4096];
    double mb = mib * (LARGE_BLOCK / 1e6);
    snprintf(here, sizeof here, "%s/fs-bench-large", local);
    snprintf(there, sizeof there, "%s/fs-bench-large", dir);
    double raw = pass(here, O_WRONLY | O_CREAT | O_TRUNC, mib);
    unlink(here);
    double written = pass(there, O_WRONLY | O_CREAT | O_TRUNC, mib), back = pass(there, O_RDONLY, mib);
    unlink(there);
    if (raw <= 0 || written <= 0 || back <= 0)
        return 1;
    printf("op=write dir=%s mb_per_s=%.1f\n", local, mb / raw);
    printf("op=write dir=%s mb_per_s=%.1f of_sixth=%.2f\n", dir, mb / written, raw * 6 / written);
    printf("op=read dir=%s mb_per_s=%.1f\n", dir, mb / back);
    return 0;
}

/* ---- the program ---- */

static double number(int argc, char **argv, int i, double otherwise) { return i < argc ? atof(argv[i]) : otherwise; }

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if ((argc == 4 || argc == 5) && !strcmp(mode, "--large"))
        return large(argv[2], argv[3], (unsigned)number(argc, argv, 4, 1024));
    if ((argc == 5 || argc == 6) && !strcmp(mode, "--added"))
        return added(argv[2], argv[3], argv[4], number(argc, argv, 5, 3));
    double seconds = number(argc, argv, 2, 2), bytes = number(argc, argv, 3, BYTES_DEFAULT);
    if (argc >= 2 && argc <= 4 && mode[0] != '-' && seconds > 0 && bytes >= 1 && bytes <= BYTES_MAX)
        return small(mode, seconds, (size_t)bytes);
    fprintf(stderr, "usage: fs-bench DIR [SECONDS [BYTES]] | --added MOUNT SCRATCH CONTROLLERS [SECONDS] | --large DIR LOCAL [MIB]\n");
    return 1;
}
