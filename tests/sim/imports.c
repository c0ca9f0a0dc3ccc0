/* A copy of a shard that is whole is taken: when a group has applied the end of an import, at the epoch that the shard is imported
 * at, the import is over. If not, count or hash of the rows were not the source's: some came twice, or out of place, or not at all, and
 * the move begins anew as if nothing had been, which nobody would see. Or the end came without the rows of the round that it ends. */
#include "tests/sim/sim.h"

#define ENDS_MAX 32u
#define FAMILY_OF_SHARD_COMMANDS 2u /* second byte of a payload (wire/command.c): the others need not be decoded */

struct sim_import_end {
    uint64_t gid, incarnation, index, epoch, round;
    uint32_t shard;
};
struct sim_imports {
    struct sim_import_end ends[ENDS_MAX];
    unsigned n;
    struct arena arena;
};

struct sim_imports *imports_new(void) { return mem_zalloc(sizeof(struct sim_imports)); }

void imports_free(struct sim_imports *im)
{
    arena_release(&im->arena);
    mem_free(im);
}

void imports_committed(struct sim_imports *im, const struct node_replica_info *i, const struct raft_entry *e)
{
    struct bytes payload = blob_bytes(e->payload);
    struct kv_command c;
    if (!i->kv || e->kind != RAFT_COMMAND || payload.len < 2 || payload.data[1] != FAMILY_OF_SHARD_COMMANDS || im->n == ENDS_MAX)
        return;
    if (kv_command_decode(payload, &im->arena, &c) == RGKV_OK && c.kind == KV_IMPORT_END)
        im->ends[im->n++] = (struct sim_import_end){i->gid, i->incarnation, e->index, c.epoch, c.round, c.shard};
    arena_reset(&im->arena);
}

void imports_applied(struct sim *s, struct sim_imports *im, const struct node_replica_info *i, uint64_t applied)
{
    for (unsigned k = 0; k < im->n;) {
        const struct sim_import_end end = im->ends[k];
        struct kv_shard_status now;
        if (end.gid != i->gid || end.incarnation != i->incarnation || end.index > applied) {
            k++;
            continue;
        }
        im->ends[k] = im->ends[--im->n];
        kv_shard_status(i->kv, end.shard, &now);
        if (now.state == KV_IMPORTING && now.epoch == end.epoch)
            sim_fail(s, "group %llu, shard %u at epoch %llu: %s", (unsigned long long)i->gid, end.shard, (unsigned long long)end.epoch,
                     now.import_round == end.round ? "the rows that were imported are not the source's"
                                                   : "the import's end is not behind its last rows");
    }
}
