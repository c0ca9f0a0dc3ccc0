/* Replays files, and all files of directories, through a fuzzer's entry point: `make check` keeps every input that once
 * taught something, with any compiler. Without arguments: its corpus below $top_srcdir. Fails if there is nothing. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX (8u << 20)

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    size_t size = data ? fread(data, 1, INPUT_BYTES_MAX, file) : 0;
    bool read = data && !ferror(file);
    fclose(file);
    if (read)
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    return read;
}

static bool replay_dir(const char *path, unsigned *n)
{
    DIR *dir = opendir(path);
    bool ok = dir;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        ok = replay_file(name);
        ++*n;
    }
    if (dir)
        closedir(dir);
    return ok;
}

static bool replay(const char *path, unsigned *n)
{
    struct stat s;
    if (stat(path, &s))
        return false;
    if (S_ISDIR(s.st_mode))
        return replay_dir(path, n);
    ++*n;
    return replay_file(path);
}

static bool replay_or_say(const char *path, unsigned *n)
{
    bool ok = replay(path, n);
    if (!ok)
        perror(path);
    return ok;
}

static bool replay_corpus(unsigned *n)
{
    char path[4096];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof(path), "%s/%s", top ? top : ".", FUZZ_CORPUS);
    return replay_or_say(path, n);
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    bool ok = argc > 1 || replay_corpus(&n);
    for (int i = 1; ok && i < argc; i++)
        ok = replay_or_say(argv[i], &n);
    printf("%u inputs replayed\n", n);
    return ok && n ? 0 : 1;
}
