/* The last failures of this mount, as `/.ctrl/error` shows them: `time op path errno sentence`, oldest first. A ring of
 * bounded lines. Times are given by the caller; pure. */
#ifndef RGKV_FUSE_ERRLOG_H
#define RGKV_FUSE_ERRLOG_H

#include "base/bytes.h"

#define ERRLOG_LINES_MAX 128u

struct errlog_entry {
    int64_t time_ns;           /* wall clock */
    const char *op, *path;     /* copied */
    int number;                /* errno */
    const char *sentence;
};
struct errlog {
    char *lines[ERRLOG_LINES_MAX]; /* a ring */
    unsigned first, n;
    uint64_t total;            /* ever recorded */
};
/* For one line: control bytes, in names and in sentences, become '?'. "-" for "". */
void errlog_put_text(struct buf *out, const char *text);
void errlog_put_time(struct buf *out, int64_t time_ns); /* "2026-11-22T21:00:00.123Z " */
void errlog_record(struct errlog *l, const struct errlog_entry *e);
void errlog_print(const struct errlog *l, struct buf *out);
void errlog_clear(struct errlog *l); /* also releases it */

#endif
