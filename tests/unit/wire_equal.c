/* Equality, member by member and by hand: a member that a codec forgets must be seen, so nothing of it is asked. */
#include "tests/unit/wire_random.h"

#define EQ(member) (a->member == b->member)
#define EQ_TEXT(member) (strcmp(a->member, b->member) == 0)
#define EQ_BYTES(member) (bytes_eq(a->member, b->member))

static bool envelope_eq(const struct msg_envelope *a, const struct msg_envelope *b)
{
    return EQ(gid) && EQ(incarnation) && EQ(from) && EQ(to);
}

static bool entry_eq(const struct raft_entry *a, const struct raft_entry *b)
{
    return EQ(index) && EQ(term) && EQ(kind) && !a->payload == !b->payload &&
           bytes_eq(blob_bytes(a->payload), blob_bytes(b->payload));
}

static bool raft_message_eq(const struct raft_message *a, const struct raft_message *b)
{
    bool eq = EQ(kind) && EQ(from) && EQ(to) && EQ(term) && EQ(log_index) && EQ(log_term) && EQ(commit) && EQ(round) &&
              EQ(hint_index) && EQ(hint_term) && EQ(rejected) && EQ(transfer) && EQ(n_entries);
    for (unsigned i = 0; eq && i < a->n_entries; i++)
        eq = entry_eq(&a->entries[i], &b->entries[i]);
    return eq;
}

static bool raft_eq(const struct msg_raft *a, const struct msg_raft *b)
{
    return envelope_eq(&a->envelope, &b->envelope) && raft_message_eq(&a->message, &b->message);
}

static bool snapshot_chunk_eq(const struct msg_snapshot_chunk *a, const struct msg_snapshot_chunk *b)
{
    return envelope_eq(&a->envelope, &b->envelope) && raft_message_eq(&a->header, &b->header) && EQ(snapshot_id) &&
           EQ(boot) && EQ(number) && EQ(done) && EQ(rows_total) && EQ(hash) && EQ_BYTES(rows);
}

static bool snapshot_ack_eq(const struct msg_snapshot_ack *a, const struct msg_snapshot_ack *b)
{
    return envelope_eq(&a->envelope, &b->envelope) && EQ(term) && EQ(snapshot_id) && EQ(next) && EQ(installed) &&
           EQ(refused) && EQ(log_index);
}

static bool request_eq(const struct kv_request *a, const struct kv_request *b)
{
    bool eq = EQ(client) && EQ(seq) && EQ(floor) && EQ(born_us) && EQ(shard) && EQ(op) && EQ(flags) && EQ(set) &&
              EQ_BYTES(key) && EQ_BYTES(key2) && EQ_BYTES(data) && EQ(version) && EQ(offset) && EQ(length) && EQ(mode) &&
              EQ(uid) && EQ(gid) && EQ(atime_ns) && EQ(mtime_ns) && EQ(now_ns) && EQ(n_ranges);
    for (unsigned i = 0; eq && i < a->n_ranges; i++)
        eq = EQ(ranges[i].offset) && EQ(ranges[i].len);
    return eq;
}

static bool attr_eq(const struct kv_attr *a, const struct kv_attr *b)
{
    return EQ(type) && EQ(mode) && EQ(uid) && EQ(gid) && EQ(size) && EQ(version) && EQ(base) && EQ(ino) && EQ(atime_ns) &&
           EQ(mtime_ns) && EQ(ctime_ns);
}

static bool kv_reply_eq(const struct kv_reply *a, const struct kv_reply *b)
{
    return EQ(err) && EQ(shard_time_us) && attr_eq(&a->attr, &b->attr) && EQ(has_attr) && EQ(more) && EQ_BYTES(data) &&
           EQ(leader_member) && EQ_TEXT(leader_addr);
}

static bool pull_eq(const struct msg_pull *a, const struct msg_pull *b)
{
    return EQ(gid) && EQ(incarnation) && EQ(shard) && EQ(epoch) && EQ(round) && EQ_BYTES(after);
}

static bool pull_reply_eq(const struct msg_pull_reply *a, const struct msg_pull_reply *b)
{
    return EQ(err) && EQ_TEXT(leader_addr) && EQ(shard) && EQ(epoch) && EQ(round) && EQ(pulled.done) && EQ(pulled.last) && EQ(pulled.count) &&
           EQ(pulled.hash) && EQ(pulled.revision) && EQ(pulled.clock_us) && EQ_BYTES(after) && EQ_BYTES(rows);
}

bool kv_command_eq(const struct kv_command *a, const struct kv_command *b)
{
    return EQ(kind) && EQ(time_us) && request_eq(&a->request, &b->request) && EQ(shard) && EQ(epoch) && EQ(from) && EQ(round) && EQ(done) &&
           EQ_BYTES(after) && EQ_BYTES(rows) && EQ(count) && EQ(hash) && EQ(revision) && EQ(clock_us);
}

static bool join_group_eq(const struct ctrl_join_group *a, const struct ctrl_join_group *b)
{
    bool eq = EQ(gid) && EQ(n);
    for (unsigned i = 0; eq && i < a->n; i++)
        eq = EQ_TEXT(addrs[i]);
    return eq;
}

bool ctrl_command_eq(const struct ctrl_command *a, const struct ctrl_command *b)
{
    bool eq = EQ(op) && EQ(time_us) && EQ(client) && EQ(seq) && EQ(born_us) && EQ(n_groups) && EQ(n_gids) && EQ(gid) &&
              EQ(incarnation) && EQ(member) && EQ(node) && EQ(epoch) && EQ(cluster) && EQ(shard) && EQ(nshards) &&
              EQ_TEXT(addr);
    for (unsigned i = 0; eq && i < a->n_groups; i++)
        eq = join_group_eq(&a->groups[i], &b->groups[i]);
    for (unsigned i = 0; eq && i < a->n_gids; i++)
        eq = EQ(gids[i]);
    return eq;
}

static bool admin_reply_eq(const struct msg_admin_reply *a, const struct msg_admin_reply *b)
{
    return EQ(result.err) && EQ(result.config_num) && EQ_TEXT(result.why) && EQ(result.duplicate) && EQ_TEXT(leader_addr);
}

static bool replica_eq(const struct ctrl_report_replica *a, const struct ctrl_report_replica *b)
{
    bool eq = EQ(gid) && EQ(incarnation) && EQ(member) && EQ(leader) && EQ(term) && EQ(applied) && EQ(leader_member) &&
              EQ(log_bytes) && EQ(disk_bytes) && EQ(n_shards) && EQ(lost) && EQ(configured) && EQ(n_members);
    for (unsigned i = 0; eq && i < a->n_members; i++)
        eq = EQ(members[i].id) && EQ(members[i].behind) && EQ(members[i].voter) && EQ(members[i].recent);
    for (unsigned i = 0; eq && i < a->n_shards; i++)
        eq = EQ(shards[i].shard) && EQ(shards[i].state) && EQ(shards[i].epoch) && EQ(shards[i].keys) && EQ(shards[i].bytes) &&
             EQ(shards[i].progress);
    return eq;
}

static bool report_eq(const struct ctrl_report *a, const struct ctrl_report *b)
{
    bool eq = EQ(node) && EQ_TEXT(addr) && EQ_TEXT(version) && EQ(boot_us) && EQ(disk_free) && EQ(disk_total) && EQ(memory_bytes) && EQ(stall_us) && EQ(n_replicas);
    for (unsigned i = 0; eq && i < a->n_replicas; i++)
        eq = replica_eq(&a->replicas[i], &b->replicas[i]);
    eq = eq && EQ(n_metrics);
    for (unsigned i = 0; eq && i < a->n_metrics; i++)
        eq = EQ(metrics[i].scope) && EQ(metrics[i].id) && EQ(metrics[i].label) && EQ(metrics[i].value);
    return eq;
}

static bool poll_eq(const struct msg_poll *a, const struct msg_poll *b)
{
    return EQ(version) && EQ(hold_us) && EQ(has_report) && report_eq(&a->report, &b->report);
}

static bool members_eq(const struct ctrl_member *as, const struct ctrl_member *bs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct ctrl_member *a = &as[i], *b = &bs[i];
        if (!(EQ(id) && EQ(node) && EQ(founding) && EQ(state) && EQ_TEXT(addr)))
            return false;
    }
    return true;
}

static bool group_eq(const struct ctrl_group *a, const struct ctrl_group *b)
{
    return EQ(gid) && EQ(incarnation) && EQ(in_config) && EQ(founded) && EQ(n) && members_eq(a->members, b->members, a->n);
}

static bool shard_eq(const struct ctrl_shard *a, const struct ctrl_shard *b)
{
    return EQ(holder) && EQ(epoch) && EQ(target) && EQ(active) && EQ(wanted);
}

static bool tombstone_eq(const struct ctrl_tombstone *a, const struct ctrl_tombstone *b)
{
    return EQ(gid) && EQ(incarnation) && EQ(member) && EQ(node);
}

static bool view_eq(const struct ctrl_view *a, const struct ctrl_view *b)
{
    bool eq = EQ(cluster) && EQ(version) && EQ(config_num) && EQ(nshards) && EQ(n_groups) && EQ(n_controllers) &&
              EQ(n_tombstones) && members_eq(a->controllers, b->controllers, a->n_controllers);
    for (unsigned i = 0; eq && i < a->nshards; i++)
        eq = shard_eq(&a->shards[i], &b->shards[i]);
    for (unsigned i = 0; eq && i < a->n_groups; i++)
        eq = group_eq(&a->groups[i], &b->groups[i]);
    for (unsigned i = 0; eq && i < a->n_tombstones; i++)
        eq = tombstone_eq(&a->tombstones[i], &b->tombstones[i]);
    return eq;
}

static bool msg_view_eq(const struct msg_view *a, const struct msg_view *b)
{
    return EQ(err) && EQ_TEXT(leader_addr) && EQ(time_us) && EQ(changed) && view_eq(&a->view, &b->view);
}

static bool raft_members_eq(const struct raft_member *as, const struct raft_member *bs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct raft_member *a = &as[i], *b = &bs[i];
        if (!(EQ(id) && EQ(node) && EQ(voter) && EQ_TEXT(addr)))
            return false;
    }
    return true;
}

static bool founding_eq(const struct founding *a, const struct founding *b)
{
    return EQ(cluster) && EQ(nshards) && EQ(n) && raft_members_eq(a->members, b->members, a->n);
}

bool manifest_eq(const struct manifest *a, const struct manifest *b)
{
    bool eq = EQ(node) && EQ(cluster) && EQ(view) && EQ_TEXT(addr) && founding_eq(&a->founding, &b->founding) && EQ(n_controllers) && EQ(n_replicas);
    for (unsigned i = 0; eq && i < a->n_controllers; i++)
        eq = EQ_TEXT(controllers[i]);
    for (unsigned i = 0; eq && i < a->n_replicas; i++)
        eq = EQ(replicas[i].gid) && EQ(replicas[i].incarnation) && EQ(replicas[i].member) && EQ(replicas[i].nshards) &&
             EQ(replicas[i].blank) && EQ(replicas[i].founding.n) &&
             raft_members_eq(a->replicas[i].founding.members, b->replicas[i].founding.members, a->replicas[i].founding.n);
    return eq;
}

bool msg_eq(const struct msg *a, const struct msg *b)
{
    if (!(EQ(kind) && EQ(id) && EQ(cluster)))
        return false;
    switch (a->kind) {
    case MSG_HELLO: return EQ(hello.node) && EQ(hello.client) && EQ_TEXT(hello.addr) && EQ_TEXT(hello.version);
    case MSG_RAFT: return raft_eq(&a->raft, &b->raft);
    case MSG_SNAPSHOT_CHUNK: return snapshot_chunk_eq(&a->snapshot_chunk, &b->snapshot_chunk);
    case MSG_SNAPSHOT_ACK: return snapshot_ack_eq(&a->snapshot_ack, &b->snapshot_ack);
    case MSG_KV_REQUEST: return EQ(kv_request.gid) && request_eq(&a->kv_request.request, &b->kv_request.request);
    case MSG_KV_REPLY: return kv_reply_eq(&a->kv_reply, &b->kv_reply);
    case MSG_ADMIN_REQUEST: return ctrl_command_eq(&a->admin_request.command, &b->admin_request.command);
    case MSG_ADMIN_REPLY: return admin_reply_eq(&a->admin_reply, &b->admin_reply);
    case MSG_CTRL_READ: return EQ(ctrl_read.what) && EQ(ctrl_read.number);
    case MSG_CTRL_TEXT: return EQ(ctrl_text.err) && EQ_TEXT(ctrl_text.leader_addr) && EQ_BYTES(ctrl_text.text);
    case MSG_POLL: return poll_eq(&a->poll, &b->poll);
    case MSG_VIEW: return msg_view_eq(&a->view, &b->view);
    case MSG_PULL: return pull_eq(&a->pull, &b->pull);
    case MSG_PULL_REPLY: return pull_reply_eq(&a->pull_reply, &b->pull_reply);
    case MSG_FOUND_ASK: return EQ(found_ask.node) && EQ_TEXT(found_ask.addr) && EQ(found_ask.list_hash);
    case MSG_FOUND_STATE:
        return EQ(found_state.node) && EQ_TEXT(found_state.addr) && EQ(found_state.list_hash) &&
               founding_eq(&a->found_state.record, &b->found_state.record);
    case MSG_FOUND: return founding_eq(&a->found.record, &b->found.record);
    case MSG_FOUND_ACK: return EQ(found_ack.node) && EQ(found_ack.accepted);
    case MSG_TRANSFER: return EQ(transfer.gid) && EQ(transfer.incarnation) && EQ(transfer.member);
    case MSG_REFUSED: return EQ(refused.err) && EQ_TEXT(refused.why);
    case MSG_KIND_COUNT: break;
    }
    return false;
}
