/* The inside of the client engine: what its files share. Nobody else includes this.
 *
 *   client.c    the calls of client.h: inputs in, effects out
 *   request.c   one request's life: copied, moved from list to list, finished, freed
 *   session.c   exactly once: sequences, floors, windows, the shard's time
 *   route.c     groups and links: which address a group is asked at now
 *   view.c      the placement: polled, kept, and what a newer one wakes
 *   retry.c     what an answer, a refusal, silence or the deadline means for a request
 *   outcome.c   what the caller is told, and the sentence for a person
 *   timers.c    when to look again
 *
 * A request is in exactly one list at a time, named by its state:
 *
 *     submit ─▶ WAITING (no placement, no holder, back-off) ◀────────────────┐ refused
 *        │          │ view, timer                                            │
 *        ├─▶ QUEUED │ (its shard's window is full)                           │
 *        │     │    ▼                                                        │
 *        └─────┴─▶ READY ──client_next──▶ SENT (on a link) ──────────────────┤
 *                   │ ▲                     │ silence, link down: READY      │
 *                   ▼ │                     │                                │
 *             PARKED (no link, no leader)   └──▶ DONE ──client_next──▶ freed │
 *             CONTACT (shard's time unknown)                                 │
 *                                              any state ──deadline, cancel──┘─▶ DONE
 *
 * Lists are first in, first out; one that is woken goes to the front of READY as a whole, for its requests left there
 * before whatever is there now came in. So the first copies of a shard leave in the order of submission. */
#ifndef RGKV_CLIENT_ENGINE_H
#define RGKV_CLIENT_ENGINE_H

#include <uthash.h>
#include <utlist.h>

#include "base/prng.h"
#include "client/client.h"
#include "client/timers.h"

enum {
    CLIENT_BACKOFF_MIN_US = 5000,
    CLIENT_BACKOFF_MAX_US = 200000,
    CLIENT_ELECTION_US = 30000,       /* at most between two questions who leads now … */
    CLIENT_ELECTION_TRIES = 50,       /* … as often as an election or three take; only a group's probe asks */
    CLIENT_MOVING_MIN_US = 5000,
    CLIENT_MOVING_US = 20000,         /* at most between two tries, so many times */
    CLIENT_MOVING_TRIES = 20,
    CLIENT_MOVING_MAX_US = 100000,
    CLIENT_PENDING_MIN_US = 2000,
    CLIENT_ANSWER_US = 500000,        /* silence before another copy is sent; doubles up to 8 times that */
    CLIENT_CONNECT_US = 300000,       /* a link that is not up by then is passed over */
    CLIENT_POLL_HOLD_US = 2000000,    /* below the 3 s of `controller_reached` */
    CLIENT_POLL_GAP_US = 20000,       /* between two polls */
    CLIENT_REACHED_US = 3000000,
    CLIENT_LINK_IDLE_US = 60000000,
    CLIENT_HOPS_MAX = 4,              /* hints followed in a row without a pause */
    CLIENT_RENEWALS_MAX = 3,
    CLIENT_LINKS_MAX = NODES_MAX * 2, /* hints to further strangers are ignored */
};
/* A shard's time older than this is fetched anew: `born` must not be near its TTL when it is first used (P5). */
#define CLIENT_CONTACT_US (SESSION_TTL_US / 4)

enum request_state {
    REQUEST_NEW, REQUEST_QUEUED, REQUEST_CONTACT, REQUEST_READY, REQUEST_PARKED, REQUEST_WAITING, REQUEST_SENT, REQUEST_DONE,
};
/* Requests of the engine's own travel like everyone's, but end elsewhere. */
enum request_purpose { PURPOSE_CALLER, PURPOSE_CONTACT, PURPOSE_POLL };

struct request {
    uint64_t id;
    UT_hash_handle hh;
    enum client_kind kind;
    enum request_purpose purpose;
    void *tag;
    uint64_t deadline_us;             /* UINT64_MAX: never */

    enum request_state state;
    struct request *prev, *next;      /* in `list` */
    struct request **list;
    struct timer timer;               /* at the earlier of deadline and wake */
    uint64_t wake_us;

    struct kv_request kv;             /* what it points to lives in `content` */
    struct ctrl_command admin;
    enum ctrl_read read;
    uint64_t number;
    uint64_t hold_us;                 /* CLIENT_VIEW */

    struct session *session;          /* mutations and admin commands, once started */
    struct request *older, *newer;    /* in session->active, by sequence */
    bool started;                     /* checked, its shard known */
    bool numbered;                    /* has its sequence */
    bool born;                        /* kv.born_us is fixed: a copy was sent under this number */

    /* Copies (P28). Copy n travels with message id `id << 16 | n`; bit n % 64 of `open` says that copy n
     * was sent and not refused; `lost`: a copy older than 64 others was still open, so it is for ever. */
    uint64_t copies;
    uint64_t open;
    bool lost;
    struct link *link;                /* REQUEST_SENT: where the newest copy went */
    uint64_t gid;                     /* whom it was last meant for */
    uint64_t sent_us;
    unsigned refusals, hops, silences, renewals;
    enum rgkv_err trouble;            /* the last refusal, or NO_GROUP while there is no holder */
    struct ctrl_shard seen;           /* the placement that it was refused under */

    enum rgkv_err err;                /* outcome */
    char *why;                        /* NULL: the error's own sentence */
    bool answered;
    struct kv_reply reply;
    struct ctrl_result result;
    uint8_t *data;                    /* of the reply */
    size_t data_len;
    uint8_t content[];
};

struct session {                      /* of this client with one shard, or with the controller */
    uint32_t shard;
    uint64_t window;
    uint64_t next_seq;
    uint64_t time_us;                 /* newest time of the shard that was heard of */
    uint64_t heard_us;                /* when; 0: never */
    struct request *active;           /* numbered and unfinished, by sequence */
    struct request *queue;            /* submitted, not numbered yet */
    struct request *contact_wait;     /* numbered, never sent: wait for the time */
    struct request *contact;          /* the request that fetches it, or NULL */
};

enum link_state { LINK_NEW, LINK_CONNECTING, LINK_UP, LINK_FAILED };

struct link {
    char addr[ADDR_BYTES_MAX];
    UT_hash_handle hh;
    enum link_state state;
    uint64_t heard_us, used_us;
    struct request *sent;             /* over it, not answered, oldest first */
    struct timer idle;
};

struct group {
    uint64_t gid;
    UT_hash_handle hh;
    unsigned n;
    char addrs[MEMBERS_MAX * 2][ADDR_BYTES_MAX]; /* members; of the controller also the caller's hints */
    struct link *target;              /* the leader, as far as is known; may be no member (a hint) */
    bool led;                         /* the target answered as the leader does, and nothing was heard against it since */
    uint64_t probe;                   /* not led: the one request that looks for the leader while the others are parked */
    struct request *parked;           /* wait for a link, or for the probe */
    struct timer connect;
    uint64_t reached_us;              /* when its leader last answered; 0: never */
    uint64_t asked_us;                /* the first try since then; 0: none */
};

struct link_effect {
    enum client_effect_kind kind;
    char addr[ADDR_BYTES_MAX];
};

struct client {
    uint64_t client, cluster;         /* cluster 0: no view yet */
    uint64_t now_us;
    struct prng prng;
    struct timers timers;
    uint64_t next_id;
    struct request *requests;         /* all that are not done, by id */
    struct request *ready, *waiting, *done;
    struct request *handed;           /* its outcome was given out last: freed by the next call */

    unsigned n_hints;
    char hints[MEMBERS_MAX][ADDR_BYTES_MAX];
    uint64_t controller_time_us;      /* newest logged time of group 0 that was heard of */
    bool has_view;
    struct ctrl_view view;
    struct request *poll;
    uint64_t polled_us;
    struct session **sessions;        /* by shard, NULL until used */
    struct session admin;
    struct group *groups;
    struct link *links;

    struct link_effect *link_effects; /* [link_effects_given, n) are to be given out */
    size_t n_link_effects, link_effects_given, link_effects_cap;
    struct msg message;               /* the one given out last */
    struct client_stats stats;
};

/* ---- request.c ---- */

struct request *request_new(struct client *c, const struct client_request *q);
void request_free(struct request *r);
/* To the end of `list` (NULL: to none) in its new state; the wake time is cleared. */
void request_move(struct client *c, struct request *r, enum request_state state, struct request **list);
void request_wake_at(struct client *c, struct request *r, uint64_t wake_us);
void request_ready(struct client *c, struct request *r);
void request_ready_all(struct client *c, struct request **list);
/* Ends it with an error, an answer having been stored before if there is one. `why` is taken (NULL: the error's sentence). */
void request_finish(struct client *c, struct request *r, enum rgkv_err err, char *why);
/* Ends it and forgets it at once: requests of the engine's own. */
void request_drop(struct client *c, struct request *r);
bool request_mutates(const struct request *r);
bool request_surely_not_done(const struct request *r); /* no copy is open (P28) */
bool request_close_copy(struct request *r, uint64_t message_id); /* refused; true: it was the newest */

/* ---- session.c ---- */

struct session *session_of(struct client *c, uint32_t shard);
/* Checks and shard are done: gives it its number and makes it ready, or queues it. Reads pass, but never overtake a queue. */
void session_enter(struct client *c, struct session *s, struct request *r);
void session_leave(struct client *c, struct request *r); /* the floor may pass it; the queue moves up */
bool session_may_send(struct client *c, struct request *r); /* false: it now waits for the shard's time */
void session_stamp(struct client *c, struct request *r);    /* at each copy: floor; at the first: born */
void session_heard(struct client *c, struct session *s, uint64_t time_us);
void session_renew(struct client *c, struct request *r);    /* surely not executed: a new number, a new birth */
void session_contact_ended(struct client *c, struct request *contact);
void session_free(struct session *s);

/* ---- route.c ---- */

struct group *group_of(struct client *c, uint64_t gid);  /* made if the view (or gid 0) knows it, else NULL */
struct group *group_known(const struct client *c, uint64_t gid);
void group_members(struct client *c, struct group *g);   /* from the view */
struct link *group_link(struct client *c, struct group *g); /* an open link to its leader or a member; NULL: being connected */
bool group_may_ask(struct group *g, const struct request *r); /* false: another request is looking for the leader */
void group_probe_over(struct client *c, const struct request *r); /* if it was one: the next may look */
void group_park(struct client *c, struct group *g, struct request *r);
void group_connect_late(struct client *c, struct group *g);
void group_reached(struct client *c, struct group *g, struct link *l);
void group_rotate(struct client *c, struct group *g, const struct link *away_from);
bool group_hint(struct client *c, struct group *g, const struct link *from, const char *addr); /* true: worth asking at once */
void groups_update(struct client *c);                    /* after a new view */
void group_free(struct client *c, struct group *g);
struct link *link_find(const struct client *c, const char *addr);
void link_up(struct client *c, const char *addr);
void link_down(struct client *c, const char *addr);
void link_idle(struct client *c, struct link *l);

/* ---- view.c ---- */

void view_poll_start(struct client *c);
void view_want(struct client *c);                        /* what is cached was proved old */
void view_poll_again(struct client *c);                  /* after an answer */
enum rgkv_err view_take(struct client *c, const struct msg *m); /* WRONG_CLUSTER; PROTOCOL: nonsense; BUSY: nothing yet */
void view_wait(struct client *c, struct request *r, uint64_t wake_us);
const struct ctrl_shard *view_shard(const struct client *c, uint32_t shard); /* or NULL */

/* ---- outcome.c ---- */

void outcome_answer_kv(struct client *c, struct request *r, const struct kv_reply *reply);
void outcome_answer_admin(struct client *c, struct request *r, const struct ctrl_result *result);
void outcome_answer_text(struct client *c, struct request *r, const struct msg_ctrl_text *text);
void outcome_answer_view(struct client *c, struct request *r);
void outcome_give_up(struct client *c, struct request *r);  /* its deadline has passed, or it will never be answered */
void outcome_cancel(struct client *c, struct request *r);

/* ---- retry.c ---- */

void retry_start(struct client *c, struct request *r);   /* submitted, or the first view came */
bool retry_send(struct client *c, struct request *r, struct client_effect *ret_e); /* false: it went somewhere else */
void retry_received(struct client *c, struct link *l, const struct msg *m);
void retry_timer(struct client *c, struct request *r);

#endif
