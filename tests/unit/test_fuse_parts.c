/* The small pure parts of the mount: the error ring, the read pin, signals, the control tree's table. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>

#include "fuse/control_tree.h"
#include "fuse/errlog.h"
#include "fuse/pin.h"
#include "fuse/proc.h"
#include "fuse/opstats.h"
#include "fuse/recent.h"
#include "fuse/space.h"

/* ---- errlog ---- */

static struct errlog_entry entry(const char *path, const char *sentence)
{
    return (struct errlog_entry){.time_ns = 1000000000ll * 86400 + 5000000, .op = "write", .path = path, .number = EHOSTDOWN, .sentence = sentence};
}

static void a_failure_is_one_line_with_its_errno_by_name(void **state)
{
    struct errlog l = {0};
    struct buf out = {0};
    struct errlog_entry e = entry("/a\nb", "no leader");
    errlog_record(&l, &e);
    errlog_print(&l, &out);
    assert_true(bytes_eq(buf_bytes(&out), bytes_str("1970-01-02T00:00:00.005Z write /a?b EHOSTDOWN no leader\n")));
    buf_release(&out);
    errlog_clear(&l);
}

static void the_ring_keeps_the_newest_failures_in_order(void **state)
{
    struct errlog l = {0};
    struct buf out = {0};
    char path[32];
    for (unsigned i = 0; i < ERRLOG_LINES_MAX + 3; i++) {
        snprintf(path, sizeof path, "/p%u.", i);
        struct errlog_entry e = entry(path, "x");
        errlog_record(&l, &e);
    }
    errlog_print(&l, &out);
    buf_put_u8(&out, 0);
    assert_null(strstr((char *)out.data, "/p2."));
    snprintf(path, sizeof path, "/p%u.", ERRLOG_LINES_MAX + 2);
    assert_true(strstr((char *)out.data, "/p3.") < strstr((char *)out.data, path));
    assert_int_equal(l.total, ERRLOG_LINES_MAX + 3);
    errlog_clear(&l);
    buf_clear(&out);
    errlog_print(&l, &out);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

/* ---- pin ---- */

static struct kv_attr version(uint64_t v, uint64_t size) { return (struct kv_attr){.type = KV_FILE, .version = v, .size = size}; }

static void take(struct pin *p, uint64_t v, const char *value, uint64_t since)
{
    struct kv_attr a = version(v, strlen(value));
    pin_take(p, &a, 0, bytes_str(value), since);
}

static void the_first_read_takes_what_came_with_the_open(void **state)
{
    struct pin p = {0};
    take(&p, 5, "hello", 1000);
    assert_int_equal(pin_read(&p, 0, 4096, 2000).ask, PIN_SERVE);
    assert_true(bytes_eq(pin_cached(&p, 0, 4096), bytes_str("hello")));
    assert_int_equal(pin_read(&p, 0, 4096, 2000).ask, PIN_NEWEST); /* but only the first */
    pin_release(&p);
}

static void what_came_with_the_open_is_not_given_out_late(void **state)
{
    struct pin p = {0};
    take(&p, 5, "hello", 1000);
    assert_int_equal(pin_read(&p, 0, 4096, 1001 + PIN_FRESH_US).ask, PIN_NEWEST);
    pin_release(&p);
}

static void the_middle_is_read_from_the_pinned_version_only(void **state)
{
    struct pin p = {0};
    struct kv_attr a = version(7, 1000000);
    pin_take(&p, &a, 0, bytes_str("beginning"), 0);
    struct pin_plan plan = pin_read(&p, 500000, 4096, 0);
    assert_int_equal(plan.ask, PIN_SAME);
    assert_int_equal(plan.length, 4096);
    plan = pin_read(&p, 999999, 4096, 0);
    assert_int_equal(plan.length, 1);
    assert_int_equal(pin_read(&p, 2, 3, 0).ask, PIN_SERVE);
    pin_release(&p);
}

static void a_value_that_only_grew_goes_on(void **state)
{
    struct pin p = {0};
    take(&p, 7, "line1\n", 0);
    pin_gave(&p, 0, bytes_str("line1\n"));
    struct pin_plan plan = pin_read(&p, 6, 4096, 0);
    assert_int_equal(plan.ask, PIN_GROWN);
    assert_int_equal(plan.offset, 6);
    struct kv_attr a = version(8, 12);
    a.base = 7;
    struct bytes got = pin_grown(&p, &a, 6, bytes_str("line2\n"));
    assert_true(bytes_eq(got, bytes_str("line2\n")));
    assert_int_equal(p.version, 8);
    pin_release(&p);
}

static void a_small_value_that_grew_is_still_read_as_one_when_it_is_gone_from_the_store(void **state)
{
    struct pin p = {0};
    take(&p, 7, "line1\n", 0);
    pin_gave(&p, 0, bytes_str("line1\n"));
    struct pin_plan plan = pin_read(&p, 6, 3, 0);
    assert_true(plan.ask == PIN_GROWN && plan.offset == 6 && plan.length >= VALUE_INLINE_BYTES);
    struct kv_attr a = version(8, 12);
    a.base = 7;
    pin_grown(&p, &a, 6, bytes_str("line2\n"));
    pin_gave(&p, 6, bytes_str("lin"));
    assert_int_equal(pin_read(&p, 9, 100, 0).ask, PIN_SERVE);
    assert_true(bytes_eq(pin_cached(&p, 9, 100), bytes_str("e2\n")));
    assert_int_equal(pin_read(&p, 2, 100, 0).ask, PIN_SERVE);
    assert_true(bytes_eq(pin_cached(&p, 2, 100), bytes_str("ne1\nline2\n")));
    pin_release(&p);
}

static void another_longer_value_is_not_read_on_in_even_if_it_has_the_same_bytes(void **state)
{
    struct pin p = {0};
    take(&p, 7, "zeros and more", 0);
    pin_gave(&p, 0, bytes_str("zeros and more"));
    struct pin_plan plan = pin_read(&p, 14, 4096, 0);
    assert_int_equal(plan.ask, PIN_GROWN);
    struct kv_attr a = version(8, 20);
    a.base = 8;
    assert_int_equal(pin_grown(&p, &a, 14, bytes_str(" zeros")).len, 0);
    assert_int_equal(p.version, 7);
    pin_release(&p);
}

static void the_end_of_an_unchanged_value_is_the_end(void **state)
{
    struct pin p = {0};
    take(&p, 7, "abc", 0);
    pin_gave(&p, 0, bytes_str("abc"));
    struct kv_attr a = version(7, 3);
    assert_int_equal(pin_read(&p, 3, 4096, 0).ask, PIN_GROWN);
    assert_int_equal(pin_grown(&p, &a, 3, BYTES_EMPTY).len, 0);
    pin_release(&p);
}

static void a_small_value_that_is_read_in_pieces_is_taken_whole(void **state)
{
    struct pin p = {0};
    struct pin_plan plan = pin_read(&p, 0, 1, 1000);
    assert_int_equal(plan.ask, PIN_NEWEST);
    assert_true(plan.offset == 0 && plan.length >= VALUE_INLINE_BYTES);
    take(&p, 7, "in pieces", 0);
    pin_gave(&p, 0, bytes_str("i"));
    assert_int_equal(pin_read(&p, 1, 1, 1001).ask, PIN_SERVE);
    pin_drop(&p);
    plan = pin_read(&p, 1, 1, 1002);
    assert_true(plan.ask == PIN_NEWEST && plan.offset == 0);
    pin_release(&p);
}

static void a_handle_that_may_write_reads_the_newest_wherever_it_does_not_go_on(void **state)
{
    struct pin p = {.roams = true};
    struct kv_attr a = version(7, 1000000);
    pin_take(&p, &a, 0, bytes_str("beginning"), 1000);
    assert_int_equal(pin_read(&p, 24, 16, 1001).ask, PIN_SAME); /* just opened */
    pin_gave(&p, 24, bytes_str("sixteen bytes is"));
    assert_int_equal(pin_read(&p, 40, 16, 1002).ask, PIN_SAME); /* goes on */
    pin_gave(&p, 40, bytes_str("sixteen bytes is"));
    assert_int_equal(pin_read(&p, 24, 16, 1003).ask, PIN_NEWEST);
    assert_int_equal(pin_read(&p, 999999, 16, 1004).ask, PIN_NEWEST);
    pin_release(&p);
}

/* ---- signals ---- */

static bool acts(uint64_t pending, uint64_t blocked, uint64_t ignored, uint64_t caught)
{
    char status[512];
    snprintf(status, sizeof status, "Name:\tx\nTgid:\t1\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n",
             (unsigned long long)pending, 0ull, (unsigned long long)blocked, (unsigned long long)ignored, (unsigned long long)caught);
    return proc_acts(status);
}
static uint64_t bit(int s) { return 1ull << (s - 1); }

static void only_a_signal_that_will_be_acted_upon_ends_a_wait(void **state)
{
    assert_false(acts(0, 0, 0, 0));
    assert_true(acts(bit(SIGKILL), bit(SIGKILL), 0, 0));
    assert_true(acts(bit(SIGINT), 0, 0, bit(SIGINT)));
    assert_true(acts(bit(SIGTERM), 0, 0, 0));
    assert_false(acts(bit(SIGINT), bit(SIGINT), 0, bit(SIGINT)));
    assert_false(acts(bit(SIGINT), 0, bit(SIGINT), 0));
    assert_false(acts(bit(SIGCHLD), 0, 0, 0));
    assert_true(acts(bit(SIGCHLD), 0, 0, bit(SIGCHLD)));
    assert_false(acts(bit(SIGTSTP), 0, 0, 0));
    assert_false(acts(bit(SIGWINCH) | bit(SIGCONT), 0, 0, 0));
}

static void a_status_without_its_signals_is_believed_to_act(void **state)
{
    assert_true(proc_acts(""));
    assert_true(proc_acts("Name:\tx\nTgid:\t1\nGroups:\t1000000000 1000000001 10"));
    assert_true(proc_acts("Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigIgn:\t00000000000"));
}

static void an_exiting_task_is_told_by_its_flags_whatever_its_name(void **state)
{
    assert_true(proc_exiting("12 (a) b (c)) R 1 2 3 4 5 4194308 6 7"));
    assert_false(proc_exiting("12 (x) R 1 2 3 4 5 4194304 6 7"));
    assert_false(proc_exiting("12 (4 R 1 2 3 4 5 4"));
    assert_false(proc_exiting(""));
}

/* ---- recent ---- */

static void a_lookup_answers_one_getattr_of_the_same_thread_at_once(void **state)
{
    static struct recent r;
    recent_found(&r, 7, 100, 1000);
    assert_false(recent_take_found(&r, 8, 100, 1001));
    assert_true(recent_take_found(&r, 7, 100, 1001));
    assert_false(recent_take_found(&r, 7, 100, 1001));
    recent_found(&r, 7, 100, 1000);
    assert_false(recent_take_found(&r, 7, 101, 1001));
    recent_found(&r, 7, 100, 1000);
    assert_false(recent_take_found(&r, 7, 100, 1001 + RECENT_US));
    recent_found(&r, 7, 100, 1000);
    recent_forget(&r, 7 + RECENT_SLOTS); /* another thread in the same slot */
    assert_true(recent_take_found(&r, 7, 100, 1001));
    recent_found(&r, 7, 100, 1000);
    recent_forget(&r, 7);
    assert_false(recent_take_found(&r, 7, 100, 1001));
}

static void a_failed_lookup_fails_at_once_when_it_is_asked_again(void **state)
{
    static struct recent r;
    recent_failed(&r, 7, 1, "f", RGKV_UNREACHABLE, 1000);
    assert_int_equal(recent_take_failed(&r, 7, 1, "f", 1001), RGKV_UNREACHABLE);
    assert_int_equal(recent_take_failed(&r, 7, 1, "f", 1002), RGKV_OK);
    recent_failed(&r, 7, 1, "f", RGKV_UNREACHABLE, 1000);
    assert_int_equal(recent_take_failed(&r, 7, 1, "g", 1001), RGKV_OK);
    recent_failed(&r, 7, 1, "f", RGKV_UNREACHABLE, 1000);
    assert_int_equal(recent_take_failed(&r, 7, 1, "f", 1001 + RECENT_FAILED_US), RGKV_OK);
}

/* ---- opstats ---- */

static void an_answer_is_counted_in_every_bucket_that_it_is_within(void **state)
{
    static struct opstats s;
    struct buf out = {0};
    opstats_answered(&s, "read", 50, false);
    opstats_answered(&s, "read", 51, true);
    opstats_answered(&s, "read", 99000000, false);
    opstats_print(&s, &out);
    buf_put_u8(&out, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "_bucket{op=\"read\",le=\"5e-05\"} 1\n"));
    assert_non_null(strstr(text, "_bucket{op=\"read\",le=\"0.0001\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{op=\"read\",le=\"30\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{op=\"read\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "_sum{op=\"read\"} 99.000101\n"));
    assert_non_null(strstr(text, "failures_total{op=\"read\"} 1\n"));
    buf_release(&out);
}

static void operations_beyond_the_table_are_left_out(void **state)
{
    static struct opstats s;
    static char names[OPSTATS_OPS_MAX + 5][8];
    for (unsigned i = 0; i < OPSTATS_OPS_MAX + 5; i++) {
        snprintf(names[i], sizeof names[i], "op%u", i);
        opstats_answered(&s, names[i], 1, false);
    }
    assert_int_equal(s.n, OPSTATS_OPS_MAX);
}

/* ---- the control tree ---- */

static void every_control_file_is_found_by_the_name_that_it_shows(void **state)
{
    uint64_t top = control_id(CONTROL_TOP, 0), id;
    unsigned n = 0;
    for (; (id = control_fixed_child(top, n)); n++) {
        char name[32];
        control_print_name(id, name);
        assert_true(control_child(top, name) == id);
        assert_true(control_is(id));
        assert_int_equal(control_row(id)->parent, CONTROL_TOP);
    }
    assert_true(n >= 16);
    assert_int_equal(control_child(top, "nothing"), 0);
}

static void a_control_file_has_a_path_for_people(void **state)
{
    char path[CONTROL_PATH_BYTES_MAX];
    control_print_path(control_id(CONTROL_TOP, 0), path);
    assert_string_equal(path, ".ctrl");
    control_print_path(control_id(CONTROL_GROUP_LEADER, 101), path);
    assert_string_equal(path, ".ctrl/groups/101/leader");
    control_print_path(control_id(CONTROL_CONFIG_N, 7), path);
    assert_string_equal(path, ".ctrl/configs/7");
    control_print_path(control_id(CONTROL_MOUNT_ABORT, 0), path);
    assert_string_equal(path, ".ctrl/mount/abort");
}

static void numbers_are_names_only_in_their_one_form(void **state)
{
    uint64_t configs = control_child(control_id(CONTROL_TOP, 0), "configs"), groups = control_child(control_id(CONTROL_TOP, 0), "groups");
    assert_int_equal(control_number(control_child(configs, "17")), 17);
    assert_int_equal(control_row(control_child(configs, "0"))->kind, CONTROL_CONFIG_N);
    assert_int_equal(control_child(configs, "017"), 0);
    assert_int_equal(control_child(configs, "-1"), 0);
    assert_int_equal(control_child(configs, "1x"), 0);
    assert_int_equal(control_child(configs, ""), 0);
    assert_int_equal(control_child(configs, "99999999999999999999"), 0);
    assert_int_equal(control_child(groups, "0"), 0);
    uint64_t ctl = control_child(groups, "ctl"), members = control_child(control_child(groups, "101"), "members");
    assert_int_equal(control_number(ctl), 0);
    assert_int_equal(control_number(members), 101);
    assert_int_equal(control_row(members)->kind, CONTROL_GROUP_MEMBERS);
}

/* ---- the cluster's room ---- */

static void room_is_that_of_the_nodes_that_hold_data_by_the_number_of_copies(void **state)
{
    struct space s = {0};
    assert_true(space_parse(bytes_str("a:1 node=1 state=up groups=0 disk_used=1 disk_free=7 disk_total=9\n"
                                      "b:1 node=2 state=up groups=0,101 disk_used=1 disk_free=100 disk_total=300\n"
                                      "c:1 node=3 state=up groups=101 disk_used=1 disk_free=50 disk_total=300\n"
                                      "d:1 node=4 state=unheard\ne:1 groups=- disk_free=9 disk_total=9"),
                            2, &s));
    assert_int_equal(s.total, 300);
    assert_int_equal(s.free, 75);
    assert_false(space_parse(bytes_str("d:1 node=4 state=unheard\n"), 3, &s));
    assert_false(space_parse(BYTES_EMPTY, 3, &s));
    assert_int_equal(s.total, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_that_of_the_nodes_that_hold_data_by_the_number_of_copies),
        cmocka_unit_test(a_failure_is_one_line_with_its_errno_by_name),
        cmocka_unit_test(the_ring_keeps_the_newest_failures_in_order),
        cmocka_unit_test(the_first_read_takes_what_came_with_the_open),
        cmocka_unit_test(what_came_with_the_open_is_not_given_out_late),
        cmocka_unit_test(the_middle_is_read_from_the_pinned_version_only),
        cmocka_unit_test(a_value_that_only_grew_goes_on),
        cmocka_unit_test(a_small_value_that_grew_is_still_read_as_one_when_it_is_gone_from_the_store),
        cmocka_unit_test(another_longer_value_is_not_read_on_in_even_if_it_has_the_same_bytes),
        cmocka_unit_test(the_end_of_an_unchanged_value_is_the_end),
        cmocka_unit_test(a_small_value_that_is_read_in_pieces_is_taken_whole),
        cmocka_unit_test(a_handle_that_may_write_reads_the_newest_wherever_it_does_not_go_on),
        cmocka_unit_test(only_a_signal_that_will_be_acted_upon_ends_a_wait),
        cmocka_unit_test(a_status_without_its_signals_is_believed_to_act),
        cmocka_unit_test(an_exiting_task_is_told_by_its_flags_whatever_its_name),
        cmocka_unit_test(a_lookup_answers_one_getattr_of_the_same_thread_at_once),
        cmocka_unit_test(a_failed_lookup_fails_at_once_when_it_is_asked_again),
        cmocka_unit_test(an_answer_is_counted_in_every_bucket_that_it_is_within),
        cmocka_unit_test(operations_beyond_the_table_are_left_out),
        cmocka_unit_test(every_control_file_is_found_by_the_name_that_it_shows),
        cmocka_unit_test(numbers_are_names_only_in_their_one_form),
        cmocka_unit_test(a_control_file_has_a_path_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
