#include "fuse/control.h"

#include <stdlib.h>

#define SIZE_US 200000u

/* ---- attributes ---- */

static void stat_of(const struct mount *m, uint64_t id, struct stat *ret_st)
{
    const struct control_row *r = control_row(id);
    struct buf text = {0};
    *ret_st = m->root; /* its times */
    ret_st->st_ino = id;
    ret_st->st_uid = m->uid;
    ret_st->st_gid = m->gid;
    ret_st->st_mode = (r->directory ? S_IFDIR : S_IFREG) | r->mode;
    ret_st->st_size = control_local_text(m, r->kind, &text) ? (off_t)text.len : 0;
    ret_st->st_blocks = 0;
    ret_st->st_blksize = 4096;
    buf_release(&text);
}

struct size_call {
    struct call call;
    uint64_t id;
};

static void reply_now(fuse_req_t req, uint64_t id)
{
    struct stat st;
    stat_of(fuse_req_userdata(req), id, &st);
    fuse_reply_attr(req, &st, 0);
}

static void size_done(struct call *call, const struct client_effect *e)
{
    struct mount *m = call->m;
    uint64_t id = ((struct size_call *)call)->id;
    struct buf own = {0};
    struct stat st;
    if (e->err == RGKV_CANCELLED) {
        call_reply_err(call, e->err, e->why);
        return;
    }
    if (control_row(id)->kind == CONTROL_METRICS)
        control_print_metrics(m, !e->err, &own);
    stat_of(m, id, &st);
    st.st_size = (off_t)(own.len + (e->err ? 0 : e->text.len));
    fuse_reply_attr(call->req, &st, 0);
    buf_release(&own);
    call_end(call);
}

/* The cluster knows the text: asked only while somebody answers, and not for long, since programs call stat(2) on everything. */
static bool size_is_elsewhere(const struct mount *m, uint64_t id)
{
    const struct control_row *r = control_row(id);
    struct client_stats s;
    client_stats(net_client_engine(m->client), &s);
    return !r->local && !r->directory && r->mode & 0400 && s.controller_reached;
}

void control_getattr(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *m = fuse_req_userdata(req);
    if (!size_is_elsewhere(m, ino)) {
        reply_now(req, ino);
        return;
    }
    struct size_call *c = call_begin(m, req, "ctrl-getattr", sizeof *c);
    struct client_request q = control_question(ino);
    c->id = ino;
    call_ask_within(&c->call, &q, SIZE_US, size_done);
}

void control_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set)
{
    int refused = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME;
    struct mount *m = fuse_req_userdata(req);
    if (to_set & refused) {
        fuse_reply_err(req, EPERM);
        return;
    }
    if (control_row(ino)->kind == CONTROL_ERROR && to_set & FUSE_SET_ATTR_SIZE && !attr->st_size)
        errlog_clear(&m->errors);
    reply_now(req, ino); /* truncation: `echo >` */
}

/* ---- names ---- */

struct lookup_call {
    struct call call;
    uint64_t id;
};

/* The kernel keeps the fixed names: it holds a directory while a name is made in it, and a first lookup beside that would wait with it,
 * the one of `.ctrl`, too. */
#define NAME_KEPT_S (365.0 * 86400)

static void reply_entry(fuse_req_t req, uint64_t id)
{
    struct fuse_entry_param e = {.ino = id, .generation = 1, .entry_timeout = control_row(id)->name ? NAME_KEPT_S : 0};
    stat_of(fuse_req_userdata(req), id, &e.attr);
    fuse_reply_entry(req, &e);
}

static bool exists_in(const struct ctrl_view *v, uint64_t id)
{
    uint64_t number = control_number(id);
    if (control_row(id)->kind == CONTROL_CONFIG_N)
        return number <= v->config_num;
    return number == 0 || ctrl_view_group(v, number) != NULL;
}

static void lookup_done(struct call *call, const struct client_effect *e)
{
    struct lookup_call *c = (struct lookup_call *)call;
    if (e->err || !e->view)
        call_reply_err(call, e->err ? e->err : RGKV_PROTOCOL, e->why);
    else if (!exists_in(e->view, c->id))
        call_reply_errno(call, ENOENT);
    else {
        reply_entry(call->req, c->id);
        call_end(call);
    }
}

/* Only what the cached view does not have is asked for: numbers and groups seldom go away. */
static void lookup_numbered(fuse_req_t req, uint64_t id)
{
    struct mount *m = fuse_req_userdata(req);
    const struct ctrl_view *v = client_view(net_client_engine(m->client));
    if (v && exists_in(v, id)) {
        reply_entry(req, id);
        return;
    }
    struct lookup_call *c = call_begin(m, req, "lookup", sizeof *c);
    c->id = id;
    call_ask_any(&c->call, &(struct client_request){.kind = CLIENT_VIEW}, lookup_done);
}

void control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    uint64_t id = control_is(parent) ? control_child(parent, name) : control_id(CONTROL_TOP, 0);
    if (!id)
        fuse_reply_err(req, ENOENT);
    else if (control_row(id)->name)
        reply_entry(req, id);
    else
        lookup_numbered(req, id);
}

/* ---- listings ---- */

struct control_dir {
    uint64_t id;
    unsigned n;
    uint64_t *children;
};

struct opendir_call {
    struct call call;
    struct control_dir *dir;
    struct fuse_file_info fi;
};

static void dir_free(struct control_dir *d)
{
    mem_free(d->children);
    mem_free(d);
}

static void dir_add(struct control_dir *d, uint64_t id)
{
    d->children = mem_realloc(d->children, (d->n + 1) * sizeof *d->children);
    d->children[d->n++] = id;
}

static struct control_dir *dir_new(uint64_t id)
{
    struct control_dir *d = mem_zalloc(sizeof *d);
    uint64_t child;
    d->id = id;
    for (unsigned i = 0; (child = control_fixed_child(id, i)); i++)
        dir_add(d, child);
    return d;
}

static void dir_add_numbered(struct control_dir *d, const struct ctrl_view *v)
{
    if (control_row(d->id)->kind == CONTROL_CONFIGS) {
        for (uint64_t n = 0; n <= v->config_num; n++)
            dir_add(d, control_id(CONTROL_CONFIG_N, n));
        return;
    }
    dir_add(d, control_id(CONTROL_GROUP, 0));
    for (unsigned i = 0; i < v->n_groups; i++)
        if (v->groups[i].gid <= CONTROL_NUMBER_MAX)
            dir_add(d, control_id(CONTROL_GROUP, v->groups[i].gid));
}

static void opendir_done(struct call *call, const struct client_effect *e)
{
    struct opendir_call *c = (struct opendir_call *)call;
    struct control_dir *d = c->dir;
    if (e->err || !e->view) {
        dir_free(d);
        call_reply_err(call, e->err ? e->err : RGKV_PROTOCOL, e->why);
        return;
    }
    dir_add_numbered(d, e->view);
    if (!call_reply_open(call, &c->fi))
        dir_free(d);
}

void control_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    enum control_kind kind = control_row(ino)->kind;
    struct opendir_call *c = call_begin(fuse_req_userdata(req), req, "opendir", sizeof *c);
    struct control_dir *d = c->dir = dir_new(ino);
    c->fi = *fi;
    c->fi.fh = (uint64_t)(uintptr_t)d;
    if (kind == CONTROL_CONFIGS || kind == CONTROL_GROUPS)
        call_ask_any(&c->call, &(struct client_request){.kind = CLIENT_VIEW}, opendir_done);
    else if (!call_reply_open(&c->call, &c->fi))
        dir_free(d);
}

static size_t put_child(fuse_req_t req, const struct control_dir *d, uint64_t i, char *at, size_t room)
{
    char name[32] = ".";
    struct stat st = {.st_mode = S_IFDIR, .st_ino = d->id};
    if (i == 1)
        name[1] = '.';
    if (i >= 2) {
        uint64_t id = d->children[i - 2];
        control_print_name(id, name);
        st = (struct stat){.st_mode = control_row(id)->directory ? S_IFDIR : S_IFREG, .st_ino = id};
    }
    return fuse_add_direntry(req, at, room, name, &st, (off_t)(i + 1));
}

void control_readdir(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
    const struct control_dir *d = (struct control_dir *)(uintptr_t)fi->fh;
    char *page = mem_alloc(size);
    size_t used = 0;
    for (uint64_t i = (uint64_t)off; i < d->n + 2u; i++) {
        size_t bytes = put_child(req, d, i, page + used, size - used);
        if (bytes > size - used)
            break;
        used += bytes;
    }
    fuse_reply_buf(req, page, used);
    mem_free(page);
}

void control_releasedir(struct fuse_file_info *fi) { dir_free((struct control_dir *)(uintptr_t)fi->fh); }
