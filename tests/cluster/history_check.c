/* Is what clients recorded linearizable? The files together are one history.
 *
 *     history-check FILE...
 *
 * Says how much it was. Exit status 1, with a sentence: it is not, it cannot be decided, or it is empty (nothing was shown). */
#include "tests/cluster/history_file.h"

static bool load(const char *path, struct history *h, struct buf *why)
{
    FILE *f = fopen(path, "r");
    bool fine = f && history_file_load(f, h, why);
    if (!f)
        buf_printf(why, "it cannot be opened");
    else
        fclose(f);
    return fine;
}

static void print_counts(const struct history *h)
{
    unsigned kinds[3] = {0}, unknown = 0, not_done = 0;
    for (unsigned i = 0; i < h->n; i++) {
        kinds[h->ops[i].kind]++;
        unknown += h->ops[i].outcome == HISTORY_UNKNOWN;
        not_done += h->ops[i].outcome == HISTORY_NOT_DONE;
    }
    printf("puts=%u appends=%u gets=%u unknown=%u not_done=%u", kinds[HISTORY_PUT], kinds[HISTORY_APPEND], kinds[HISTORY_GET],
           unknown, not_done);
}

int main(int argc, char **argv)
{
    struct history h = {0};
    struct buf why = {0};
    bool fine = true;
    for (int i = 1; i < argc && fine; i++) {
        fine = load(argv[i], &h, &why);
        if (!fine)
            printf("%s: ", argv[i]);
    }
    if (fine && h.n == 0) {
        buf_printf(&why, "no operations");
        fine = false;
    }
    fine = fine && history_check(&h, &why);
    if (!fine)
        printf("%.*s\n", (int)why.len, (const char *)why.data);
    print_counts(&h);
    printf(fine ? " linearizable\n" : "\n");
    buf_release(&why);
    history_release(&h);
    return !fine;
}
