/* The client engine: routing, retries, sessions, requests in flight; pure (input -> effects), no threads, no clock.
 *
 *     client_submit / client_cancel / client_step     inputs
 *     client_next(c, &effect)                         effects, until it returns false
 *
 * It fetches and caches the placement (MSG_POLL at the controllers), finds each group's leader, pipelines, and
 * retries the same (client, sequence) until it is answered or the caller's deadline has passed. A retry never changes its
 * session. Three outcomes: done (the reply, OK or an errno of the state machine), not done (UNREACHABLE, NO_GROUP: surely not
 * applied, for no copy that was ever sent is unrefused, P28), unknown (UNKNOWN).
 *
 * Messages are only given out for addresses whose link is up; a link is asked for by CLIENT_CONNECT and the outside says
 * CLIENT_LINK_UP or CLIENT_LINK_DOWN (down: everything sent over it and not answered is resent elsewhere; it is told again and again while it
 * cannot be connected, as the outside retries with its own back-off as long as the engine wants the link).
 *
 * Ownership: submit copies the request's bytes. A reply's data is borrowed until the next call on the engine. */
#ifndef RGKV_CLIENT_CLIENT_H
#define RGKV_CLIENT_CLIENT_H

#include "wire/msg.h"

struct client;

struct client_options {
    uint64_t client;              /* random, not 0: the identity of its sessions */
    uint64_t seed;                /* jitter */
    uint64_t now_us;
    unsigned n_controllers;
    char controllers[MEMBERS_MAX][ADDR_BYTES_MAX]; /* a hint: newer lists come with views */
};
struct client *client_new(const struct client_options *o);
void client_free(struct client *c);

enum client_kind { CLIENT_KV = 1, CLIENT_ADMIN, CLIENT_READ, CLIENT_VIEW };

struct client_request {
    enum client_kind kind;
    uint64_t deadline_us;         /* absolute; 0: never */
    void *tag;                    /* comes back with the outcome */
    const struct kv_request *kv;  /* client, seq, floor, born, and shard are the engine's; but `shard` is taken as
                                     given for KV_LIST of the root (key empty) and KV_TIME */
    const struct ctrl_command *admin;
    enum ctrl_read read;          /* CLIENT_READ */
    uint64_t number;
};
/* The id is for client_cancel. Never fails: a malformed request is answered by an effect with its errno (kv_request_check). */
uint64_t client_submit(struct client *c, const struct client_request *q, uint64_t now_us);
/* The caller is interrupted: answered CANCELLED in an effect at once; if a copy may be under way it completes at most once
 * (its sequence is given up: the floor passes it). Unknown ids are ignored (it was answered already). */
void client_cancel(struct client *c, uint64_t id, uint64_t now_us);

enum client_input_kind { CLIENT_TICK = 1, CLIENT_LINK_UP, CLIENT_LINK_DOWN, CLIENT_RECEIVED };
struct client_input {
    enum client_input_kind kind;
    uint64_t now_us;
    const char *addr;             /* LINK_*, RECEIVED */
    const struct msg *message;    /* RECEIVED */
};
void client_step(struct client *c, const struct client_input *i);
uint64_t client_deadline_us(const struct client *c); /* the next tick that would do something; UINT64_MAX: none */

enum client_effect_kind { CLIENT_CONNECT = 1, CLIENT_DISCONNECT, CLIENT_SEND, CLIENT_DONE };
struct client_effect {
    enum client_effect_kind kind;
    const char *addr;             /* CONNECT, DISCONNECT, SEND */
    const struct msg *message;    /* SEND */
    uint64_t id;                  /* DONE */
    void *tag;
    enum rgkv_err err;            /* DONE: OK = an answer came (for KV its own errno is in reply->err too and is copied here) */
    const char *why;              /* a sentence for a person; never NULL */
    const struct kv_reply *reply; /* CLIENT_KV; NULL if no answer came */
    const struct ctrl_result *result; /* CLIENT_ADMIN */
    struct bytes text;            /* CLIENT_READ */
    const struct ctrl_view *view; /* CLIENT_VIEW: linearizable (fetched after the submit) */
};
bool client_next(struct client *c, struct client_effect *ret_e);

/* The placement as cached (may be stale), NULL before the first contact. */
const struct ctrl_view *client_view(const struct client *c);
/* Counters and health for people and metrics. */
struct client_stats {
    uint64_t submitted, done, refused, unknown, retries, sends, inflight;
    bool controller_reached;      /* within the last 3 s */
};
void client_stats(const struct client *c, struct client_stats *ret_s);
/* What is known of a group right now, without asking: reached within the last 3 s? */
enum client_group_health { CLIENT_GROUP_UNKNOWN, CLIENT_GROUP_OK, CLIENT_GROUP_DOWN };
enum client_group_health client_group_health(const struct client *c, uint64_t gid);

#endif
