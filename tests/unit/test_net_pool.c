#include "tests/unit/unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/pool.h"

struct test_job {
    struct pool_job job;
    unsigned number;
    sem_t go;
    pthread_t worked_on;
    struct test_job *next;             /* given from `done` */
};
static uv_loop_t loop;
static struct pool *pool;
static unsigned done_numbers[4096], n_done;
static sem_t begun;

static void work(struct pool_job *j)
{
    struct test_job *t = (struct test_job *)j;
    t->worked_on = pthread_self();
    sem_post(&begun);
    sem_wait(&t->go);
}

static void done(struct pool_job *j)
{
    struct test_job *t = (struct test_job *)j;
    done_numbers[n_done++] = t->number;
    if (t->next)
        pool_run(pool, &t->next->job);
}

static void prepare(struct test_job *t, unsigned number, unsigned go)
{
    *t = (struct test_job){.job = {.work = work, .done = done}, .number = number};
    sem_init(&t->go, 0, go);
}

static void give(struct test_job *t, unsigned number, unsigned go)
{
    prepare(t, number, go);
    pool_run(pool, &t->job);
}

static int setup_threads(unsigned n)
{
    struct buf why = {0};
    n_done = 0;
    sem_init(&begun, 0, 0);
    uv_loop_init(&loop);
    return pool_new(&loop, n, &pool, &why) ? -1 : 0;
}
static int setup_one(void **state) { return setup_threads(1); }
static int setup_two(void **state) { return setup_threads(2); }

static int teardown(void **state)
{
    pool_close(pool);
    uv_run(&loop, UV_RUN_DEFAULT);
    pool_free(pool);
    return uv_loop_close(&loop);
}

static void jobs_run_off_the_loop_in_the_order_given_and_are_done_on_it(void **state)
{
    struct test_job t[200];
    for (unsigned i = 0; i < ARRAY_LEN(t); i++)
        give(&t[i], i, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, ARRAY_LEN(t));
    for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(done_numbers[i], i); /* of one thread */
        assert_false(pthread_equal(t[i].worked_on, pthread_self()));
    }
}

static void a_job_that_blocks_takes_one_thread_only(void **state)
{
    struct test_job t[3];
    give(&t[0], 0, 0);
    give(&t[1], 1, 1);
    give(&t[2], 2, 1);
    while (n_done < 2)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(done_numbers[0], 1);
    assert_int_equal(done_numbers[1], 2);
    sem_post(&t[0].go);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, 3);
}

/* One thread that has begun the third job has finished two. */
static void what_was_finished_while_the_loop_was_busy_is_done_at_once_in_its_order(void **state)
{
    struct test_job t[3];
    for (unsigned i = 0; i < 3; i++)
        give(&t[i], i, i < 2);
    for (unsigned i = 0; i < 3; i++)
        sem_wait(&begun);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(n_done, 2);
    assert_int_equal(done_numbers[0], 0);
    assert_int_equal(done_numbers[1], 1);
    sem_post(&t[2].go);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, 3);
}

static void a_job_given_from_done_is_run_although_the_pool_closes(void **state)
{
    struct test_job t[2];
    prepare(&t[1], 1, 1);
    give(&t[0], 0, 1);
    t[0].next = &t[1];
    pool_close(pool);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, 2);
}

static void an_idle_pool_keeps_no_loop_running(void **state)
{
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    struct test_job t;
    give(&t, 0, 1);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(n_done, 1);
}

/* Many threads that finish at any moment: nothing is lost, nothing done twice. */
static void thousands_of_jobs_of_eight_threads_are_each_done_once(void **state)
{
    static struct test_job t[ARRAY_LEN(done_numbers)];
    assert_int_equal(setup_threads(8), 0);
    for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
        give(&t[i], i, 1);
        if (i % 7 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, ARRAY_LEN(t));
    bool seen[ARRAY_LEN(t)] = {0};
    for (unsigned i = 0; i < n_done; i++) {
        assert_false(seen[done_numbers[i]]);
        seen[done_numbers[i]] = true;
    }
    assert_int_equal(teardown(state), 0);
}

static void a_system_that_gives_no_descriptors_is_told_in_a_sentence(void **state)
{
    struct rlimit before, none;
    struct buf why = {0};
    getrlimit(RLIMIT_NOFILE, &before);
    uv_loop_init(&loop);
    int next = dup(0);
    close(next);
    none = (struct rlimit){(rlim_t)next, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum rgkv_err err = pool_new(&loop, 2, &pool, &why);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(err, RGKV_IO);
    buf_put_u8(&why, 0);
    assert_non_null(strstr((const char *)why.data, "2 threads"));
    buf_release(&why);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_off_the_loop_in_the_order_given_and_are_done_on_it, setup_one, teardown),
        cmocka_unit_test_setup_teardown(a_job_that_blocks_takes_one_thread_only, setup_two, teardown),
        cmocka_unit_test_setup_teardown(what_was_finished_while_the_loop_was_busy_is_done_at_once_in_its_order, setup_one, teardown),
        cmocka_unit_test_setup_teardown(a_job_given_from_done_is_run_although_the_pool_closes, setup_two, teardown),
        cmocka_unit_test_setup_teardown(an_idle_pool_keeps_no_loop_running, setup_two, teardown),
        cmocka_unit_test(thousands_of_jobs_of_eight_threads_are_each_done_once),
        cmocka_unit_test(a_system_that_gives_no_descriptors_is_told_in_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
