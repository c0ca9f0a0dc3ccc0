/* struct ctrl_command, as it travels and as it is logged: groups are rows {gid, number of addresses}, all their addresses
 * one table of lengths. And members, wherever they are named. */
#include "wire/fields.h"

enum { TABLE_GROUPS, TABLE_ADDRS, TABLE_GIDS };

void ctrl_command_rows(const struct ctrl_command *c, unsigned ret_rows[SHAPE_TABLES_MAX])
{
    ret_rows[TABLE_GROUPS] = c->n_groups;
    ret_rows[TABLE_GIDS] = c->n_gids;
    for (unsigned i = 0; i < c->n_groups; i++)
        ret_rows[TABLE_ADDRS] += c->groups[i].n;
}

static void put_join_group(struct body_out *o, const struct ctrl_join_group *g)
{
    put_row(o, TABLE_GROUPS, (uint64_t[]){g->gid, g->n});
    for (unsigned i = 0; i < g->n; i++)
        put_row(o, TABLE_ADDRS, (uint64_t[]){put_row_text(o, g->addrs[i])});
}

void put_ctrl_command(struct body_out *o, const struct ctrl_command *c)
{
    put_number(o, c->op);
    put_number(o, c->time_us);
    put_number(o, c->client);
    put_number(o, c->seq);
    put_number(o, c->born_us);
    put_number(o, c->gid);
    put_number(o, c->incarnation);
    put_number(o, c->member);
    put_number(o, c->node);
    put_number(o, c->epoch);
    put_number(o, c->cluster);
    put_pair(o, c->shard, c->nshards);
    put_text(o, c->addr);
    for (unsigned i = 0; i < c->n_groups; i++)
        put_join_group(o, &c->groups[i]);
    for (unsigned i = 0; i < c->n_gids; i++)
        put_row(o, TABLE_GIDS, &c->gids[i]);
}

static void take_join_group(struct body_in *in, struct ctrl_join_group *g)
{
    const uint64_t *row = take_row(in, TABLE_GROUPS);
    g->gid = row[0];
    g->n = (unsigned)in_range(in, row[1], 0, MEMBERS_MAX);
    for (unsigned i = 0; i < g->n && in->ok; i++)
        take_row_text(in, take_row(in, TABLE_ADDRS)[0], g->addrs[i], sizeof(g->addrs[i]));
}

static void take_groups(struct body_in *in, struct ctrl_command *c)
{
    unsigned n = in->rows[TABLE_GROUPS];
    struct ctrl_join_group *groups = take_array(in, n, sizeof(*groups));
    if (!groups)
        return;
    for (unsigned i = 0; i < n && in->ok; i++)
        take_join_group(in, &groups[i]);
    c->groups = groups;
    c->n_groups = n;
}

static void take_gids(struct body_in *in, struct ctrl_command *c)
{
    unsigned n = in->rows[TABLE_GIDS];
    uint64_t *gids = take_array(in, n, sizeof(*gids));
    if (!gids)
        return;
    for (unsigned i = 0; i < n; i++)
        gids[i] = take_row(in, TABLE_GIDS)[0];
    c->gids = gids;
    c->n_gids = n;
}

void take_ctrl_command(struct body_in *in, struct ctrl_command *c)
{
    c->op = in_range(in, take_number(in), CTRL_INIT, CTRL_OP_LAST);
    c->time_us = take_number(in);
    c->client = take_number(in);
    c->seq = take_number(in);
    c->born_us = take_number(in);
    c->gid = take_number(in);
    c->incarnation = take_number(in);
    c->member = take_number(in);
    c->node = take_number(in);
    c->epoch = take_number(in);
    c->cluster = take_number(in);
    take_pair(in, &c->shard, &c->nshards);
    take_text(in, c->addr, sizeof(c->addr));
    take_groups(in, c);
    take_gids(in, c);
}

/* ---- members ---- */

void put_raft_member(struct body_out *o, unsigned table, const struct raft_member *m)
{
    uint32_t addr_len = put_row_text(o, m->addr);
    put_row(o, table, (uint64_t[RAFT_MEMBER_COLUMNS]){m->id, m->node, pair_of(m->voter, addr_len)});
}

void take_raft_member(struct body_in *in, unsigned table, struct raft_member *m)
{
    const uint64_t *row = take_row(in, table);
    m->id = row[0];
    m->node = row[1];
    m->voter = in_bool(in, (uint32_t)row[2]);
    take_row_text(in, row[2] >> 32, m->addr, sizeof(m->addr));
}

void put_founding(struct body_out *o, unsigned table, const struct founding *f)
{
    put_number(o, f->cluster);
    put_number(o, f->nshards);
    put_number(o, f->n);
    for (unsigned i = 0; i < f->n; i++)
        put_raft_member(o, table, &f->members[i]);
}

void take_founding(struct body_in *in, unsigned table, struct founding *f)
{
    f->cluster = take_number(in);
    f->nshards = in_u32(in, take_number(in));
    f->n = (unsigned)in_range(in, take_number(in), 0, MEMBERS_MAX);
    for (unsigned i = 0; i < f->n && in->ok; i++)
        take_raft_member(in, table, &f->members[i]);
}
