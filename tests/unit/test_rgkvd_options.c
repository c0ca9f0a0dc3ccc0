#include "tests/unit/unit.h"

#include <stdio.h>

#include "rgkvd/options.h"

static char sentence[512];

#define PARSE(o, ...) parse(o, (char *[]){"rgkvd", __VA_ARGS__, NULL})

static enum rgkv_err parse(struct options *o, char *argv[])
{
    struct buf why = {0};
    int argc = 0;
    while (argv[argc])
        argc++;
    enum rgkv_err err = options_parse(argc, argv, o, &why);
    snprintf(sentence, sizeof(sentence), "%.*s", (int)why.len, why.data ? (const char *)why.data : "");
    buf_release(&why);
    return err;
}

#define GOOD "--listen", "127.0.0.1:7400", "--data", "/d"

static void a_short_line_gets_the_defaults(void **state)
{
    struct options o;
    assert_int_equal(PARSE(&o, GOOD, "--controllers", "h1:1,h2:2,h3:3"), RGKV_OK);
    assert_string_equal(o.listen, "127.0.0.1:7400");
    assert_string_equal(o.data, "/d");
    assert_int_equal(o.n_controllers, 3);
    assert_string_equal(o.controllers[2], "h3:3");
    assert_int_equal(o.nshards, NSHARDS_DEFAULT);
    assert_int_equal(o.snapshot_bytes, SNAPSHOT_BYTES_DEFAULT);
    assert_int_equal(o.memory_bytes, MEMORY_BYTES_DEFAULT);
    assert_int_equal(o.election_us, ELECTION_US_DEFAULT);
    assert_int_equal(o.heartbeat_us, HEARTBEAT_US_DEFAULT);
    assert_int_equal(o.nice, 0);
    assert_false(o.insecure || o.prefault || o.die_with_parent);
    assert_int_equal(o.action, OPTIONS_RUN);
}

static void a_value_may_follow_an_equals_sign(void **state)
{
    struct options o;
    assert_int_equal(PARSE(&o, "--listen=[::1]:0", "--data=/d", "--shards=10", "--snapshot-bytes=-1", "--memory-bytes=268435456", "--election-ms=100",
                           "--heartbeat-ms=20", "--insecure", "--prefault", "--nice=-10", "--die-with-parent=77"), RGKV_OK);
    assert_string_equal(o.listen, "[::1]:0");
    assert_int_equal(o.nshards, 10);
    assert_int_equal(o.snapshot_bytes, -1);
    assert_int_equal(o.memory_bytes, 268435456);
    assert_int_equal(o.election_us, 100000);
    assert_int_equal(o.heartbeat_us, 20000);
    assert_true(o.insecure && o.prefault && o.die_with_parent);
    assert_int_equal(o.nice, -10);
    assert_int_equal(o.parent, 77);
}

static void who_listens_everywhere_says_where_it_is(void **state)
{
    struct options o;
    assert_int_equal(PARSE(&o, "--listen", "0.0.0.0:7400", "--advertise", "h1:7400", "--data", "/d", "--insecure"), RGKV_OK);
    assert_string_equal(o.advertise, "h1:7400");
}

static void help_and_version_need_nothing_else(void **state)
{
    struct options o;
    assert_int_equal(PARSE(&o, "--help"), RGKV_OK);
    assert_int_equal(o.action, OPTIONS_HELP);
    assert_int_equal(PARSE(&o, "--version"), RGKV_OK);
    assert_int_equal(o.action, OPTIONS_VERSION);
}

static void refused(enum rgkv_err err, const char *words)
{
    assert_int_equal(err, RGKV_INVALID);
    if (!strstr(sentence, words))
        fail_msg("\"%s\" says nothing of \"%s\"", sentence, words);
    assert_null(strchr(sentence, '\n'));
}

static void what_is_wrong_is_named_in_one_sentence(void **state)
{
    struct options o = {.nshards = 12345};
    refused(PARSE(&o, "--data", "/d"), "--listen is missing");
    refused(PARSE(&o, "--listen", "a:1"), "--data is missing");
    refused(PARSE(&o, GOOD, "--frobnicate"), "--frobnicate is not an option");
    refused(PARSE(&o, GOOD, "--list", "x"), "--list is not an option");
    refused(PARSE(&o, GOOD, "extra"), "extra is not an option");
    refused(PARSE(&o, GOOD, "-h"), "-h is not an option");
    refused(PARSE(&o, "--listen", "nonsense", "--data", "/d"), "--listen takes HOST:PORT");
    refused(PARSE(&o, "--listen", ":1", "--data", "/d"), "--listen takes HOST:PORT");
    refused(PARSE(&o, "--listen", "h:70000", "--data", "/d"), "--listen takes HOST:PORT");
    refused(PARSE(&o, "--listen", "1:2:3", "--data", "/d"), "--listen takes HOST:PORT");
    refused(PARSE(&o, "--listen", "127.0.0.1:07400", "--data", "/d"), "--listen takes HOST:PORT");
    refused(PARSE(&o, "--listen", "[0::1]:7400", "--data", "/d"), "--listen takes HOST:PORT, IPv6 in its shortest form");
    refused(PARSE(&o, GOOD, "--advertise", "h1:0"), "--advertise takes HOST:PORT");
    refused(PARSE(&o, GOOD, "--advertise", "h 1:7400"), "--advertise takes HOST:PORT");
    refused(PARSE(&o, GOOD, "--controllers", "[0::1]:7400"), "IPv6 in its shortest form");
    refused(PARSE(&o, GOOD, "--data"), "--data needs a value");
    refused(PARSE(&o, GOOD, "--data", ""), "--data takes a directory");
    refused(PARSE(&o, GOOD, "--shards", "0"), "--shards takes a number");
    refused(PARSE(&o, GOOD, "--shards", "99999999999999999999"), "--shards takes a number");
    refused(PARSE(&o, GOOD, "--shards", "10x"), "--shards takes a number");
    refused(PARSE(&o, GOOD, "--snapshot-bytes", "-2"), "--snapshot-bytes takes a number");
    refused(PARSE(&o, GOOD, "--memory-bytes", "1000"), "--memory-bytes takes a number from 67108864");
    refused(PARSE(&o, GOOD, "--insecure=yes"), "takes no value");
    refused(PARSE(&o, GOOD, "--controllers", "nonsense"), "--controllers");
    refused(PARSE(&o, GOOD, "--election-ms", "60"), "--heartbeat-ms must be");
    refused(PARSE(&o, "--listen", "0.0.0.0:7400", "--data", "/d", "--insecure"), "give --advertise");
    refused(PARSE(&o, "--listen", "[::]:7400", "--data", "/d", "--insecure"), "give --advertise");
    refused(PARSE(&o, GOOD, "--die-with-parent=0"), "--die-with-parent takes");
    assert_int_equal(o.nshards, 12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_line_gets_the_defaults),
        cmocka_unit_test(a_value_may_follow_an_equals_sign),
        cmocka_unit_test(who_listens_everywhere_says_where_it_is),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(what_is_wrong_is_named_in_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
