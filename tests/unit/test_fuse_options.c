/* rgkvfs's command line. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "fuse/options.h"

static enum rgkv_err parse(struct options *o, struct buf *why, const char *line)
{
    static char words[4096];
    char *argv[32], *save = NULL;
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    buf_clear(why);
    return options_parse(argc, argv, o, why);
}

static void assert_refused(const char *line, const char *mentions)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, line), RGKV_INVALID);
    buf_put_u8(&why, 0);
    assert_non_null(strstr((char *)why.data, mentions));
    buf_release(&why);
}

static void controllers_come_before_the_mount_point(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "rgkvfs 10.0.0.1:7400,h2:7400 /mnt"), RGKV_OK);
    assert_int_equal(o.n_controllers, 2);
    assert_string_equal(o.controllers[1], "h2:7400");
    assert_string_equal(o.mountpoint, "/mnt");
    assert_int_equal(o.timeout_us, 30000000);
    assert_false(o.foreground);
}

static void a_mount_point_alone_means_the_embedded_node(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "rgkvfs /mnt -f -o data=/var/kv"), RGKV_OK);
    assert_int_equal(o.n_controllers, 0);
    assert_string_equal(o.data_dir, "/var/kv");
    assert_true(o.foreground);
}

static void a_prefix_is_a_key_with_or_without_slashes(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "rgkvfs h:1 /mnt -o prefix=/a/b/"), RGKV_OK);
    assert_string_equal(o.prefix, "a/b");
    assert_int_equal(parse(&o, &why, "rgkvfs h:1 /mnt -o prefix=/"), RGKV_OK);
    assert_string_equal(o.prefix, "");
    assert_refused("rgkvfs h:1 /mnt -o prefix=a//b", "prefix=a//b");
    assert_refused("rgkvfs h:1 /mnt -o prefix=a/../b", "prefix=");
}

static void as_mounts_helper_minus_f_means_not_to_mount(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "/sbin/mount.rgkvfs h:1 /mnt -sfn -o rw"), RGKV_INVALID); /* mount(8) gives them one by one */
    assert_int_equal(parse(&o, &why, "/sbin/mount.rgkvfs h:1 /mnt -f -v -t fuse.rgkvfs -o rw"), RGKV_OK);
    assert_true(o.fake && !o.foreground);
    assert_string_equal(o.mountpoint, "/mnt");
    assert_int_equal(parse(&o, &why, "rgkvfs h:1 /mnt -f"), RGKV_OK);
    assert_true(o.foreground && !o.fake);
    buf_release(&why);
}

static void none_and_rgkvfs_as_the_source_mean_the_embedded_node(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "mount.rgkvfs none /mnt -o rw"), RGKV_OK);
    assert_int_equal(o.n_controllers, 0);
    assert_string_equal(o.fsname, "none");
    assert_int_equal(parse(&o, &why, "mount.rgkvfs rgkvfs /mnt -o rw,fsname=kv"), RGKV_OK);
    assert_int_equal(o.n_controllers, 0);
    assert_string_equal(o.fsname, "kv");
}

static void a_source_that_lacks_a_port_is_no_wish_for_an_embedded_node(void **state)
{
    struct options o;
    struct buf why = {0};
    char *unset[] = {"rgkvfs", "", "/mnt"};
    assert_refused("rgkvfs 10.0.0.1 /mnt", "'10.0.0.1' names no controllers");
    assert_refused("rgkvfs 10.0.0.1 /mnt -o fsname=x", "'10.0.0.1' names no controllers");
    assert_refused("rgkvfs $RGKVFS_CONTROLERS /mnt", "names no controllers");
    assert_refused("rgkvfs /mnt more", "'/mnt' names no controllers");
    assert_int_equal(options_parse(ARRAY_LEN(unset), unset, &o, &why), RGKV_INVALID);
    buf_release(&why);
}

static void what_mount_and_systemd_add_is_ignored(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "mount.rgkvfs a:1 /mnt -s -n -o rw,_netdev,nofail,noauto,user,dev,suid,x-systemd.automount,x-a=b"), RGKV_OK);
    assert_string_equal(o.kernel, "");
}

static void every_option_has_its_effect(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "rgkvfs a:1 /mnt -o timeout=5,ro,allow_other -ocommit=write,fsname=x,noexec,nonempty"), RGKV_OK);
    assert_int_equal(o.timeout_us, 5000000);
    assert_true(o.read_only && o.allow_other && o.commit_write && o.nonempty);
    assert_string_equal(o.fsname, "x");
    assert_string_equal(o.kernel, ",noexec");
    assert_int_equal(parse(&o, &why, "rgkvfs a:1 /mnt -o hard"), RGKV_OK);
    assert_int_equal(o.timeout_us, 0);
}

static void what_makes_no_sense_is_refused_with_a_sentence_that_names_it(void **state)
{
    assert_refused("rgkvfs", "mount point");
    assert_refused("rgkvfs -o ro", "mount point");
    assert_refused("rgkvfs a:1 /mnt more", "more");
    assert_refused("rgkvfs a:1 /mnt -o timeout=0", "timeout=0");
    assert_refused("rgkvfs a:1 /mnt -o timeout=-1", "timeout=-1");
    assert_refused("rgkvfs a:1 /mnt -o timeout=5x", "timeout=5x");
    assert_refused("rgkvfs a:1 /mnt -o timeout=99999999999999999999", "timeout=");
    assert_refused("rgkvfs a:1 /mnt -o commit=never", "commit=never");
    assert_refused("rgkvfs a:1 /mnt -o nonsense", "nonsense");
    assert_refused("rgkvfs a:1 /mnt -o fsname=", "fsname");
    assert_refused("rgkvfs a:1 /mnt -o", "-o");
    assert_refused("rgkvfs a:1 /mnt -q", "-q");
    assert_refused("rgkvfs a:0 /mnt", "");
    assert_refused("rgkvfs a:1,b /mnt", "");
}

static void help_and_version_need_no_mount_point(void **state)
{
    struct options o;
    struct buf why = {0};
    assert_int_equal(parse(&o, &why, "rgkvfs --help"), RGKV_OK);
    assert_true(o.help);
    assert_int_equal(parse(&o, &why, "rgkvfs --version"), RGKV_OK);
    assert_true(o.version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(controllers_come_before_the_mount_point),
        cmocka_unit_test(a_mount_point_alone_means_the_embedded_node),
        cmocka_unit_test(a_prefix_is_a_key_with_or_without_slashes),
        cmocka_unit_test(as_mounts_helper_minus_f_means_not_to_mount),
        cmocka_unit_test(none_and_rgkvfs_as_the_source_mean_the_embedded_node),
        cmocka_unit_test(a_source_that_lacks_a_port_is_no_wish_for_an_embedded_node),
        cmocka_unit_test(what_mount_and_systemd_add_is_ignored),
        cmocka_unit_test(every_option_has_its_effect),
        cmocka_unit_test(what_makes_no_sense_is_refused_with_a_sentence_that_names_it),
        cmocka_unit_test(help_and_version_need_no_mount_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
