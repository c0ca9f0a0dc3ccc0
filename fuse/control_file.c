#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "fuse/control.h"
#include "fuse/events.h"

#define SETTLED_LOOK_MS 100u
#define METRICS_US 1000000u /* then this mount's part comes alone: who collects them must not wait */

/* An open control file: the text that is being read. */
struct control_file {
    struct mount *m;
    uint64_t id;
    bool ready;                    /* `text` is there: of the last read at 0, or the result of a write */
    bool written;                  /* and not read since: the next read is of the beginning, for the write moved the position */
    uint64_t base;                 /* the position of the beginning */
    struct buf text;
    struct event_reader *events;   /* of the file `events` */
    unsigned held;
    bool released;
    struct control_file *prev, *next; /* of the mount's */
};

struct file_call {
    struct call call;
    struct control_file *file;
    size_t size;
    uint64_t off;
    size_t written;                /* write: what to answer */
    uv_timer_t *again;             /* settled: looks again; or NULL */
};

static struct control_file *file_of(const struct fuse_file_info *fi) { return (struct control_file *)(uintptr_t)fi->fh; }
static enum control_kind kind_of(const struct control_file *f) { return control_row(f->id)->kind; }

static void file_collect(struct control_file *f)
{
    if (f->held || !f->released)
        return;
    DL_DELETE(f->m->control_files, f);
    buf_release(&f->text);
    event_reader_free(f->events);
    mem_free(f);
}

static void timer_closed(uv_handle_t *h) { mem_free(h); }

static void file_call_release(struct call *call)
{
    struct file_call *c = (struct file_call *)call;
    if (c->again)
        uv_close((uv_handle_t *)c->again, timer_closed);
    c->file->held--;
    file_collect(c->file);
}

static void note_path(struct call *c, uint64_t id)
{
    char path[CONTROL_PATH_BYTES_MAX];
    control_print_path(id, path);
    call_path(c, bytes_str(path));
}

static struct file_call *begin(fuse_req_t req, const char *op, struct control_file *f)
{
    struct file_call *c = call_begin(f->m, req, op, sizeof *c);
    note_path(&c->call, f->id);
    c->call.release = file_call_release;
    c->file = f;
    f->held++;
    return c;
}

/* ---- open, release ---- */

static bool permitted(const struct control_row *r, int flags)
{
    bool reads = (flags & O_ACCMODE) != O_WRONLY, writes = (flags & O_ACCMODE) != O_RDONLY;
    return (!reads || (r->mode & 0400)) && (!writes || (r->mode & 0200));
}

static const char *refusal(const struct control_row *r, const struct mount *m, uid_t uid, int flags, int *ret_number)
{
    *ret_number = EPERM;
    if (!permitted(r, flags))
        return r->mode & 0200 ? "it is only written" : "it is only read";
    *ret_number = EACCES;
    bool allowed = (flags & O_ACCMODE) == O_RDONLY || uid == 0 || uid == m->uid;
    return allowed ? NULL : "administration is for root and for who mounted it";
}

static bool open_refused(struct mount *m, fuse_req_t req, fuse_ino_t ino, int flags)
{
    int number;
    const char *why = refusal(control_row(ino), m, fuse_req_ctx(req)->uid, flags, &number);
    if (!why)
        return false;
    struct call *c = call_begin(m, req, "ctrl-open", sizeof *c);
    note_path(c, ino);
    call_record(c, number, why);
    call_reply_errno(c, number);
    return true;
}

void control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = fuse_req_userdata(req);
    if (open_refused(m, req, ino, fi->flags))
        return;
    if (control_row(ino)->kind == CONTROL_ERROR && fi->flags & O_TRUNC)
        errlog_clear(&m->errors); /* `: > error` */
    struct control_file *f = mem_zalloc(sizeof *f);
    f->m = m;
    f->id = ino;
    DL_APPEND(m->control_files, f);
    fi->fh = (uint64_t)(uintptr_t)f;
    fi->noflush = 1;
    fi->direct_io = 1; /* so that st_size does not matter */
    if (kind_of(f) == CONTROL_EVENTS) {
        f->events = event_reader_new(m->events);
        fi->nonseekable = 1;
    }
    if (fuse_reply_open(req, fi) == -ENOENT) {
        f->released = true;
        file_collect(f);
    }
}

void control_release(struct fuse_file_info *fi)
{
    struct control_file *f = file_of(fi);
    f->released = true;
    file_collect(f);
}

void control_release_all(struct mount *m)
{
    struct control_file *f, *next;
    DL_FOREACH_SAFE(m->control_files, f, next) {
        f->released = true;
        file_collect(f);
    }
}

/* ---- read ---- */

static void serve(struct file_call *c)
{
    struct bytes text = buf_bytes(&c->file->text);
    uint64_t from = MIN(c->off, text.len);
    call_reply_data(&c->call, bytes_first(bytes_from(text, from), MIN(c->size, text.len - from)));
}

static void reply_written(struct file_call *c)
{
    c->file->written = true;
    c->file->ready = kind_of(c->file) == CONTROL_QUERY; /* of the others what was read before is so no more */
    call_reply_write(&c->call, c->written);
}

static void ask_text(struct file_call *c);

static void look_again(uv_timer_t *timer)
{
    struct file_call *c = timer->data;
    c->call.cancel = NULL;
    c->call.since_us = mount_now_us(c->call.m); /* it may last: only a look must not */
    ask_text(c);
}

static void stop_looking(struct call *call)
{
    uv_timer_stop(((struct file_call *)call)->again);
    call_reply_err(call, RGKV_CANCELLED, NULL);
}

static void wait_settled(struct file_call *c)
{
    if (!c->again) {
        c->again = mem_zalloc(sizeof *c->again);
        uv_timer_init(c->call.m->loop, c->again);
        c->again->data = c;
    }
    c->call.cancel = stop_looking;
    uv_timer_start(c->again, look_again, SETTLED_LOOK_MS, 0);
}

static void metrics_done(struct call *call, const struct client_effect *e)
{
    struct file_call *c = (struct file_call *)call;
    struct control_file *f = c->file;
    if (e->err == RGKV_CANCELLED) {
        call_reply_err(call, e->err, e->why);
        return;
    }
    buf_clear(&f->text);
    control_print_metrics(call->m, !e->err, &f->text);
    if (!e->err)
        buf_put(&f->text, e->text);
    f->ready = true;
    serve(c);
}

static void text_done(struct call *call, const struct client_effect *e)
{
    struct file_call *c = (struct file_call *)call;
    struct control_file *f = c->file;
    if (e->err == RGKV_MOVING && kind_of(f) == CONTROL_SETTLED) {
        wait_settled(c);
        return;
    }
    if (e->err) {
        if (e->err == RGKV_NOT_FOUND && c->written) /* not a name that was looked up: a command that was refused */
            call_record(call, ENOENT, "there is no config with that number: see configs");
        call_reply_err(call, e->err, e->why);
        return;
    }
    buf_clear(&f->text);
    buf_put(&f->text, e->text);
    f->ready = true;
    if (c->written)
        reply_written(c);
    else
        serve(c);
}

static void ask_text(struct file_call *c)
{
    struct client_request q = control_question(c->file->id);
    if (kind_of(c->file) == CONTROL_METRICS)
        call_ask_within(&c->call, &q, METRICS_US, metrics_done);
    else
        call_ask_any(&c->call, &q, text_done);
}

void control_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct control_file *f = file_of(fi);
    struct file_call *c = begin(req, "ctrl-read", f);
    c->size = size;
    if (f->events) {
        event_reader_read(f->events, &c->call, size, fi->flags & O_NONBLOCK);
        return;
    }
    bool again = !off && !f->written; /* from the beginning: what is so now */
    if (!off || f->written)
        f->base = (uint64_t)off;
    f->written = false;
    c->off = (uint64_t)off - MIN(f->base, (uint64_t)off);
    if (f->ready && !again) {
        serve(c);
        return;
    }
    buf_clear(&f->text);
    f->ready = control_local_text(f->m, kind_of(f), &f->text);
    if (f->ready)
        serve(c);
    else
        ask_text(c);
}

/* Everything else can be read at once, or is waited for by the read. */
void control_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
    struct event_reader *r = file_of(fi)->events;
    if (!r) {
        if (ph)
            fuse_pollhandle_destroy(ph);
        fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
        return;
    }
    fuse_reply_poll(req, event_reader_poll(r, ph) ? POLLIN | POLLRDNORM : 0);
}

/* ---- write ---- */

static void refuse(struct file_call *c, enum rgkv_err err, const struct buf *why)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%.*s", (int)why->len, why->len ? (const char *)why->data : "");
    call_record(&c->call, rgkv_err_errno(err), sentence[0] ? sentence : rgkv_err_sentence(err));
    call_reply_errno(&c->call, rgkv_err_errno(err));
}

static void admin_done(struct call *call, const struct client_effect *e)
{
    struct file_call *c = (struct file_call *)call;
    enum rgkv_err err = e->err ? e->err : e->result ? e->result->err : RGKV_PROTOCOL;
    const char *why = e->result && e->result->why[0] ? e->result->why : e->why;
    if (err) {
        call_record(call, rgkv_err_errno(err), why && *why ? why : rgkv_err_sentence(err));
        call_reply_errno(call, rgkv_err_errno(err));
        return;
    }
    reply_written(c);
}

static void ask_config(struct file_call *c, uint64_t number)
{
    struct client_request q = control_question(c->file->id);
    q.number = number;
    call_ask_any(&c->call, &q, text_done);
}

static void send_written(struct file_call *c, struct bytes text)
{
    enum control_kind kind = kind_of(c->file);
    struct control_written *w = mem_zalloc(sizeof *w);
    struct buf why = {0};
    enum rgkv_err err = control_understand(c->file->id, text, w, &why);
    if (err)
        refuse(c, err, &why);
    else if (kind == CONTROL_QUERY)
        ask_config(c, w->query < 0 ? UINT64_MAX : (uint64_t)w->query);
    else
        call_ask_any(&c->call, &(struct client_request){.kind = CLIENT_ADMIN, .admin = &w->command}, admin_done);
    control_written_release(w);
    mem_free(w);
    buf_release(&why);
}

static void obey_written(struct file_call *c, struct bytes text)
{
    struct buf why = {0};
    enum rgkv_err err = control_obey(c->call.m, kind_of(c->file), text, &why);
    if (err)
        refuse(c, err, &why);
    else
        reply_written(c);
    buf_release(&why);
}

void control_write(fuse_req_t req, fuse_ino_t ino, struct bytes text, struct fuse_file_info *fi)
{
    struct file_call *c = begin(req, "ctrl-write", file_of(fi));
    c->written = text.len;
    if (control_row(ino)->local)
        obey_written(c, text);
    else
        send_written(c, text);
}
