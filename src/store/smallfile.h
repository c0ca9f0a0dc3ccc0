/* A small file that is replaced as a whole: after a crash it is the old one or the new one, never a mixture.
 *
 *     magic "RGKVSML1" | length le64 | XXH3 of the content, seeded with the length, le64 | content
 *
 * `why` gets a sentence on failure (path, what happened); it may be NULL. */
#ifndef RGKV_STORE_SMALLFILE_H
#define RGKV_STORE_SMALLFILE_H

#include "store/vfs.h"

#define SMALL_FILE_BYTES_MAX (64u << 20)

/* Writes `path`.tmp, syncs it, renames it over `path`, syncs the directory. NO_SPACE, IO, TOO_LARGE: the old content
 * is still there. An IO from the last step (the directory's sync) leaves open which of the two a crash would show. */
MUST_USE enum rgkv_err small_file_write(struct vfs *v, const char *path, struct bytes content, struct buf *why);
/* Appends the content to `out`. NOT_FOUND, DAMAGED, IO. */
MUST_USE enum rgkv_err small_file_read(struct vfs *v, const char *path, struct buf *out, struct buf *why);

#endif
