/* Which shard a key is in, for scripts that choose key names: key_shard NSHARDS KEY... prints `SHARD KEY` per line. */
#include <stdio.h>
#include <stdlib.h>

#include "kv/kv.h"

int main(int argc, char **argv)
{
    uint32_t nshards = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    if (!nshards) {
        fprintf(stderr, "usage: key_shard NSHARDS KEY...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        printf("%u %s\n", kv_key_shard(bytes_str(argv[i]), nshards), argv[i]);
    return 0;
}
