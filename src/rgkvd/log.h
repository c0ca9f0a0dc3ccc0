/* The daemon's log: lines to standard error, written by a thread of their own, so that a full pipe or a hung disk under
 * the log stops no request (B40). What does not fit into its memory is dropped, and counted in the next line that does. */
#ifndef RGKV_RGKVD_LOG_H
#define RGKV_RGKVD_LOG_H

#include "base/base.h"

struct log;

struct log *log_new(int fd);
/* Any thread. Never blocks. */
void log_line(struct log *l, const char *text);
/* Waits until all is written, but no longer than this. */
void log_flush(struct log *l, unsigned wait_ms);

#endif
