#include "ctrl/state.h"

enum rgkv_err ctrl_open(struct table *t, struct ctrl **ret_c)
{
    struct ctrl *c = mem_zalloc(sizeof(*c));
    c->table = t;
    c->member_next = MEMBER_FIRST;
    enum rgkv_err err = ctrl_rows_load(c);
    if (err) {
        ctrl_free(c);
        return err;
    }
    *ret_c = c;
    return RGKV_OK;
}

void ctrl_free(struct ctrl *c)
{
    if (!c)
        return;
    ctrl_config_release(&c->config);
    ctrl_view_release(&c->view);
    mem_free(c->drops);
    mem_free(c->results.ring);
    ctrl_batch_release(&c->batch);
    mem_free(c);
}

bool ctrl_initialised(const struct ctrl *c) { return c->view.nshards > 0; }
uint64_t ctrl_time_us(const struct ctrl *c) { return c->time_us; }
const struct ctrl_view *ctrl_view(const struct ctrl *c) { return &c->view; }

static void found_controllers(struct ctrl *c, const struct ctrl_command *k)
{
    unsigned n = k->n_groups ? k->groups[0].n : 0;
    for (unsigned i = 0; i < n; i++) {
        struct ctrl_member *m = &c->view.controllers[i];
        *m = (struct ctrl_member){.id = i + 1, .node = k->gids[i], .founding = true};
        addr_copy(m->addr, k->groups[0].addrs[i]);
    }
    c->view.n_controllers = n;
    ctrl_rows_put_controllers(c);
}

static void apply_init(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    if (ctrl_initialised(c)) {
        ctrl_refuse(r, RGKV_EXISTS, "the cluster is %016lx with %u shards", c->view.cluster, c->view.nshards);
        return;
    }
    c->view.cluster = k->cluster;
    found_controllers(c, k);
    c->view.nshards = c->config.nshards = k->nshards;
    c->view.shards = mem_zalloc(k->nshards * sizeof(*c->view.shards));
    c->config.shards = mem_zalloc(k->nshards * sizeof(*c->config.shards));
    ctrl_rows_put_config(c);
    c->view_changed = true;
}

static void apply_known(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    switch (k->op) {
    case CTRL_INIT: apply_init(c, k, r); break;
    case CTRL_JOIN:
    case CTRL_LEAVE:
    case CTRL_MOVE:
    case CTRL_ADD_MEMBER:
    case CTRL_REMOVE_MEMBER:
    case CTRL_KEEP_MEMBER:
    case CTRL_ABANDON: ctrl_apply_admin(c, k, r); break;
    case CTRL_BIND: ctrl_apply_bind(c, k, r); break;
    case CTRL_ADDR: ctrl_apply_addr(c, k, r); break;
    case CTRL_PREPARE: ctrl_apply_prepare(c, k, r); break;
    case CTRL_COMMIT: ctrl_apply_commit(c, k, r); break;
    case CTRL_ACTIVE: ctrl_apply_active(c, k, r); break;
    case CTRL_ABORT: ctrl_apply_abort(c, k, r); break;
    case CTRL_DROPPED: ctrl_apply_dropped(c, k, r); break;
    case CTRL_TRANSFER: ctrl_refuse(r, RGKV_INVALID, "leadership is handed over, not logged"); break;
    case CTRL_PROMOTED: ctrl_apply_promoted(c, k, r); break;
    case CTRL_REMOVED: ctrl_apply_removed(c, k, r); break;
    case CTRL_RETIRE: ctrl_apply_retire(c, k, r); break;
    case CTRL_BURIED: ctrl_apply_buried(c, k, r); break;
    }
}

/* Admin commands are checked after their recorded result was looked for: a retry gets the answer it got. */
static void apply_any(struct ctrl *c, const struct ctrl_command *k, struct ctrl_result *r)
{
    struct buf why = {0};
    enum rgkv_err err = ctrl_op_admin(k->op) ? RGKV_OK : ctrl_command_check(k, &why);
    if (err)
        ctrl_refuse(r, err, "%.*s", (int)why.len, (const char *)why.data);
    else if (k->op != CTRL_INIT && !ctrl_initialised(c))
        ctrl_refuse(r, RGKV_BUSY, "the cluster is not founded yet");
    else
        apply_known(c, k, r);
    buf_release(&why);
}

enum rgkv_err ctrl_apply(struct ctrl *c, const struct ctrl_command *command, struct ctrl_result *ret_r)
{
    struct ctrl_result r = {0};
    c->time_us = MAX(c->time_us, command->time_us);
    c->view_changed = false;
    apply_any(c, command, &r);
    if (c->view_changed)
        c->view.version++;
    *ret_r = r;
    return RGKV_OK;
}

enum rgkv_err ctrl_finish(struct ctrl *c, struct bytes applied)
{
    ctrl_rows_put_meta(c);
    ctrl_batch_put(&c->batch, bytes_str(TABLE_APPLIED_KEY), applied);
    return ctrl_batch_write(&c->batch, c->table);
}

enum rgkv_err ctrl_query(struct ctrl *c, uint64_t num, struct ctrl_config *ret_config)
{
    if (!ctrl_initialised(c))
        return RGKV_NOT_FOUND;
    if (num != UINT64_MAX && num != c->config.num) {
        enum rgkv_err err = ctrl_rows_load_config(c, num, ret_config);
        return err == RGKV_NOT_FOUND && num < c->config.num && c->batch.n ? RGKV_NO_SPACE : err;
    }
    ctrl_config_copy(&c->config, ret_config);
    return RGKV_OK;
}
