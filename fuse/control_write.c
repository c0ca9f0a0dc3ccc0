#include <stdlib.h>

#include "ctrl/text.h"
#include "fuse/control.h"

#define JOIN_GROUPS_MAX 64u

static enum rgkv_err understand_join(struct bytes text, struct control_written *w, struct buf *why)
{
    w->groups = mem_zalloc(JOIN_GROUPS_MAX * sizeof *w->groups);
    w->command.op = CTRL_JOIN;
    w->command.groups = w->groups;
    return ctrl_parse_join(text, w->groups, JOIN_GROUPS_MAX, &w->command.n_groups, why);
}

static enum rgkv_err understand_leave(struct bytes text, struct control_written *w, struct buf *why)
{
    w->command.op = CTRL_LEAVE;
    w->command.gids = w->gids;
    return ctrl_parse_leave(text, w->gids, GROUPS_MAX, &w->command.n_gids, why);
}

static enum rgkv_err understand_move(struct bytes text, struct control_written *w, struct buf *why)
{
    w->command.op = CTRL_MOVE;
    return ctrl_parse_move(text, &w->command.shard, &w->command.gid, why);
}

static enum rgkv_err understand_abandon(struct bytes text, struct control_written *w, struct buf *why)
{
    w->command.op = CTRL_ABANDON;
    return ctrl_parse_abandon(text, &w->command.gid, why);
}

static enum rgkv_err understand_member(uint64_t gid, struct bytes text, struct control_written *w, struct buf *why)
{
    enum rgkv_err err = ctrl_parse_member(text, &w->command, why);
    w->command.gid = gid;
    return err;
}

static enum rgkv_err understand_leader(uint64_t gid, struct bytes text, struct control_written *w, struct buf *why)
{
    w->command.op = CTRL_TRANSFER;
    w->command.gid = gid;
    return ctrl_parse_leader(text, &w->command.member, why);
}

enum rgkv_err control_understand(uint64_t id, struct bytes text, struct control_written *ret_w, struct buf *why)
{
    enum control_kind kind = control_row(id)->kind;
    memset(ret_w, 0, sizeof *ret_w);
    if (kind == CONTROL_JOINS)
        return understand_join(text, ret_w, why);
    if (kind == CONTROL_LEAVES)
        return understand_leave(text, ret_w, why);
    if (kind == CONTROL_MOVE_TO)
        return understand_move(text, ret_w, why);
    if (kind == CONTROL_ABANDONS)
        return understand_abandon(text, ret_w, why);
    if (kind == CONTROL_GROUP_MEMBERS)
        return understand_member(control_number(id), text, ret_w, why);
    if (kind == CONTROL_GROUP_LEADER)
        return understand_leader(control_number(id), text, ret_w, why);
    if (kind == CONTROL_QUERY)
        return ctrl_parse_query(text, &ret_w->query, why);
    return RGKV_NOT_PERMITTED;
}

void control_written_release(struct control_written *w)
{
    mem_free(w->groups);
    w->groups = NULL;
}

static enum rgkv_err obey_abort(struct mount *m, struct bytes text, struct buf *why)
{
    char word[32] = "";
    size_t len = text.len && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
    memcpy(word, text.data, MIN(len, sizeof word - 1));
    if (!strcmp(word, "all")) {
        call_abort_all(m);
        return RGKV_OK;
    }
    char *end;
    uint64_t id = strtoull(word, &end, 10);
    struct call *c = word[0] >= '0' && word[0] <= '9' && !*end ? call_find(m, id) : NULL;
    if (!c) {
        buf_printf(why, "no call %s is under way (see mount/inflight), and it is not `all`", word);
        return RGKV_NOT_FOUND;
    }
    call_abort(c);
    return RGKV_OK;
}

enum rgkv_err control_obey(struct mount *m, enum control_kind kind, struct bytes text, struct buf *why)
{
    if (kind == CONTROL_MOUNT_ABORT)
        return obey_abort(m, text, why);
    ASSERT(kind == CONTROL_ERROR);
    errlog_clear(&m->errors); /* anything clears */
    return RGKV_OK;
}
