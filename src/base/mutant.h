/* Known bugs, compiled in on demand: `make check-mutants` shows that the simulator catches each of them.
 *
 * Where one of them lives, the code says MUTANT(name): false, and gone, in every program but rgkv-sim-mutants, which is
 * compiled with -DRGKV_MUTANTS and turns one of them on (mutant_now, defined in the simulator). B1 and so on: the class of bugs that
 * it belongs to, as the tests number them. */
#ifndef RGKV_BASE_MUTANT_H
#define RGKV_BASE_MUTANT_H

/*    name                   what is wrong                                                                      */
#define RGKV_MUTANTS_ALL(X)                                                                                      \
    X(vote_unsynced,         "B14: a vote is answered before it is durable")                                     \
    X(vote_forgotten,        "B14: a restarted member does not remember for whom it voted")                      \
    X(vote_twice,            "B9: a member votes for whoever asks")                                              \
    X(term_forgotten,        "a restarted member knows no later term than that of its last entry")               \
    X(pre_vote_counts,       "who would vote has voted")                                                         \
    X(old_leader_obeyed,     "entries of a leader of an older term are taken")                                   \
    X(leads_for_ever,        "a leader that hears of no quorum goes on leading")                                 \
    X(transfer_lagging,      "leadership is handed to one who has not caught up")                                \
    X(vote_for_ignorant,     "a member votes for one whose log lacks what its own holds")                        \
    X(ack_unsynced,          "B15: entries are acknowledged before they are durable")                            \
    X(ack_by_index,          "an acknowledgement of an older term is matched by index alone")                    \
    X(own_unsynced,          "B15: the leader counts its own entries before they are durable")                   \
    X(persisted_by_index,    "what was written in an older term counts as this leader's")                        \
    X(old_term_counted,      "B22: an entry of an old term is committed by counting (figure 8)")                 \
    X(commit_unverified,     "a follower commits entries that its leader has not verified")                      \
    X(heartbeat_unverified,  "a heartbeat commits whatever is there")                                            \
    X(commit_back,           "a late message moves the commit index back")                                       \
    X(truncate_always,       "B21: a late append cuts off entries that came after it")                           \
    X(truncated_unwritten,   "B21: what replaces truncated entries is not written to the log")                   \
    X(quorum_of_one,         "B9: one member less than a majority is enough")                                    \
    X(config_two_at_once,    "B29: a change of the members begins before the last one is committed")             \
    X(config_old_term,       "a new leader changes the members before it has committed anything of its own")     \
    X(config_when_committed, "a configuration counts only once it is committed")                                 \
    X(config_old_wish,       "a leader with an old view undoes what a newer one did")                            \
    X(bound_again,           "B29: a wiped machine takes its old place as if it remembered")                     \
    X(buried_early,          "a member deletes what it holds before its group has done without it")              \
    X(learner_counted,       "what a learner holds counts towards a majority of voters")                         \
    X(config_not_undone,     "a configuration stays in force when its entry is truncated")                       \
    X(hint_believed,         "the hint of a refusal is taken for an acknowledgement")                            \
    X(no_back_up,            "the leader never goes back behind a refused entry")                                \
    X(lost_not_resent,       "entries that were lost are never sent again")                                      \
    X(no_noop,               "a new leader appends no entry of its own")                                         \
    X(read_at_once,          "B1: a leader answers reads without asking anybody whether it still leads")         \
    X(read_old_round,        "B2: any answer of a follower confirms the newest round of reads")                  \
    X(read_before_noop,      "B4: a new leader reads before it knows what is committed")                         \
    X(read_unapplied,        "B3: a read is answered before its index is applied")                               \
    X(read_what_is_at_hand,  "a read that may not wait for a disk takes what it has for all there is")            \
    X(entry_passed_over,     "an entry whose rows are on a disk is taken for applied")                           \
    X(install_stale,         "B25: a snapshot replaces what is newer")                                           \
    X(install_under_queue,   "B27: what waits to be applied is applied on top of a newer snapshot")              \
    X(snapshot_rows_lost,    "B28: rows of a snapshot are lost on the way and nobody counts them")               \
    X(snapshot_no_sessions,  "B10: a snapshot leaves the sessions out")                                          \
    X(snapshot_in_next_term, "a chunk goes out in the term of who leads since it was read")                      \
    X(install_forgets,       "B26: an installed snapshot forgets who voted and in which term")                   \
    X(held_at_once,          "the node sends promises while the log is being written")                           \
    X(answer_uncommitted,    "B8: a write is answered when it is proposed")                                      \
    X(answer_any_term,       "who waits for an entry is told of another leader's entry at its place")            \
    X(flush_noted_after,     "B24: the log forgets entries that were applied after the flush began")             \
    X(applied_ahead,         "B3: the row `applied` is ahead of the data")                                       \
    X(wal_unsynced,          "B8: the log is written but not synced")                                            \
    X(wal_sync_failure,      "B19: a failed sync of the log is no failure")                                      \
    X(wal_torn_taken,        "B16: a torn batch is taken for whole")                                             \
    X(wal_middle_cut,        "B17: damage in the middle of the log is cut off like a torn end")                  \
    X(wal_segment_no_vote,   "B14: a new segment of the log does not begin with the vote")                       \
    X(log_read_truncated,    "what was truncated is read from the log's files, and sent")                        \
    X(replayed_from_log,     "a restarted member applies again what its table holds")                            \
    X(applied_aliases,       "applied state shares its bytes with the log's entry")                              \
    X(apply_reads_table,     "apply does not see what the unfinished batch holds")                               \
    X(saving_unread,         "what is being saved is not seen until it is")                                      \
    X(saved_early,           "the log forgets entries whose rows are still being saved")                         \
    X(dedup_off,             "B10: a request that was executed is executed again")                               \
    X(below_floor,           "B10: a copy of a request that comes when its answer was heard is executed")        \
    X(dedup_in_memory,       "B10: sessions are not written to the table")                                       \
    X(dedup_not_moved,       "B10: sessions do not travel with their shard")                                     \
    X(frozen_writes,         "B31: a frozen shard accepts writes")                                               \
    X(pull_unfrozen,         "a shard is copied while it is served and never frozen")                            \
    X(import_uncleared,      "B34: an import begins on what was there before")                                   \
    X(chunk_twice,           "a piece of a shard is taken at any place")                                         \
    X(chunk_lost,            "an import is prepared without its last rows")                                      \
    X(change_unrecorded,     "what changes while a shard is copied is not copied again")                         \
    X(deletion_unrecorded,   "B34: a row that is deleted while its shard is copied stays at the destination")    \
    X(last_difference_skipped, "what changed between the last round of a copy and the freeze is left out")       \
    X(thaw_stale,            "a shard is thawed at an old epoch")                                                \
    X(drop_stale,            "B35: a shard is dropped because an old view says so")                              \
    X(revision_not_moved,    "versions begin anew when a shard has moved")                                       \
    X(commit_unprepared,     "B30: a move is committed though its destination is not prepared")                  \
    X(abort_same_epoch,      "B30: an aborted move leaves the epoch as it is")                                   \
    X(active_unreported,     "B33: the next move begins before the last one's destination serves")               \
    X(stage_unchecked,       "a staged value is committed whatever pieces of it have come")                      \
    X(intent_unlogged,       "a rename to another shard is remembered by the leader only")                       \
    X(intent_unlocked,       "a file that is being renamed to another shard can be changed meanwhile")           \
    X(land_twice,            "a file that landed lands again when it is asked again")                            \
    X(source_first,          "a rename to another shard removes the source before the target is there")          \
    X(rejoin_anew,           "a group that left and still holds shards begins anew when it joins again")         \
    X(results_evicted,       "a session remembers its newest result only")                                       \
    X(admin_twice,           "an administrator's command is executed again when it is asked again")              \
    X(clock_restarts,        "a shard's time is the time of the group that holds it")                            \
    X(revision_reused,       "a shard that was given up begins at its first revision again")                     \
    X(retry_renumbered,      "B11: a retry goes out under a new sequence number")                                \
    X(refusal_is_final,      "B6: one refused copy means not done, whatever other copies are out")               \
    X(silence_is_not_done,   "B13: no answer in time means not done")

#ifdef RGKV_MUTANTS
enum mutant {
    MUTANT_none,
#define X(name, what) MUTANT_##name,
    RGKV_MUTANTS_ALL(X)
#undef X
    MUTANT_COUNT
};
extern enum mutant mutant_now;
#define MUTANT(name) (mutant_now == MUTANT_##name)
#else
#define MUTANT(name) 0
#endif

#endif
