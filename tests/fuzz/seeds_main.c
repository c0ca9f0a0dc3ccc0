/* Writes a fuzzer's first corpus: `fuzz_seeds DIR` makes DIR/frame, DIR/image, DIR/command, DIR/manifest, DIR/wal and DIR/rows with a few short legal
 * inputs of every kind. Run it again when a format changes. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image_shape.h"
#include "tests/fuzz/seeds.h"
#include "tests/unit/wire_random.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SEEDS_PER_KIND 4u
#define SEED_BYTES_MAX 2000u

void seed_write(const char *dir, const char *name, unsigned number, uint8_t choice, struct bytes content)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s-%u", dir, name, number);
    FILE *file = fopen(path, "wb");
    if (!file || fputc(choice, file) == EOF || fwrite(content.data, 1, content.len, file) != content.len || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static const char *subdir(const char *dir, const char *name)
{
    static char path[4000];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    mkdir(path, 0777);
    return path;
}

static void frame_seeds(struct prng *p, struct arena *a, const char *dir)
{
    for (enum msg_kind kind = 1; kind < MSG_KIND_COUNT; kind++) {
        for (unsigned n = 0; n < SEEDS_PER_KIND;) {
            struct msg m;
            struct buf frame = {0};
            arena_reset(a);
            random_msg(p, kind, a, &m);
            msg_encode(&m, &frame);
            if (frame.len <= SEED_BYTES_MAX)
                seed_write(dir, msg_kind_name(kind), n++, (uint8_t)(kind - 1), buf_bytes(&frame));
            msg_release(&m);
            buf_release(&frame);
        }
    }
}

static void command_seeds(struct prng *p, struct arena *a, const char *dir)
{
    for (unsigned n = 0; n < 10 * SEEDS_PER_KIND;) {
        struct kv_command kv;
        struct ctrl_command ctrl;
        bool is_ctrl = n % 4 == 0;
        arena_reset(a);
        random_kv_command(p, a, &kv);
        random_ctrl_command(p, a, &ctrl);
        struct blob *b = is_ctrl ? ctrl_command_encode(&ctrl) : kv_command_encode(&kv);
        if (b->len <= SEED_BYTES_MAX)
            seed_write(dir, is_ctrl ? "ctrl" : "kv", n++, is_ctrl ? 2 : kv.kind != KV_REQUEST, blob_bytes(b));
        blob_unref(b);
    }
}

static void manifest_seeds(struct prng *p, const char *dir)
{
    struct manifest *m = mem_alloc(sizeof(*m));
    for (unsigned n = 0; n < 2 * SEEDS_PER_KIND;) {
        struct buf file = {0};
        random_manifest(p, m);
        manifest_encode(m, &file);
        if (file.len <= SEED_BYTES_MAX)
            seed_write(dir, "manifest", n++, 0, buf_bytes(&file));
        buf_release(&file);
    }
    mem_free(m);
}

static void image_seed(struct prng *p, const char *dir, unsigned choice)
{
    struct shape s = fuzz_image_shape((uint8_t)choice);
    unsigned rows[SHAPE_TABLES_MAX];
    struct body_out o;
    struct buf image = {0};
    for (unsigned t = 0; t < s.n_tables; t++)
        rows[t] = (unsigned)prng_below(p, 3);
    body_out_begin(&o, &s, rows, &image);
    for (unsigned i = 0; i < s.numbers; i++)
        put_number(&o, prng_next(p));
    for (unsigned t = 0; t < s.n_tables; t++)
        while (o.rows_left[t])
            put_row(&o, t, (uint64_t[SHAPE_COLUMNS_MAX]){prng_next(p)});
    body_out_end(&o);
    seed_write(dir, "image", choice, (uint8_t)choice, buf_bytes(&image));
    buf_release(&image);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: fuzz_seeds DIR\n");
        return 2;
    }
    struct prng p;
    struct arena a = {0};
    prng_init(&p, 4711);
    frame_seeds(&p, &a, subdir(argv[1], "frame"));
    command_seeds(&p, &a, subdir(argv[1], "command"));
    manifest_seeds(&p, subdir(argv[1], "manifest"));
    const char *image_dir = subdir(argv[1], "image");
    for (unsigned choice = 0; choice < 256; choice += 13)
        image_seed(&p, image_dir, choice);
    char wal_dir[4000];
    snprintf(wal_dir, sizeof(wal_dir), "%s", subdir(argv[1], "wal"));
    store_seeds(wal_dir, subdir(argv[1], "rows"));
    arena_release(&a);
    return 0;
}
