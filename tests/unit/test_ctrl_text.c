/* Control-file texts: what is taken, what is refused with a sentence, what is printed. */
#include "tests/unit/unit.h"

#include "ctrl/text.h"
#include "tests/unit/ctrl_world.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUPS 64u

static struct ctrl_join_group groups[GROUPS];
static struct buf why;

static const char *sentence(void)
{
    buf_put_u8(&why, 0);
    why.len = 0;
    return (const char *)why.data;
}

static enum rgkv_err join(const char *text, unsigned *ret_n)
{
    why.len = 0;
    return ctrl_parse_join(bytes_str(text), groups, GROUPS, ret_n, &why);
}

static void join_refuses(const char *text, enum rgkv_err err, const char *says)
{
    unsigned n = 12345;
    assert_int_equal(join(text, &n), err);
    assert_string_equal(sentence(), says);
    assert_int_equal(n, 12345);
}

static void joins_are_lines_with_blanks_or_commas(void **state)
{
    unsigned n;
    assert_int_equal(join("101 h1:7400 h2:7400,h3:7400\n\n  7\t[::1]:1 , 10.0.0.1:65535", &n), RGKV_OK);
    assert_int_equal(n, 2);
    assert_int_equal(groups[0].gid, 101);
    assert_int_equal(groups[0].n, 3);
    assert_string_equal(groups[0].addrs[2], "h3:7400");
    assert_int_equal(groups[1].gid, 7);
    assert_string_equal(groups[1].addrs[0], "[::1]:1");
    assert_string_equal(groups[1].addrs[1], "10.0.0.1:65535");
}

static void malformed_joins_are_refused_with_a_sentence(void **state)
{
    join_refuses("", RGKV_INVALID, "there is no group in it");
    join_refuses(" \n\n,\n", RGKV_INVALID, "there is no group in it");
    join_refuses("101", RGKV_INVALID, "group 101 has no addresses");
    join_refuses("101 \n102 a:1", RGKV_INVALID, "group 101 has no addresses");
    join_refuses("x a:1", RGKV_INVALID, "'x' is no group id: it is a number");
    join_refuses("-5 a:1", RGKV_INVALID, "'-5' is no group id: it is a number");
    join_refuses("99999999999999999999999 a:1", RGKV_RANGE, "the group id 99999999999999999999999 is too large");
    join_refuses("18446744073709551616 a:1", RGKV_RANGE, "the group id 18446744073709551616 is too large");
    join_refuses("1 a:0", RGKV_INVALID, "'a:0' is not an address: write host:port");
    join_refuses("1 a:1 b:2 c", RGKV_INVALID, "'c' is not an address: write host:port");
    join_refuses("1 a:1 a:2 a:3 a:4 a:5 a:6 a:7 a:8 a:9 a:10", RGKV_INVALID, "group 1 has more than 9 members");
    join_refuses("1 a:\xc3\xa4", RGKV_INVALID, "only plain text is taken here");
    join_refuses("1 a:1\x01", RGKV_INVALID, "only plain text is taken here");
}

static void a_nul_is_no_text(void **state)
{
    unsigned n;
    int64_t num;
    uint64_t gids[4];
    why.len = 0;
    assert_int_equal(ctrl_parse_join(bytes_of("1 a:1\0b:2", 9), groups, GROUPS, &n, &why), RGKV_INVALID);
    assert_int_equal(ctrl_parse_leave(bytes_of("1\0", 2), gids, 4, &n, &why), RGKV_INVALID);
    assert_int_equal(ctrl_parse_query(bytes_of("1\0", 2), &num, &why), RGKV_INVALID);
    assert_false(ctrl_addr_valid(bytes_of("a\0b:1", 5)));
}

static void more_groups_than_the_caller_takes_are_refused(void **state)
{
    struct buf text = {0};
    unsigned n;
    for (unsigned i = 1; i <= GROUPS; i++)
        buf_printf(&text, "%u a:1\n", i);
    assert_int_equal(ctrl_parse_join(buf_bytes(&text), groups, GROUPS, &n, NULL), RGKV_OK);
    assert_int_equal(n, GROUPS);
    buf_printf(&text, "65 a:1");
    why.len = 0;
    assert_int_equal(ctrl_parse_join(buf_bytes(&text), groups, GROUPS, &n, &why), RGKV_INVALID);
    assert_string_equal(sentence(), "more than 64 groups in one command");
    buf_release(&text);
}

static void leaves_are_numbers(void **state)
{
    uint64_t gids[3];
    unsigned n;
    assert_int_equal(ctrl_parse_leave(bytes_str("101 102\n103"), gids, 3, &n, NULL), RGKV_OK);
    assert_int_equal(n, 3);
    assert_int_equal(gids[2], 103);
    assert_int_equal(ctrl_parse_leave(bytes_str("1 2 3 4"), gids, 3, &n, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_abandon(bytes_str("101 101\n"), &gids[0], NULL), RGKV_OK);
    assert_int_equal(gids[0], 101);
    assert_int_equal(ctrl_parse_abandon(bytes_str("101"), &gids[0], NULL), RGKV_INVALID); /* once may be a slip */
    assert_int_equal(ctrl_parse_abandon(bytes_str("101 102"), &gids[0], NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_abandon(bytes_str("101 101 101"), &gids[0], NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_leave(bytes_str(""), gids, 3, &n, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_leave(bytes_str("1 2x"), gids, 3, &n, NULL), RGKV_INVALID);
}

static void a_move_is_a_shard_and_a_group_and_nothing_else(void **state)
{
    uint32_t shard;
    uint64_t gid;
    assert_int_equal(ctrl_parse_move(bytes_str(" 7 101\n"), &shard, &gid, NULL), RGKV_OK);
    assert_true(shard == 7 && gid == 101);
    why.len = 0;
    assert_int_equal(ctrl_parse_move(bytes_str("shard 8 102\n"), &shard, &gid, NULL), RGKV_OK);
    assert_true(shard == 8 && gid == 102);
    assert_int_equal(ctrl_parse_move(bytes_str("7"), &shard, &gid, &why), RGKV_INVALID);
    assert_string_equal(sentence(), "the group id is missing");
    assert_int_equal(ctrl_parse_move(bytes_str("7 101 3"), &shard, &gid, &why), RGKV_INVALID);
    assert_string_equal(sentence(), "'3' is one word too many");
    assert_int_equal(ctrl_parse_move(bytes_str("4294967296 1"), &shard, &gid, &why), RGKV_RANGE);
    assert_int_equal(ctrl_parse_move(bytes_str(""), &shard, &gid, NULL), RGKV_INVALID);
}

static void a_query_is_a_number_or_minus_one(void **state)
{
    int64_t num = 5;
    assert_int_equal(ctrl_parse_query(bytes_str("-1\n"), &num, NULL), RGKV_OK);
    assert_int_equal(num, -1);
    assert_int_equal(ctrl_parse_query(bytes_str("9223372036854775807"), &num, NULL), RGKV_OK);
    assert_true(num == INT64_MAX);
    assert_int_equal(ctrl_parse_query(bytes_str("9223372036854775808"), &num, NULL), RGKV_RANGE);
    assert_int_equal(ctrl_parse_query(bytes_str("-2"), &num, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_query(bytes_str("-1 1"), &num, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_query(bytes_str("\n"), &num, NULL), RGKV_INVALID);
}

static void addresses_have_a_host_and_a_port(void **state)
{
    const char *good[] = {"h:1", "localhost:7400", "10.0.0.1:65535", "[::1]:80", "[fe80::1:2]:7", "a-b.c_d.e:9", "1a:5"};
    const char *bad[] = {"", ":", "h", "h:", ":1", "h:0", "h:65536", "h:00001", "h:1x", "h:-1", "::1:80", "[::1]", "[]:1", "[0::1]:1", "[::0001]:1", "[FE80::1]:1",
                         "[:1]:1", "[::1:1", "1.2.3:4", "1.2.3.4.5:6", "256.1.1.1:1", "-a:1", "a-:1", "a..b:1", ".a:1",
                         "a.:1", "a b:1", "a/b:1", "h:123456"};
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        assert_true(ctrl_addr_valid(bytes_str(good[i])));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(ctrl_addr_valid(bytes_str(bad[i])));
    char longest[ADDR_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + ADDR_BYTES_MAX - 3, ":1", 3);
    assert_true(ctrl_addr_valid(bytes_str(longest)));
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + ADDR_BYTES_MAX - 2, ":1", 3);
    assert_false(ctrl_addr_valid(bytes_str(longest)));
}

static void address_lists_are_bounded(void **state)
{
    char addrs[2][ADDR_BYTES_MAX];
    unsigned n = 9;
    assert_int_equal(ctrl_parse_addrs(bytes_str("a:1,b:2"), addrs, 2, &n, NULL), RGKV_OK);
    assert_int_equal(n, 2);
    assert_string_equal(addrs[1], "b:2");
    assert_int_equal(ctrl_parse_addrs(bytes_str("a:1,b:2,c:3"), addrs, 2, &n, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_addrs(bytes_str(",,"), addrs, 2, &n, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_addrs(bytes_str("a:1,b"), addrs, 2, &n, NULL), RGKV_INVALID);
}

/* Exactly sized heap copies, so that a read past the end is seen. */
static void parse_everything(const uint8_t *text, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    char addrs[4][ADDR_BYTES_MAX];
    uint64_t gids[4], gid;
    uint32_t shard;
    int64_t num;
    unsigned n;
    memcpy(copy, text, len);
    struct bytes b = bytes_of(copy, len);
    why.len = 0;
    enum rgkv_err errs[] = {ctrl_parse_join(b, groups, GROUPS, &n, &why), ctrl_parse_leave(b, gids, 4, &n, &why),
                            ctrl_parse_move(b, &shard, &gid, &why), ctrl_parse_query(b, &num, &why),
                            ctrl_parse_addrs(b, addrs, 4, &n, &why)};
    for (unsigned i = 0; i < ARRAY_LEN(errs); i++)
        assert_true(errs[i] == RGKV_OK || errs[i] == RGKV_INVALID || errs[i] == RGKV_RANGE);
    assert_true(why.len < 1000); /* sentences do not repeat what was written at length */
    free(copy);
}

static void no_bytes_from_outside_harm_a_parser(void **state)
{
    static const char alphabet[] = "0123456789 ,\n:.[]-abgroup\t\r\0\xff";
    struct prng p;
    prng_init(&p, 1);
    uint8_t text[64];
    for (unsigned run = 0; run < 20000; run++) {
        size_t len = prng_below(&p, sizeof(text));
        for (size_t i = 0; i < len; i++)
            text[i] = run % 2 ? (uint8_t)alphabet[prng_below(&p, sizeof(alphabet))] : (uint8_t)prng_next(&p);
        parse_everything(text, len);
    }
    const char *whole = "group 101 h1:7400,[::1]:5\n102 h4:1 h5:2\n";
    for (size_t len = 0; len <= strlen(whole); len++)
        parse_everything((const uint8_t *)whole, len);
}

static void a_mebibyte_without_a_newline_is_refused_with_a_short_sentence(void **state)
{
    size_t len = 1 << 20;
    uint8_t *text = malloc(len);
    const char fills[] = {'1', 'a', ' ', '\n', ':', 0};
    for (unsigned i = 0; i < sizeof(fills); i++) {
        memset(text, fills[i], len);
        parse_everything(text, len);
    }
    free(text);
}

/* ---- printing ---- */

static struct buf out;

static const char *printed(void)
{
    buf_put_u8(&out, 0);
    out.len = 0;
    return (const char *)out.data;
}

static const char *printed_config(struct world *w)
{
    struct ctrl_config c;
    assert_int_equal(ctrl_query(w->c, UINT64_MAX, &c), RGKV_OK);
    ctrl_print_config(&c, &out);
    ctrl_config_release(&c);
    return printed();
}

static void a_config_is_printed_as_it_was_joined(void **state)
{
    struct world w;
    world_init(&w, 3);
    assert_string_equal(printed_config(&w), "num 0\nshard 0 0\nshard 1 0\nshard 2 0\n");
    world_join(&w, 101, "h3:1 h1:1");
    assert_string_equal(printed_config(&w), "num 1\nshard 0 101\nshard 1 101\nshard 2 101\ngroup 101 h3:1 h1:1\n");
    world_release(&w);
}

static void the_group_lines_of_a_config_can_be_joined_again(void **state)
{
    unsigned n;
    assert_int_equal(join("group 101 h3:1 h1:1\n", &n), RGKV_OK);
    assert_int_equal(groups[0].gid, 101);
    assert_string_equal(groups[0].addrs[1], "h1:1");
}

static void shards_are_virgin_moving_activating_serving_or_parked(void **state)
{
    struct world w;
    world_init(&w, 5);
    world_join(&w, 7, "a:1");
    world_give(&w, 1, 7);
    world_shard(&w, CTRL_PREPARE, 2, 0, 7);
    world_shard(&w, CTRL_PREPARE, 3, 0, 7);
    world_shard(&w, CTRL_COMMIT, 3, 1, 0);
    world_give(&w, 4, 7);
    ctrl_print_shards(ctrl_view(w.c), &out);
    assert_string_equal(printed(), "0 0 virgin 0\n1 7 serving 1\n2 0 moving 1\n3 7 activating 1\n4 7 serving 1\n");
    world_leave(&w, 7);
    ctrl_print_shards(ctrl_view(w.c), &out);
    assert_string_equal(printed(), "0 0 virgin 0\n1 7 parked 1\n2 0 moving 1\n3 7 activating 1\n4 7 parked 1\n");
    world_release(&w);
}

static void moves_say_what_they_wait_for(void **state)
{
    struct world w;
    world_init(&w, 2);
    world_join(&w, 100, "a:1");
    ctrl_print_moves(ctrl_view(w.c), NULL, 0, &out);
    assert_non_null(strstr(printed(), "0 from=0 to=100 state=waiting bytes=0 age_us=0 "
                                      "why=\"group 100 waits for its nodes: 0 of 1 are there\"\n"));
    world_bind(&w, 100, 50);
    struct ctrl_plan *p = ctrl_plan_new(0);
    ctrl_print_moves(ctrl_view(w.c), p, 0, &out);
    assert_non_null(strstr(printed(), "why=\"waiting for group 100's leader\""));
    world_give(&w, 0, 100);
    world_give(&w, 1, 100);
    ctrl_print_moves(ctrl_view(w.c), p, 0, &out);
    assert_string_equal(printed(), "");
    assert_true(ctrl_settled(ctrl_view(w.c)));
    world_join(&w, 102, "b:1");
    world_bind(&w, 102, 60);
    assert_false(ctrl_settled(ctrl_view(w.c)));
    struct ctrl_report_replica leader = {.gid = 102, .incarnation = 2, .leader = true, .term = 1};
    leader.member = ctrl_view_group(ctrl_view(w.c), 102)->members[0].id;
    struct ctrl_report report = {.node = 60, .addr = "b:1", .n_replicas = 1, .replicas = &leader};
    ctrl_plan_report(p, &report, 5);
    ctrl_print_moves(ctrl_view(w.c), p, 6, &out);
    assert_non_null(strstr(printed(), "1 from=100 to=102 state=waiting"));
    ctrl_print_moves(ctrl_view(w.c), p, 6, &out);
    assert_non_null(strstr(printed(), "why=\"group 100 does not answer: its shards wait\""));
    ctrl_plan_free(p);
    world_release(&w);
}

static void the_status_page_names_what_needs_doing(void **state)
{
    struct world w;
    world_init(&w, 4);
    ctrl_print_status(ctrl_view(w.c), NULL, 0, &out);
    assert_non_null(strstr(printed(), "no group is in the cluster: join one"));
    world_join(&w, 101, "a:1 b:1");
    struct ctrl_plan *p = ctrl_plan_new(0);
    ctrl_print_status(ctrl_view(w.c), p, 0, &out);
    assert_non_null(strstr(printed(), "- group 101 waits for a node at b:1\n"));
    world_bind(&w, 101, 50);
    world_give_wanted(&w);
    ctrl_print_status(ctrl_view(w.c), p, 3000000, &out);
    const char *early = printed();
    assert_non_null(strstr(early, "101      -               4            -          -  a:1 b:1\n"));
    assert_non_null(strstr(early, "- the controller has had a new leader for some moments"));
    assert_null(strstr(early, "members are silent"));
    uint64_t now_us = 3000001; /* who answers has reported by now */
    ctrl_print_status(ctrl_view(w.c), p, now_us, &out);
    assert_non_null(strstr(printed(), "- group 101 has no leader: 2 of 2 members are silent"));
    struct ctrl_report_shard shards[4];
    for (uint32_t s = 0; s < 4; s++)
        shards[s] = (struct ctrl_report_shard){3 - s, KV_SERVING, 1, 400, 1u << 20};
    struct ctrl_report_replica leader = {.gid = 101, .incarnation = 1, .leader = true, .term = 1, .n_shards = 4,
                                         .shards = shards};
    leader.member = ctrl_view_group(ctrl_view(w.c), 101)->members[0].id;
    struct ctrl_report report = {.node = 50, .addr = "a:1", .n_replicas = 1, .replicas = &leader, .disk_free = 1,
                                 .disk_total = 100};
    ctrl_plan_report(p, &report, now_us);
    ctrl_print_status(ctrl_view(w.c), p, now_us, &out);
    const char *page = printed();
    if (getenv("SHOW"))
        puts(page);
    assert_non_null(strstr(page, "shards  4 of 4 served, settled\n"));
    assert_non_null(strstr(page, "101      up              4        1,600    4.0 MiB  a:1* b:1!\n"));
    assert_non_null(strstr(page, "- group 101: 1 of 2 members are silent\n"));
    assert_non_null(strstr(page, "- a:1: the disk is nearly full (1 of 100 bytes free)\n"));
    ctrl_plan_free(p);
    world_release(&w);
}

static void nodes_and_members_are_listed_heard_of_or_not(void **state)
{
    struct world w;
    world_init(&w, 1);
    world_join(&w, 7, "a:1 b:1");
    world_bind(&w, 7, 0x50);
    struct ctrl_plan *p = ctrl_plan_new(0);
    uint64_t id = ctrl_view_group(ctrl_view(w.c), 7)->members[0].id;
    struct ctrl_report_replica replica = {.gid = 7, .incarnation = 1, .member = id, .leader = true, .term = 3, .applied = 9};
    struct ctrl_report report = {.node = 0x50, .addr = "a:1", .version = "1.0", .boot_us = 77, .n_replicas = 1,
                                 .replicas = &replica, .disk_free = 5, .disk_total = 10,
                                 .memory_bytes = 7, .stall_us = 8};
    ctrl_plan_report(p, &report, 100);
    ctrl_print_nodes(ctrl_view(w.c), p, 150, &out);
    assert_string_equal(printed(), "a:1 node=0000000000000050 state=up version=1.0 uptime_us=77 groups=7 disk_used=0 "
                                   "disk_free=5 disk_total=10 memory=7 stall_us=8 age_us=50\nb:1 node=0000000000000051 state=unheard\n");
    ctrl_print_members(ctrl_view(w.c), 7, p, 3000000, &out);
    assert_string_equal(printed(), "1000 addr=a:1 node=0000000000000050 state=leader term=3 applied=9 log_bytes=0 "
                                   "disk_bytes=0\n1001 addr=b:1 node=0000000000000051 state=unheard\n");
    ctrl_plan_free(p);
    world_release(&w);
}

static struct ctrl_command member_says(const char *text)
{
    struct ctrl_command c;
    assert_int_equal(ctrl_parse_member(bytes_str(text), &c, NULL), RGKV_OK);
    return c;
}

static void member_refuses(const char *text, enum rgkv_err err, const char *sentence)
{
    struct ctrl_command c;
    buf_clear(&why);
    assert_int_equal(ctrl_parse_member(bytes_str(text), &c, &why), err);
    buf_put_u8(&why, 0);
    assert_non_null(strstr((char *)why.data, sentence));
}

static void members_are_added_removed_kept_and_replaced_by_words(void **state)
{
    struct ctrl_command c = member_says("add h:7400\n");
    assert_true(c.op == CTRL_ADD_MEMBER && c.member == 0);
    assert_string_equal(c.addr, "h:7400");
    c = member_says(" replace 1003   [::1]:7400 ");
    assert_true(c.op == CTRL_ADD_MEMBER && c.member == 1003);
    assert_string_equal(c.addr, "[::1]:7400");
    c = member_says("remove 17\n");
    assert_true(c.op == CTRL_REMOVE_MEMBER && c.member == 17);
    c = member_says("keep 17");
    assert_true(c.op == CTRL_KEEP_MEMBER && c.member == 17);
    member_refuses("", RGKV_INVALID, "write `add HOST:PORT`");
    member_refuses("drop 7", RGKV_INVALID, "write `add HOST:PORT`");
    member_refuses("add", RGKV_INVALID, "is not an address");
    member_refuses("add 7", RGKV_INVALID, "is not an address");
    member_refuses("add h:1 i:1", RGKV_INVALID, "one word too many");
    member_refuses("remove", RGKV_INVALID, "the member id is missing");
    member_refuses("remove h:1", RGKV_INVALID, "is no member id");
    member_refuses("remove 1 2", RGKV_INVALID, "one word too many");
    member_refuses("replace h:1", RGKV_INVALID, "is no member id");
    member_refuses("replace 0 h:1", RGKV_INVALID, "there is no member 0");
    member_refuses("remove 99999999999999999999", RGKV_RANGE, "too large");
    member_refuses("add h:1\x01", RGKV_INVALID, "plain text");
}

static void a_leader_is_named_by_its_member_id(void **state)
{
    uint64_t id = 0;
    assert_int_equal(ctrl_parse_leader(bytes_str("1003\n"), &id, NULL), RGKV_OK);
    assert_int_equal(id, 1003);
    assert_int_equal(ctrl_parse_leader(bytes_str("transfer 7"), &id, NULL), RGKV_OK);
    assert_int_equal(id, 7);
    assert_int_equal(ctrl_parse_leader(bytes_str("1004 h:1\n"), &id, NULL), RGKV_OK);
    assert_int_equal(id, 1004);
    assert_int_equal(ctrl_parse_leader(bytes_str("7 h:1 8"), &id, NULL), RGKV_INVALID);
    assert_int_equal(id, 1004);
    assert_int_equal(ctrl_parse_leader(bytes_str("transfer"), &id, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_leader(bytes_str("7 8"), &id, NULL), RGKV_INVALID);
    assert_int_equal(ctrl_parse_leader(bytes_str("h:1"), &id, NULL), RGKV_INVALID);
}

static void who_comes_or_goes_is_told_with_what_is_waited_for(void **state)
{
    struct world w;
    world_init(&w, 1);
    world_join(&w, 7, "a:1 b:1 c:1");
    world_bind(&w, 7, 0x50);
    world_do(&w, (struct ctrl_command){.op = CTRL_ADD_MEMBER, .gid = 7, .addr = "d:1"});
    struct ctrl_plan *p = ctrl_plan_new(0);
    ctrl_print_members(ctrl_view(w.c), 7, p, 150, &out);
    assert_non_null(strstr(printed(), "1003 addr=d:1 node=0000000000000000 state=unbound change=joining why=\"waits for a node at d:1\"\n"));
    ctrl_print_status(ctrl_view(w.c), p, 150, &out);
    assert_non_null(strstr(printed(), "- group 7: member 1003 at d:1 is joining: it waits for a node at d:1\n"));
    world_do(&w, (struct ctrl_command){.op = CTRL_BIND, .gid = 7, .incarnation = 1, .member = 1003, .node = 0x99, .addr = "d:1"});
    struct ctrl_report_replica replica = {.gid = 7, .incarnation = 1, .member = 1000, .leader = true, .term = 3, .applied = 9, .n_members = 1,
                                          .members = {{.id = 1003, .recent = true, .behind = 12}}};
    struct ctrl_report report = {.node = 0x50, .addr = "a:1", .n_replicas = 1, .replicas = &replica};
    ctrl_plan_report(p, &report, 100);
    ctrl_print_members(ctrl_view(w.c), 7, p, 150, &out);
    assert_non_null(strstr(printed(), "role=learner behind=12 change=joining why=\"catches up: 12 entries behind\"\n"));
    ctrl_plan_free(p);
    world_release(&w);
}

static void events_tell_who_comes_and_goes(void **state)
{
    struct world w;
    struct ctrl_view before;
    world_init(&w, 1);
    world_join(&w, 7, "a:1 b:1 c:1");
    world_bind(&w, 7, 0x50);
    const struct { struct ctrl_command k; const char *line; } steps[] = {
        {{.op = CTRL_ADD_MEMBER, .gid = 7, .addr = "d:1"}, "member group=7 id=1003 state=joining addr=d:1\n"},
        {{.op = CTRL_BIND, .gid = 7, .incarnation = 1, .member = 1003, .node = 0x99, .addr = "d:1"}, "member group=7 id=1003 state=bound addr=d:1\n"},
        {{.op = CTRL_PROMOTED, .gid = 7, .incarnation = 1, .member = 1003}, "member group=7 id=1003 state=in addr=d:1\n"},
        {{.op = CTRL_REMOVE_MEMBER, .gid = 7, .member = 1000}, "member group=7 id=1000 state=leaving addr=a:1\n"},
        {{.op = CTRL_KEEP_MEMBER, .gid = 7, .member = 1000}, "member group=7 id=1000 state=kept addr=a:1\n"},
        {{.op = CTRL_REMOVE_MEMBER, .gid = 7, .member = 1000}, "member group=7 id=1000 state=leaving addr=a:1\n"},
        {{.op = CTRL_REMOVED, .gid = 7, .incarnation = 1, .member = 1000}, "member group=7 id=1000 state=gone addr=a:1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        ctrl_view_copy(ctrl_view(w.c), &before);
        assert_int_equal(world_do(&w, steps[i].k).err, RGKV_OK);
        ctrl_print_changes(&before, ctrl_view(w.c), &out);
        assert_non_null(strstr(printed(), steps[i].line));
        ctrl_view_release(&before);
    }
    world_release(&w);
}

static int buffers_release(void **state)
{
    buf_release(&out);
    buf_release(&why);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_are_lines_with_blanks_or_commas),
        cmocka_unit_test(malformed_joins_are_refused_with_a_sentence),
        cmocka_unit_test(a_nul_is_no_text),
        cmocka_unit_test(more_groups_than_the_caller_takes_are_refused),
        cmocka_unit_test(leaves_are_numbers),
        cmocka_unit_test(a_move_is_a_shard_and_a_group_and_nothing_else),
        cmocka_unit_test(a_query_is_a_number_or_minus_one),
        cmocka_unit_test(addresses_have_a_host_and_a_port),
        cmocka_unit_test(address_lists_are_bounded),
        cmocka_unit_test(no_bytes_from_outside_harm_a_parser),
        cmocka_unit_test(a_mebibyte_without_a_newline_is_refused_with_a_short_sentence),
        cmocka_unit_test(a_config_is_printed_as_it_was_joined),
        cmocka_unit_test(the_group_lines_of_a_config_can_be_joined_again),
        cmocka_unit_test(shards_are_virgin_moving_activating_serving_or_parked),
        cmocka_unit_test(moves_say_what_they_wait_for),
        cmocka_unit_test(the_status_page_names_what_needs_doing),
        cmocka_unit_test(nodes_and_members_are_listed_heard_of_or_not),
        cmocka_unit_test(members_are_added_removed_kept_and_replaced_by_words),
        cmocka_unit_test(a_leader_is_named_by_its_member_id),
        cmocka_unit_test(events_tell_who_comes_and_goes),
        cmocka_unit_test(who_comes_or_goes_is_told_with_what_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, buffers_release);
}
