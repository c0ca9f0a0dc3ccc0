/* The configuration of a group follows the controller's wish (P20): a learner for each member that joins, a voter when it has
 * caught up, out with those that leave. The group's leader does it, one entry of the log at a time; for the controller's own group
 * the wish is its own table, for all others the newest view.
 *
 *   in the wish      in the configuration   the leader proposes
 *   ---------------  ---------------------  ------------------------------------------------------------
 *   joining, bound   no                     a learner
 *   joining          learner                a voter, once it has caught up (4.2.1)
 *   in               no                     the same as joining: a leader that had not heard that it is to be kept took it out, when
 *                                           the one before had told the controller that it is in
 *   leaving          yes                    without it, if a majority of the others was heard of just now
 *   no               yes                    the same: the controller knows that it never was to be one
 *
 * A configuration names the version of the wish that it follows, and raft takes none of an older one: a leader whose view is
 * old waits, instead of bringing back whom a newer one removed. */
#include "base/mutant.h"
#include "node/internal.h"

#define LOOK_US 20000u

struct wish {
    uint64_t version;
    unsigned n;
    const struct ctrl_member *members;
};

static bool wish_of(const struct node *n, const struct replica *r, struct wish *ret_w)
{
    const struct ctrl_view *v = r->ctrl ? ctrl_view(r->ctrl) : &n->view;
    const struct ctrl_group *g = r->ctrl || !v->version ? NULL : ctrl_view_group(v, r->desc.gid);
    if (r->ctrl)
        *ret_w = (struct wish){v->version, v->n_controllers, v->controllers};
    else if (g && g->incarnation == r->desc.incarnation)
        *ret_w = (struct wish){v->version, g->n, g->members};
    else
        return false;
    return ret_w->n > 0;
}

static const struct ctrl_member *wished(const struct wish *w, uint64_t id)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->members[i].id == id)
            return &w->members[i];
    return NULL;
}

/* ---- who comes ---- */

static void round_begin(const struct node *n, struct replica *r, uint64_t member)
{
    struct raft_status s;
    raft_status(r->raft, &s);
    r->catching_up = (struct catching_up){member, s.last_index, n->now_us};
}

/* A round ends when the learner has what was there at its beginning. When one took less than an election timeout, the
 * learner as a voter does not hold up the group. */
static bool caught_up(const struct node *n, struct replica *r, uint64_t member)
{
    struct raft_peer_status p;
    if (!raft_peer_status(r->raft, member, &p) || !p.answers || p.snapshotting)
        return false;
    if (r->catching_up.member != member)
        round_begin(n, r, member);
    if (p.match < r->catching_up.target)
        return false;
    bool fast = n->now_us - r->catching_up.since_us <= n->options.election_us;
    if (!fast)
        round_begin(n, r, member);
    return fast;
}

static bool member_in(struct raft_config *c, const struct ctrl_member *m)
{
    if (c->n == MEMBERS_MAX)
        return false;
    struct raft_member *to = &c->members[c->n++];
    *to = (struct raft_member){.id = m->id, .node = m->node};
    memcpy(to->addr, m->addr, sizeof(to->addr));
    return true;
}

static bool promote(const struct node *n, struct replica *r, struct raft_config *c, uint64_t id)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->members[i].id == id && !c->members[i].voter && caught_up(n, r, id)) {
            c->members[i].voter = true;
            return true;
        }
    return false;
}

static bool joined(const struct raft_config *c, uint64_t id)
{
    const struct raft_member *m = raft_config_member(c, id);
    return m && m->voter;
}

/* One after the other, but nobody waits for who is a learner and silent: it may never answer. */
static bool is_silent(const struct replica *r, uint64_t id)
{
    struct raft_peer_status p;
    return !raft_peer_status(r->raft, id, &p) || !p.answers;
}

static bool wanted(const struct ctrl_member *m) { return m->node && m->state != CTRL_MEMBER_LEAVING; }

static bool let_in(const struct node *n, struct replica *r, const struct wish *w, struct raft_config *c)
{
    for (unsigned i = 0; i < w->n; i++) {
        const struct ctrl_member *m = &w->members[i];
        if (!wanted(m) || joined(c, m->id))
            continue;
        if (!raft_config_member(c, m->id))
            return member_in(c, m);
        if (!is_silent(r, m->id))
            return promote(n, r, c, m->id);
    }
    return false;
}

/* ---- who goes ---- */

static bool can_do_without(const struct replica *r, uint64_t id)
{
    const struct raft_config *c = raft_config(r->raft);
    unsigned voters = 0, recent = 0;
    for (unsigned i = 0; i < c->n; i++) {
        struct raft_peer_status p;
        if (!c->members[i].voter || c->members[i].id == id)
            continue;
        voters++;
        recent += raft_peer_status(r->raft, c->members[i].id, &p) && p.answers;
    }
    return recent * 2 > voters;
}

static void member_out(struct raft_config *c, unsigned at)
{
    memmove(&c->members[at], &c->members[at + 1], (c->n - at - 1) * sizeof(c->members[0]));
    memset(&c->members[--c->n], 0, sizeof(c->members[0]));
}

static bool goes(const struct wish *w, uint64_t id)
{
    const struct ctrl_member *m = wished(w, id);
    return !m || m->state == CTRL_MEMBER_LEAVING;
}

static bool let_go(const struct replica *r, const struct wish *w, struct raft_config *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (!goes(w, c->members[i].id) || !can_do_without(r, c->members[i].id))
            continue;
        member_out(c, i);
        return true;
    }
    return false;
}

/* ---- when ---- */

static bool fulfilled(const struct wish *w, const struct raft_config *c)
{
    for (unsigned i = 0; i < c->n; i++)
        if (goes(w, c->members[i].id))
            return false;
    for (unsigned i = 0; i < w->n; i++)
        if (wanted(&w->members[i]) && !joined(c, w->members[i].id))
            return false;
    return true;
}

void members_tick(struct node *n, struct replica *r)
{
    struct wish w;
    if (n->now_us < r->members_next_us || !replica_is_leader(r))
        return;
    r->members_next_us = UINT64_MAX; /* a new view or role looks again */
    const struct raft_config *now = raft_config(r->raft);
    if (n->stopping || !wish_of(n, r, &w) || (w.version < now->wish && !MUTANT(config_old_wish)) || fulfilled(&w, now))
        return;
    r->members_next_us = n->now_us + LOOK_US;
    struct raft_config next = *now;
    next.wish = w.version;
    if (!let_in(n, r, &w, &next) && !let_go(r, &w, &next))
        return;
    struct raft_input in = {.kind = RAFT_CONFIG_PROPOSED, .config = &next};
    enum rgkv_err err = replica_step(n, r, &in);
    (void)err; /* one is under way, or nothing of this term is committed yet: again at the next look */
}

void members_look(struct replica *r) { r->members_next_us = 0; }

uint64_t members_deadline_us(const struct replica *r)
{
    return replica_is_leader(r) ? r->members_next_us : UINT64_MAX;
}

/* ---- what the controller is told ---- */

void members_report(const struct replica *r, struct ctrl_report_replica *to)
{
    const struct raft_config *c = raft_config(r->raft);
    struct raft_status s;
    raft_status(r->raft, &s);
    to->configured = raft_config_index(r->raft) <= s.commit && raft_term_at(r->raft, s.commit) == s.term;
    to->n_members = c->n;
    for (unsigned i = 0; i < c->n; i++) {
        struct raft_peer_status p = {0};
        raft_peer_status(r->raft, c->members[i].id, &p);
        to->members[i] = (struct ctrl_report_member){c->members[i].id, c->members[i].voter, p.answers, s.last_index - MIN(p.match, s.last_index)};
    }
}
