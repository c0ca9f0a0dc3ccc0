/* Control-file texts (rgkvfs-ctrl(5)): what people write is parsed, what they read is printed. Formats as in
 * cgroup v2; what is printed can be written back. Parsers give INVALID (or RANGE) and a sentence in `why`. */
#ifndef RGKV_CTRL_TEXT_H
#define RGKV_CTRL_TEXT_H

#include "ctrl/plan.h"

/* "GID h:p h:p h:p" lines, spaces or commas; at most 64 groups. groups: caller's array. */
MUST_USE enum rgkv_err ctrl_parse_join(struct bytes text, struct ctrl_join_group *groups, unsigned max, unsigned *ret_n, struct buf *why);
MUST_USE enum rgkv_err ctrl_parse_leave(struct bytes text, uint64_t *gids, unsigned max, unsigned *ret_n, struct buf *why);
MUST_USE enum rgkv_err ctrl_parse_abandon(struct bytes text, uint64_t *ret_gid, struct buf *why); /* the gid, twice */
MUST_USE enum rgkv_err ctrl_parse_move(struct bytes text, uint32_t *ret_shard, uint64_t *ret_gid, struct buf *why);
/* "add h:p", "remove ID", "keep ID" or "replace ID h:p": a command without its gid. */
MUST_USE enum rgkv_err ctrl_parse_member(struct bytes text, struct ctrl_command *ret_c, struct buf *why);
MUST_USE enum rgkv_err ctrl_parse_leader(struct bytes text, uint64_t *ret_member, struct buf *why); /* "ID", "transfer ID" or, as it is read, "ID HOST:PORT" */
MUST_USE enum rgkv_err ctrl_parse_query(struct bytes text, int64_t *ret_num, struct buf *why); /* -1 or a number */
/* "host:port" with a numeric IPv4/bracketed IPv6 address or a name; port 1–65535. */
bool ctrl_addr_valid(struct bytes addr);
/* "H:P,H:P,…" as on command lines. INVALID with a sentence. */
MUST_USE enum rgkv_err ctrl_parse_addrs(struct bytes text, char addrs[][ADDR_BYTES_MAX], unsigned max, unsigned *ret_n, struct buf *why);

void ctrl_print_config(const struct ctrl_config *c, struct buf *out);   /* num N / shard S G / group G a b c */
void ctrl_print_shards(const struct ctrl_view *v, struct buf *out);     /* SHARD GROUP STATE EPOCH */
void ctrl_print_moves(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out); /* p may be NULL */
bool ctrl_settled(const struct ctrl_view *v);                           /* placement equals config */
void ctrl_print_status(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out);
void ctrl_print_nodes(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out);
/* ID addr=… node=… state=… role=voter|learner behind=ENTRIES …, and why="…" for who comes or goes. gid 0: controllers */
void ctrl_print_members(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us, struct buf *out);
/* What a member that comes or goes waits for: a sentence without a full stop. l: its group's leader. */
void ctrl_print_progress(const struct ctrl_member *m, const struct ctrl_report_member *told, bool led, struct buf *out);
/* What happened between two placements, a line each. */
void ctrl_print_changes(const struct ctrl_view *before, const struct ctrl_view *after, struct buf *out);
/* Prometheus text of the cluster. */
void ctrl_print_metrics(const struct ctrl_view *v, const struct ctrl_plan *p, uint64_t now_us, struct buf *out);
/* What a group holds: its shards' numbers, one a line; keys or bytes as its leader told last, or `unknown`. */
void ctrl_print_group_shards(const struct ctrl_view *v, uint64_t gid, struct buf *out);
void ctrl_print_group_keys(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us, struct buf *out);
void ctrl_print_group_bytes(const struct ctrl_view *v, uint64_t gid, const struct ctrl_plan *p, uint64_t now_us, struct buf *out);

#endif
