/* Random legal messages, commands and manifests of every kind, and their equality, member by member: for round trips
 * here and as seeds of the fuzzers. What is made lives in the given arena; messages are msg_release'd. */
#ifndef RGKV_TESTS_WIRE_RANDOM_H
#define RGKV_TESTS_WIRE_RANDOM_H

#include "base/prng.h"
#include "wire/msg.h"

void random_msg(struct prng *p, enum msg_kind kind, struct arena *a, struct msg *ret_m);
void random_kv_command(struct prng *p, struct arena *a, struct kv_command *ret_c);
void random_ctrl_command(struct prng *p, struct arena *a, struct ctrl_command *ret_c);
void random_manifest(struct prng *p, struct manifest *ret_m);
uint64_t random_number(struct prng *p);                                 /* often one of the edges */
struct bytes random_bytes(struct prng *p, struct arena *a, size_t max); /* mostly short */

bool msg_eq(const struct msg *a, const struct msg *b);
bool kv_command_eq(const struct kv_command *a, const struct kv_command *b);
bool ctrl_command_eq(const struct ctrl_command *a, const struct ctrl_command *b);
bool manifest_eq(const struct manifest *a, const struct manifest *b);

#endif
