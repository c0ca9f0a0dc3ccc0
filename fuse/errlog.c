#include "fuse/errlog.h"

#include <stdio.h>
#include <time.h>

void errlog_put_text(struct buf *out, const char *text)
{
    if (!*text)
        buf_put_u8(out, '-');
    for (; *text; text++)
        buf_put_u8(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : (uint8_t)*text);
}

void errlog_put_time(struct buf *out, int64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
               tm.tm_sec, (int)(time_ns % 1000000000 / 1000000));
}

static char *line_of(const struct errlog_entry *e)
{
    struct buf line = {0};
    errlog_put_time(&line, e->time_ns);
    errlog_put_text(&line, e->op);
    buf_put_u8(&line, ' ');
    errlog_put_text(&line, e->path);
    const char *name = strerrorname_np(e->number);
    buf_printf(&line, " %s ", name ? name : "-");
    errlog_put_text(&line, e->sentence);
    buf_put(&line, bytes_of("\n", 2)); /* with its NUL */
    return (char *)line.data;
}

void errlog_record(struct errlog *l, const struct errlog_entry *e)
{
    l->total++;
    unsigned at = (l->first + l->n) % ERRLOG_LINES_MAX;
    if (l->n == ERRLOG_LINES_MAX) {
        mem_free(l->lines[at]);
        l->first = (l->first + 1) % ERRLOG_LINES_MAX;
    } else {
        l->n++;
    }
    l->lines[at] = line_of(e);
}

void errlog_print(const struct errlog *l, struct buf *out)
{
    for (unsigned i = 0; i < l->n; i++)
        buf_put(out, bytes_str(l->lines[(l->first + i) % ERRLOG_LINES_MAX]));
}

void errlog_clear(struct errlog *l)
{
    for (unsigned i = 0; i < l->n; i++)
        mem_free(l->lines[(l->first + i) % ERRLOG_LINES_MAX]);
    l->first = l->n = 0;
}
