#include "tests/unit/unit.h"

#include <semaphore.h>

#include "net/disk.h"

/* Jobs that wait in the pool until the test lets them go, and note on the loop what was done. */
struct test_job {
    struct disk_job job;
    char name;
    sem_t go;
    bool put_back;
};
static uv_loop_t loop;
static struct pool *pool;
static char order[32];
static unsigned n_order;
static int running, running_max;

static void work(struct disk_job *j)
{
    int now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
    if (now > __atomic_load_n(&running_max, __ATOMIC_SEQ_CST))
        __atomic_store_n(&running_max, now, __ATOMIC_SEQ_CST);
    sem_wait(&((struct test_job *)j)->go);
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
}

static void done(struct disk_job *j)
{
    struct test_job *t = (struct test_job *)j;
    order[n_order++] = t->name;
    order[n_order] = 0;
    if (t->put_back) {
        t->put_back = false;
        disk_put_back(j->lane, j);
    }
}

static void submit(struct disk_lane *l, struct test_job *t, char name, enum disk_kind kind, unsigned free_to_go)
{
    *t = (struct test_job){.name = name, .job = {.kind = kind, .work = work, .done = done}};
    sem_init(&t->go, 0, free_to_go);
    disk_run(l, &t->job);
}

static int setup(void **state)
{
    static struct disk_lane lane;
    struct buf why = {0};
    n_order = 0;
    order[0] = 0;
    running = running_max = 0;
    uv_loop_init(&loop);
    if (pool_new(&loop, 4, &pool, &why))
        return -1;
    disk_lane_init(&lane, pool);
    *state = &lane;
    return 0;
}

static int teardown(void **state)
{
    struct disk_lane *l = *state;
    assert_true(disk_lane_idle(l));
    pool_close(pool);
    uv_run(&loop, UV_RUN_DEFAULT);
    pool_free(pool);
    return uv_loop_close(&loop);
}

static void ordered_jobs_run_one_at_a_time_in_their_order(void **state)
{
    struct disk_lane *l = *state;
    struct test_job t[4];
    for (int i = 0; i < 4; i++)
        submit(l, &t[i], (char)('a' + i), DISK_ORDERED, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "abcd");
    assert_int_equal(running_max, 1);
}

static void a_flush_passes_an_ordered_job_that_takes_long(void **state)
{
    struct disk_lane *l = *state;
    struct test_job t[3];
    submit(l, &t[0], 'a', DISK_ORDERED, 0);
    submit(l, &t[1], 'b', DISK_ORDERED, 1);
    submit(l, &t[2], 'f', DISK_BESIDE, 1);
    while (n_order == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_string_equal(order, "f");
    sem_post(&t[0].go);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "fab");
}

static void a_job_that_wants_to_be_alone_waits_for_the_flush_and_stops_the_next_one(void **state)
{
    struct disk_lane *l = *state;
    struct test_job t[4];
    submit(l, &t[0], 'f', DISK_BESIDE, 0);
    submit(l, &t[1], 'a', DISK_ALONE, 1);
    submit(l, &t[2], 'g', DISK_BESIDE, 1);
    submit(l, &t[3], 'o', DISK_ORDERED, 1);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "");
    sem_post(&t[0].go);
    while (n_order < 2)
        uv_run(&loop, UV_RUN_ONCE);
    assert_memory_equal(order, "fa", 2);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_order, 4);
}

static void a_job_that_was_put_back_goes_first_and_only_when_released(void **state)
{
    struct disk_lane *l = *state;
    struct test_job t[4];
    submit(l, &t[0], 'a', DISK_ORDERED, 2);
    t[0].put_back = true;
    submit(l, &t[1], 'b', DISK_ORDERED, 1);
    submit(l, &t[2], 'f', DISK_BESIDE, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_order, 2);
    assert_null(strchr(order, 'b'));
    submit(l, &t[3], 'u', DISK_ORDERED, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_order, 2);
    disk_lane_release(l);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order + 2, "abu");
}

static void what_frees_space_passes_a_job_that_waits_for_space(void **state)
{
    struct disk_lane *l = *state;
    struct test_job t[2];
    submit(l, &t[0], 'a', DISK_ORDERED, 2);
    t[0].put_back = true;
    uv_run(&loop, UV_RUN_DEFAULT);
    t[1] = (struct test_job){.name = 'u', .job = {.kind = DISK_ORDERED, .urgent = true, .work = work, .done = done}};
    sem_init(&t[1].go, 0, 1);
    disk_run(l, &t[1].job);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "au");
    disk_lane_release(l);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(order, "aua");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ordered_jobs_run_one_at_a_time_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flush_passes_an_ordered_job_that_takes_long, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_that_wants_to_be_alone_waits_for_the_flush_and_stops_the_next_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_that_was_put_back_goes_first_and_only_when_released, setup, teardown),
        cmocka_unit_test_setup_teardown(what_frees_space_passes_a_job_that_waits_for_space, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
