/* A scripted cluster for the client engine's tests: no sockets, a clock that the test moves, every effect written down. */
#ifndef RGKV_TESTS_CLIENT_FAKE_H
#define RGKV_TESTS_CLIENT_FAKE_H

#include "tests/unit/unit.h"

#include "client/client.h"

enum { FAKE_SHARDS = 8, FAKE_EFFECTS = 8192, FAKE_SECOND = 1000000 };

struct fake_sent {
    char addr[ADDR_BYTES_MAX];
    struct msg m;              /* keys and data: borrowed from the engine until the request ends */
    char text[64];             /* key of a request */
};
struct fake_done {
    uint64_t id;
    void *tag;
    enum rgkv_err err;
    char why[400];
    bool has_reply, has_result, has_view;
    struct kv_reply reply;
    struct ctrl_result result;
    uint64_t version;
    char text[256];            /* the reply's data */
};
struct fake {
    struct client *c;
    uint64_t now;
    bool links_come_up, answers_polls;
    unsigned n_sent, n_done, n_connects, n_disconnects;
    struct fake_sent sent[FAKE_EFFECTS]; /* without polls */
    struct fake_done done[FAKE_EFFECTS];
    char connects[FAKE_EFFECTS][ADDR_BYTES_MAX];
    struct fake_sent poll;     /* the newest */
    unsigned n_polls;
    struct ctrl_view view;
    struct ctrl_shard shards[FAKE_SHARDS];
    struct ctrl_group groups[2];
};

struct fake *fake_new(void);                    /* placement: shards 0-5 at group 101, 6 at 102, 7 nowhere; links come up */
struct fake *fake_connected(void);              /* and the engine has it */
void fake_free(struct fake *f);
void fake_drain(struct fake *f);                /* takes every effect */
void fake_link(struct fake *f, const char *addr, bool up);
void fake_to(struct fake *f, uint64_t now_us);  /* time goes on, stopping at each deadline */
void fake_forget(struct fake *f);               /* what was sent and done so far */
void fake_receive(struct fake *f, const char *addr, const struct msg *m);
void fake_view(struct fake *f);                 /* answers the newest poll with f->view */
void fake_view_newer(struct fake *f);           /* as a newer version */

const char *fake_key(uint32_t shard, unsigned n); /* the n-th key of a shard; one of a few static buffers */
uint64_t fake_append(struct fake *f, uint32_t shard, const char *data, uint64_t deadline_us);
uint64_t fake_get(struct fake *f, uint32_t shard, uint64_t deadline_us);
struct fake_sent *fake_last(struct fake *f);    /* the last sent */
unsigned fake_count(const struct fake *f, enum kv_op op);
void fake_reply(struct fake *f, const struct fake_sent *to, enum rgkv_err err, const char *hint);
void fake_contact(struct fake *f, uint64_t time_us); /* answers the last sent, which must be a KV_TIME */
void fake_know_shard(struct fake *f, uint32_t shard); /* the engine has the shard's time and its leader */
uint64_t fake_kv(struct fake *f, const struct kv_request *q, uint64_t deadline_us);
struct fake_done *fake_outcome(struct fake *f, uint64_t id); /* fails the test if there is none */
bool fake_is_done(const struct fake *f, uint64_t id);

#endif
