/* An open directory, read in rounds: each name is given out once, in whatever order the parts answer, fail or are late. The store is played
 * here: questions are noted, and answered in the order that a test wants. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "fuse/dirhandle.h"

#define PARTS 2

static struct question {
    struct call *call;
    call_done *done;
    uint32_t part;
    char after[32];
} questions[16];
static unsigned n_questions;

void *call_begin(struct mount *m, fuse_req_t req, const char *op, size_t bytes)
{
    struct call *c = mem_zalloc(bytes);
    c->m = m;
    return c;
}

void call_node(struct call *c, struct inode *n) { c->node = inode_ref(n); }

void call_end(struct call *c)
{
    inode_unref(&c->m->inodes, c->node);
    mem_free(c);
}

void call_ask(struct call *c, const struct kv_request *q, call_done *done)
{
    struct question *asked = &questions[n_questions++];
    *asked = (struct question){.call = c, .done = done, .part = q->shard};
    snprintf(asked->after, sizeof asked->after, "%.*s", (int)q->key2.len, q->key2.len ? (const char *)q->key2.data : "");
}

/* ---- the store's answers ---- */

static struct question take(uint32_t part)
{
    for (unsigned i = 0; i < n_questions; i++)
        if (questions[i].part == part) {
            struct question q = questions[i];
            questions[i] = questions[--n_questions];
            return q;
        }
    fail_msg("part %u was not asked", part);
    return (struct question){0};
}

static void answer(uint32_t part, const char *after, const char *name, bool more)
{
    struct question q = take(part);
    struct buf page = {0};
    assert_string_equal(q.after, after);
    if (name)
        kv_dirent_append(&page, &(struct kv_dirent){.name = bytes_str(name), .attr = {.type = KV_FILE, .ino = 5}});
    struct kv_reply reply = {.data = buf_bytes(&page), .more = more};
    q.done(q.call, &(struct client_effect){.kind = CLIENT_DONE, .reply = &reply, .why = ""});
    buf_release(&page);
}

static void refuse(uint32_t part)
{
    struct question q = take(part);
    q.done(q.call, &(struct client_effect){.kind = CLIENT_DONE, .err = RGKV_UNREACHABLE, .why = "far away"});
}

/* ---- the reader ---- */

struct reader_rig {
    struct mount m;
    struct dirhandle *d;
    struct dir_call call;
    unsigned told;
    enum rgkv_err err;
};
static struct reader_rig *told_rig;

static void told(struct call *c, enum rgkv_err err, const char *why)
{
    told_rig->told++;
    told_rig->err = err;
}

static struct reader_rig *rig_new(void)
{
    struct reader_rig *r = told_rig = mem_zalloc(sizeof *r);
    n_questions = 0;
    inodes_init(&r->m.inodes);
    r->m.nshards = PARTS;
    r->d = dirhandle_new(&r->m, r->m.inodes.root);
    r->call.d = r->d;
    r->call.call.m = &r->m;
    return r;
}

static void rig_free(struct reader_rig *r)
{
    assert_int_equal(n_questions, 0);
    dirhandle_released(r->d);
    inodes_release(&r->m.inodes);
    mem_free(r);
}

static void more(struct reader_rig *r)
{
    r->told = 0;
    dirhandle_more(r->d, &r->call, told);
    assert_int_equal(r->told, 0);
}

static void assert_entry(const struct reader_rig *r, uint64_t ordinal, const char *name)
{
    assert_true(ordinal >= r->d->base && ordinal < r->d->base + r->d->n);
    assert_string_equal(dirhandle_name(r->d, (unsigned)(ordinal - r->d->base)), name);
}

/* The parts answer the first round from the back, so the order of names is not the order of parts. */
static struct reader_rig *rig_with_a_round(void)
{
    struct reader_rig *r = rig_new();
    more(r);
    answer(1, "", "b1", true);
    answer(0, "", "a1", true);
    assert_true(r->told == 1 && r->err == RGKV_OK);
    assert_entry(r, 0, "b1");
    assert_entry(r, 1, "a1");
    return r;
}

static void finish(struct reader_rig *r)
{
    more(r);
    answer(0, "a1", "a2", false);
    answer(1, "b1", "b2", false);
    assert_true(r->told == 1 && r->err == RGKV_OK && r->d->complete);
    assert_entry(r, 2, "a2");
    assert_entry(r, 3, "b2");
    assert_int_equal(r->d->base + r->d->n, 4);
    rig_free(r);
}

static void every_part_is_asked_for_what_comes_behind_its_last_name(void **state)
{
    finish(rig_with_a_round());
}

static void a_round_that_was_interrupted_is_asked_for_again_from_where_it_began(void **state)
{
    struct reader_rig *r = rig_with_a_round();
    more(r);
    answer(0, "a1", "a2", false);
    r->call.call.cancel(&r->call.call);
    assert_true(r->told == 1 && r->err == RGKV_CANCELLED && !r->d->complete);
    assert_int_equal(r->d->base + r->d->n, 2);
    answer(1, "b1", "b2", false); /* late: for nobody */
    assert_int_equal(r->d->base + r->d->n, 2);
    finish(r);
}

static void what_comes_late_of_an_interrupted_round_is_not_taken_for_the_next_one(void **state)
{
    struct reader_rig *r = rig_with_a_round();
    more(r);
    answer(0, "a1", "a2", false);
    r->call.call.cancel(&r->call.call);
    more(r);
    struct question late = questions[0].after[0] == 'b' ? questions[0] : questions[1];
    assert_int_equal(late.part, 1);
    answer(1, "b1", "b2", false); /* to the first question or to the second */
    answer(0, "a1", "a2", false);
    assert_int_equal(r->told, 0);
    answer(1, "b1", "b2", false);
    assert_true(r->told == 1 && r->err == RGKV_OK && r->d->complete);
    assert_int_equal(r->d->base + r->d->n, 4);
    rig_free(r);
}

static void a_round_that_failed_gives_no_name_and_is_asked_for_again(void **state)
{
    struct reader_rig *r = rig_with_a_round();
    more(r);
    answer(0, "a1", "a2", false);
    refuse(1);
    assert_true(r->told == 1 && r->err == RGKV_UNREACHABLE && !r->d->complete);
    assert_int_equal(r->d->base + r->d->n, 2);
    finish(r);
}

static void a_directory_that_was_replaced_elsewhere_is_not_listed_as_the_root(void **state)
{
    struct reader_rig *r = rig_new();
    struct inode *n = inode_lookup(&r->m.inodes, r->m.inodes.root, "dir", 7, KV_DIR);
    struct dirhandle *d = dirhandle_new(&r->m, n);
    inode_lookup(&r->m.inodes, r->m.inodes.root, "dir", 8, KV_DIR); /* another one has its name */
    dirhandle_more(d, &r->call, told);
    assert_int_equal(n_questions, 0);
    assert_true(r->told == 1 && r->err == RGKV_NOT_FOUND);
    dirhandle_released(d);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_asked_for_what_comes_behind_its_last_name),
        cmocka_unit_test(a_round_that_was_interrupted_is_asked_for_again_from_where_it_began),
        cmocka_unit_test(what_comes_late_of_an_interrupted_round_is_not_taken_for_the_next_one),
        cmocka_unit_test(a_round_that_failed_gives_no_name_and_is_asked_for_again),
        cmocka_unit_test(a_directory_that_was_replaced_elsewhere_is_not_listed_as_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
