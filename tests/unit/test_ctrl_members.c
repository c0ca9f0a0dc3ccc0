/* Members of a group, and of the controller, come and go (P1, P8, P20). */
#include "tests/unit/unit.h"

#include "ctrl/plan.h"
#include "tests/unit/ctrl_world.h"

#include <stdio.h>

#define TEST(name) static void name(void **state)

static struct world founded(void)
{
    struct world w = {.table = array_table_new()};
    struct ctrl_join_group controllers;
    const uint64_t nodes[] = {0x91, 0x92, 0x93};
    assert_int_equal(ctrl_open(w.table, &w.c), RGKV_OK);
    join_group(&controllers, 0, "a:1 b:1 c:1");
    assert_int_equal(world_do(&w, (struct ctrl_command){.op = CTRL_INIT, .cluster = 7, .nshards = 4, .n_groups = 1,
                                                        .groups = &controllers, .n_gids = 3, .gids = nodes}).err, RGKV_OK);
    world_join(&w, 101, "d:1 e:1 f:1");
    world_bind(&w, 101, 0x50);
    return w;
}

static struct ctrl_result add(struct world *w, uint64_t gid, uint64_t replaces, const char *addr)
{
    struct ctrl_command k = {.op = CTRL_ADD_MEMBER, .gid = gid, .member = replaces};
    strncpy(k.addr, addr, sizeof(k.addr) - 1);
    return world_do(w, k);
}

static struct ctrl_result say(struct world *w, enum ctrl_op op, uint64_t gid, uint64_t member)
{
    const struct ctrl_group *g = gid ? ctrl_view_group(ctrl_view(w->c), gid) : NULL;
    return world_do(w, (struct ctrl_command){.op = op, .gid = gid, .incarnation = g ? g->incarnation : 0, .member = member});
}

static struct ctrl_result bind_at(struct world *w, uint64_t gid, uint64_t member, uint64_t node, const char *addr)
{
    const struct ctrl_group *g = gid ? ctrl_view_group(ctrl_view(w->c), gid) : NULL;
    struct ctrl_command k = {.op = CTRL_BIND, .gid = gid, .incarnation = g ? g->incarnation : 0, .member = member, .node = node};
    strncpy(k.addr, addr, sizeof(k.addr) - 1);
    return world_do(w, k);
}

static struct ctrl_group group(const struct world *w, uint64_t gid)
{
    struct ctrl_group g;
    ctrl_view_controllers(ctrl_view(w->c), &g);
    return gid ? *ctrl_view_group(ctrl_view(w->c), gid) : g;
}

static struct ctrl_member last(const struct world *w, uint64_t gid)
{
    struct ctrl_group g = group(w, gid);
    return g.members[g.n - 1];
}

static void config_is(struct world *w, const char *addrs)
{
    struct ctrl_config c;
    struct buf text = {0};
    assert_int_equal(ctrl_query(w->c, UINT64_MAX, &c), RGKV_OK);
    for (unsigned i = 0; i < c.groups[0].n; i++)
        buf_printf(&text, "%s%s", i ? " " : "", c.groups[0].addrs[i]);
    assert_true(bytes_eq(buf_bytes(&text), bytes_str(addrs)));
    buf_release(&text);
    ctrl_config_release(&c);
}

static void over(struct world *w)
{
    world_restart(w); /* whatever a test did is in the table */
    world_release(w);
}

TEST(the_founding_controllers_are_known_from_the_first_command_on)
{
    struct world w = founded();
    struct ctrl_group g = group(&w, 0);
    assert_int_equal(g.n, 3);
    assert_true(g.members[1].id == 2 && g.members[1].node == 0x92 && g.members[1].founding);
    assert_string_equal(g.members[2].addr, "c:1");
    over(&w);
}

TEST(an_added_member_joins_takes_a_node_and_is_in_when_its_group_has_committed_that)
{
    struct world w = founded();
    for (unsigned round = 0; round < 2; round++) {
        uint64_t gid = round ? 101 : 0, node = 0xa0 + round;
        assert_int_equal(add(&w, gid, 0, "g:1").err, RGKV_OK);
        struct ctrl_member m = last(&w, gid);
        assert_true(m.state == CTRL_MEMBER_JOINING && m.id >= 1000 && !m.founding && !m.node);
        assert_int_equal(bind_at(&w, gid, m.id, node, "g:1").err, RGKV_OK);
        world_restart(&w);
        assert_true(last(&w, gid).state == CTRL_MEMBER_JOINING && last(&w, gid).node == node);
        assert_int_equal(say(&w, CTRL_PROMOTED, gid, m.id).err, RGKV_OK);
        assert_int_equal(last(&w, gid).state, CTRL_MEMBER_IN);
        assert_int_equal(say(&w, CTRL_PROMOTED, gid, m.id).err, RGKV_STALE);
        assert_int_equal(group(&w, gid).n, 4);
    }
    config_is(&w, "d:1 e:1 f:1 g:1");
    over(&w);
}

TEST(P4_a_member_that_leaves_has_a_tombstone_only_when_its_group_has_done_without_it)
{
    struct world w = founded();
    uint64_t id = group(&w, 101).members[1].id;
    assert_int_equal(say(&w, CTRL_REMOVED, 101, id).err, RGKV_STALE);
    assert_int_equal(say(&w, CTRL_REMOVE_MEMBER, 101, id).err, RGKV_OK);
    assert_int_equal(ctrl_view(w.c)->n_tombstones, 0);
    assert_int_equal(group(&w, 101).n, 3);
    config_is(&w, "d:1 f:1");
    world_restart(&w);
    assert_int_equal(say(&w, CTRL_REMOVED, 101, id).err, RGKV_OK);
    assert_int_equal(ctrl_view(w.c)->n_tombstones, 1);
    assert_int_equal(ctrl_view(w.c)->tombstones[0].member, id);
    assert_int_equal(ctrl_view(w.c)->tombstones[0].node, 0x51);
    assert_int_equal(group(&w, 101).n, 2);
    over(&w);
}

TEST(a_replaced_member_leaves_once_the_new_one_votes_and_not_before)
{
    struct world w = founded();
    uint64_t dead = group(&w, 101).members[0].id;
    assert_int_equal(add(&w, 101, dead, "g:1").err, RGKV_OK);
    config_is(&w, "e:1 f:1 g:1");
    uint64_t id = last(&w, 101).id;
    assert_int_equal(group(&w, 101).members[0].state, CTRL_MEMBER_IN);
    assert_int_equal(bind_at(&w, 101, id, 0xa0, "g:1").err, RGKV_OK);
    world_restart(&w);
    assert_int_equal(say(&w, CTRL_PROMOTED, 101, id).err, RGKV_OK);
    assert_int_equal(group(&w, 101).members[0].state, CTRL_MEMBER_LEAVING);
    assert_int_equal(say(&w, CTRL_REMOVED, 101, dead).err, RGKV_OK);
    assert_int_equal(group(&w, 101).n, 3);
    over(&w);
}

TEST(who_would_replace_and_never_came_is_given_up_and_the_old_one_stays)
{
    struct world w = founded();
    uint64_t old = group(&w, 101).members[0].id;
    add(&w, 101, old, "g:1");
    uint64_t id = last(&w, 101).id;
    assert_int_equal(say(&w, CTRL_REMOVE_MEMBER, 101, id).err, RGKV_OK);
    assert_int_equal(group(&w, 101).n, 3); /* no node was told of it: nobody has to do without it */
    assert_int_equal(group(&w, 101).members[0].state, CTRL_MEMBER_IN);
    assert_int_equal(ctrl_view(w.c)->n_tombstones, 0);
    config_is(&w, "d:1 e:1 f:1");
    add(&w, 101, old, "g:1");
    assert_true(last(&w, 101).id > id); /* never the same again */
    over(&w);
}

TEST(a_member_that_leaves_can_be_kept)
{
    struct world w = founded();
    uint64_t id = group(&w, 101).members[2].id;
    assert_int_equal(say(&w, CTRL_KEEP_MEMBER, 101, id).err, RGKV_INVALID);
    say(&w, CTRL_REMOVE_MEMBER, 101, id);
    assert_int_equal(say(&w, CTRL_KEEP_MEMBER, 101, id).err, RGKV_OK);
    assert_int_equal(last(&w, 101).state, CTRL_MEMBER_JOINING); /* until the group says that it votes (still, or again) */
    assert_int_equal(say(&w, CTRL_REMOVED, 101, id).err, RGKV_STALE);
    assert_int_equal(say(&w, CTRL_PROMOTED, 101, id).err, RGKV_OK);
    config_is(&w, "d:1 e:1 f:1");
    over(&w);
}

static void refused(struct ctrl_result r, enum rgkv_err err, const char *sentence)
{
    assert_int_equal(r.err, err);
    assert_non_null(strstr(r.why, sentence));
}

TEST(refusals_are_sentences)
{
    struct world w = founded();
    uint64_t d = group(&w, 101).members[0].id;
    refused(add(&w, 55, 0, "g:1"), RGKV_NOT_FOUND, "group 55 is not known");
    refused(add(&w, 101, 0, "d:1"), RGKV_EXISTS, "d:1 is member 1000 of group 101 already");
    refused(add(&w, 0, 0, "b:1"), RGKV_EXISTS, "b:1 is member 2 of the controller already");
    refused(add(&w, 101, 77, "g:1"), RGKV_NOT_FOUND, "group 101 has no member 77");
    refused(add(&w, 101, 0, ""), RGKV_INVALID, "needs an address");
    refused(say(&w, CTRL_REMOVE_MEMBER, 0, d), RGKV_NOT_FOUND, "the controller has no member 1000: it is one of group 101");
    refused(say(&w, CTRL_REMOVE_MEMBER, 101, 2), RGKV_NOT_FOUND, "group 101 has no member 2");
    assert_int_equal(add(&w, 101, 0, "g:1").err, RGKV_OK);
    refused(add(&w, 101, 0, "h:1"), RGKV_BUSY, "member 1003 at g:1 is still joining: wait, or remove 1003 to give it up");
    refused(say(&w, CTRL_REMOVE_MEMBER, 101, d), RGKV_BUSY, "is still joining");
    assert_int_equal(add(&w, 0, 0, "h:1").err, RGKV_OK); /* another group is another matter */
    world_join(&w, 102, "x:1");
    refused(add(&w, 102, 0, "y:1"), RGKV_BUSY, "group 102 is still forming");
    world_bind(&w, 102, 0x70);
    refused(say(&w, CTRL_REMOVE_MEMBER, 102, last(&w, 102).id), RGKV_INVALID, "is the last one of group 102");
    over(&w);
}

TEST(there_are_never_more_than_nine)
{
    struct world w = founded();
    char addr[16];
    for (unsigned i = 4; i <= MEMBERS_MAX; i++) {
        snprintf(addr, sizeof(addr), "x:%u", i);
        assert_int_equal(add(&w, 101, 0, addr).err, RGKV_OK);
        assert_int_equal(bind_at(&w, 101, last(&w, 101).id, 0xb0 + i, addr).err, RGKV_OK);
        assert_int_equal(say(&w, CTRL_PROMOTED, 101, last(&w, 101).id).err, RGKV_OK);
    }
    refused(add(&w, 101, 0, "x:99"), RGKV_RANGE, "may be no more");
    refused(add(&w, 101, group(&w, 101).members[0].id, "x:99"), RGKV_RANGE, "remove one first");
    over(&w);
}

TEST(P1_a_node_is_a_member_once_and_comes_back_only_when_its_old_replica_is_gone)
{
    struct world w = founded();
    uint64_t e = group(&w, 101).members[1].id;
    add(&w, 101, 0, "g:1");
    uint64_t id = last(&w, 101).id;
    assert_int_equal(bind_at(&w, 101, id, 0x51, "g:1").err, RGKV_CONFLICT);
    say(&w, CTRL_REMOVE_MEMBER, 101, id);
    say(&w, CTRL_REMOVE_MEMBER, 101, e);
    say(&w, CTRL_REMOVED, 101, e);
    add(&w, 101, 0, "e:1");
    id = last(&w, 101).id;
    refused(bind_at(&w, 101, id, 0x51, "e:1"), RGKV_BUSY, "has not deleted yet");
    assert_int_equal(say(&w, CTRL_BURIED, 101, e).err, RGKV_OK);
    assert_int_equal(bind_at(&w, 101, id, 0x51, "e:1").err, RGKV_OK);
    assert_int_not_equal(id, e);
    over(&w);
}

TEST(who_made_no_replica_yet_does_not_found_with_a_list_that_has_changed)
{
    struct world w = founded();
    uint64_t d = group(&w, 101).members[0].id;
    add(&w, 101, d, "g:1");
    assert_true(group(&w, 101).members[1].founding); /* the group may still be about to begin with these three */
    bind_at(&w, 101, last(&w, 101).id, 0xa0, "g:1");
    say(&w, CTRL_PROMOTED, 101, last(&w, 101).id);
    say(&w, CTRL_REMOVED, 101, d);
    for (unsigned i = 0; i < 3; i++)
        assert_false(group(&w, 101).members[i].founding);
    over(&w);
}

/* The group never let that one in, so its log does not say who the others are. */
TEST(who_made_no_replica_yet_still_founds_when_somebody_goes_that_was_added_later)
{
    struct world w = founded();
    add(&w, 101, 0, "g:1");
    uint64_t id = last(&w, 101).id;
    bind_at(&w, 101, id, 0xa0, "g:1");
    say(&w, CTRL_REMOVE_MEMBER, 101, id);
    assert_int_equal(say(&w, CTRL_REMOVED, 101, id).err, RGKV_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_true(group(&w, 101).members[i].founding);
    over(&w);
}

/* ---- the plan ---- */

struct told {
    struct ctrl_report_replica replica;
    struct ctrl_report report;
};

/* Member d of 101 leads and says who is there. */
static void tell(struct ctrl_plan *p, const struct world *w, uint64_t view, bool configured, const uint64_t *ids, unsigned n, uint64_t now_us)
{
    struct ctrl_group g = group(w, 101);
    struct ctrl_report_replica r = {.gid = 101, .incarnation = g.incarnation, .member = g.members[0].id, .leader = true, .term = 1,
                                    .configured = configured, .n_members = n};
    for (unsigned i = 0; i < n; i++)
        r.members[i] = (struct ctrl_report_member){.id = ids[i], .voter = true, .recent = true};
    struct ctrl_report report = {.node = g.members[0].node, .addr = "d:1", .view = view, .n_replicas = 1, .replicas = &r};
    ctrl_plan_report(p, &report, now_us);
}

static bool asked(struct ctrl_plan *p, const struct world *w, enum ctrl_op op, uint64_t member, uint64_t now_us)
{
    struct ctrl_command out[64];
    unsigned n = ctrl_plan_next(p, w->c, now_us, out, 64);
    for (unsigned i = 0; i < n; i++)
        if (out[i].op == op && out[i].gid == 101 && out[i].member == member)
            return true;
    return false;
}

TEST(P20_only_what_the_group_has_committed_with_the_wish_before_its_eyes_counts)
{
    struct world w = founded();
    struct ctrl_plan *p = ctrl_plan_new(0);
    uint64_t ids[4];
    for (unsigned i = 0; i < 3; i++)
        ids[i] = group(&w, 101).members[i].id;
    say(&w, CTRL_REMOVE_MEMBER, 101, ids[2]);
    uint64_t version = ctrl_view(w.c)->version;
    assert_false(asked(p, &w, CTRL_REMOVED, ids[2], 1000));
    tell(p, &w, version, true, ids, 3, 2000);
    assert_false(asked(p, &w, CTRL_REMOVED, ids[2], 3000)); /* it is there still */
    tell(p, &w, version - 1, true, ids, 2, 4000);
    assert_false(asked(p, &w, CTRL_REMOVED, ids[2], 5000)); /* said by one who did not know of the wish */
    tell(p, &w, version, false, ids, 2, 6000);
    assert_false(asked(p, &w, CTRL_REMOVED, ids[2], 7000)); /* not committed */
    tell(p, &w, version, true, ids, 2, 8000);
    assert_true(asked(p, &w, CTRL_REMOVED, ids[2], 9000));
    ctrl_plan_free(p);
    over(&w);
}

TEST(a_member_is_promoted_when_the_leader_says_that_it_votes)
{
    struct world w = founded();
    struct ctrl_plan *p = ctrl_plan_new(0);
    uint64_t ids[4];
    add(&w, 101, 0, "g:1");
    bind_at(&w, 101, last(&w, 101).id, 0xa0, "g:1");
    for (unsigned i = 0; i < 4; i++)
        ids[i] = group(&w, 101).members[i].id;
    uint64_t version = ctrl_view(w.c)->version;
    assert_false(asked(p, &w, CTRL_PROMOTED, ids[3], 1000));
    tell(p, &w, version, true, ids, 3, 2000);
    assert_false(asked(p, &w, CTRL_PROMOTED, ids[3], 3000));
    tell(p, &w, version, true, ids, 4, 4000);
    assert_true(asked(p, &w, CTRL_PROMOTED, ids[3], 5000));
    ctrl_plan_free(p);
    over(&w);
}

TEST(a_machine_at_the_address_of_a_member_that_joins_takes_its_place)
{
    struct world w = founded();
    struct ctrl_plan *p = ctrl_plan_new(0);
    add(&w, 101, 0, "g:1");
    uint64_t id = last(&w, 101).id;
    struct ctrl_report other = {.node = 0x51, .addr = "e:1"}, there = {.node = 0xa0, .addr = "g:1"};
    ctrl_plan_report(p, &other, 1000);
    assert_false(asked(p, &w, CTRL_BIND, id, 2000));
    ctrl_plan_report(p, &there, 3000);
    assert_true(asked(p, &w, CTRL_BIND, id, 4000));
    ctrl_plan_free(p);
    over(&w);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_founding_controllers_are_known_from_the_first_command_on),
        T(an_added_member_joins_takes_a_node_and_is_in_when_its_group_has_committed_that),
        T(P4_a_member_that_leaves_has_a_tombstone_only_when_its_group_has_done_without_it),
        T(a_replaced_member_leaves_once_the_new_one_votes_and_not_before),
        T(who_would_replace_and_never_came_is_given_up_and_the_old_one_stays),
        T(a_member_that_leaves_can_be_kept),
        T(refusals_are_sentences),
        T(there_are_never_more_than_nine),
        T(P1_a_node_is_a_member_once_and_comes_back_only_when_its_old_replica_is_gone),
        T(who_made_no_replica_yet_does_not_found_with_a_list_that_has_changed),
        T(who_made_no_replica_yet_still_founds_when_somebody_goes_that_was_added_later),
        T(P20_only_what_the_group_has_committed_with_the_wish_before_its_eyes_counts),
        T(a_member_is_promoted_when_the_leader_says_that_it_votes),
        T(a_machine_at_the_address_of_a_member_that_joins_takes_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
