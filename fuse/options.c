#include "fuse/options.h"

#include <stdio.h>
#include <stdlib.h>

#include "ctrl/text.h"
#include "kv/kv.h"

const char options_usage[] =
    "usage: rgkvfs [CONTROLLER,CONTROLLER,...] MOUNTPOINT [-o options] [-f] [-d]\n"
    "       rgkvfs --version | --help\n"
    "\n"
    "Mounts a replicated key/value store. CONTROLLER is HOST:PORT. Without controllers, or with\n"
    "none in their place, an embedded single node is started and ends with the mount.\n"
    "\n"
    "  -f   stay in the foreground        -d   show every request (implies -f)\n"
    "  -o timeout=S      give up after S seconds (30)     -o hard           wait for ever\n"
    "  -o ro             read only                        -o allow_other    other users too\n"
    "  -o commit=write   send every write at once         -o commit=auto    (default)\n"
    "  -o fsname=NAME    the source shown by df           -o data=DIR       embedded node's data\n"
    "  -o prefix=DIR     mount only this directory        -o cache=S        what was read may be S seconds old\n"
    "  -o nonempty       mount over a directory that is not empty\n";

/* Known to mount(8), fstab and systemd but of no meaning here. dev and suid are refused by libfuse. */
static const char *const ignored[] = {
    "rw", "exec", "dev", "suid", "atime", "diratime", "relatime", "norelatime", "strictatime", "async", "auto", "noauto",
    "user", "users", "nouser", "owner", "group", "nofail", "_netdev", "defaults", "nolazytime",
};
static const char *const embedded[] = {"none", "rgkvfs"}; /* sources, for mount(8) and fstab want one */
static const char *const for_kernel[] = {"nosuid", "nodev", "noexec", "noatime", "nodiratime", "sync", "dirsync"};

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(word, list[i]))
            return true;
    return false;
}

static bool starts(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

MUST_USE static enum rgkv_err copy_text(char out[OPTION_BYTES_MAX], const char *text, const char *what, struct buf *why)
{
    if (!*text || strlen(text) >= OPTION_BYTES_MAX) {
        buf_printf(why, "%s is empty or too long", what);
        return RGKV_INVALID;
    }
    memcpy(out, text, strlen(text) + 1);
    return RGKV_OK;
}

static void add_kernel(struct options *o, const char *word)
{
    size_t used = strlen(o->kernel);
    snprintf(o->kernel + used, sizeof o->kernel - used, ",%s", word);
}

MUST_USE static enum rgkv_err parse_timeout(struct options *o, const char *text, struct buf *why)
{
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || seconds < 1 || seconds > TIMEOUT_S_MAX) {
        buf_printf(why, "timeout=%s: a number of seconds from 1 to %u is wanted", text, TIMEOUT_S_MAX);
        return RGKV_INVALID;
    }
    o->timeout_us = seconds * 1000000u;
    return RGKV_OK;
}

MUST_USE static enum rgkv_err parse_cache(struct options *o, const char *text, struct buf *why)
{
    char *end;
    double seconds = strtod(text, &end);
    if (*text < '0' || *text > '9' || *end || !(seconds <= TIMEOUT_S_MAX)) {
        buf_printf(why, "cache=%s: a number of seconds from 0 to %u is wanted", text, TIMEOUT_S_MAX);
        return RGKV_INVALID;
    }
    o->cache_s = seconds;
    return RGKV_OK;
}

MUST_USE static enum rgkv_err parse_commit(struct options *o, const char *text, struct buf *why)
{
    o->commit_write = !strcmp(text, "write");
    if (o->commit_write || !strcmp(text, "auto"))
        return RGKV_OK;
    buf_printf(why, "commit=%s: write or auto is wanted", text);
    return RGKV_INVALID;
}

/* "/a/b/" as well as "a/b". */
MUST_USE static enum rgkv_err parse_prefix(struct options *o, const char *text, struct buf *why)
{
    text += strspn(text, "/");
    size_t len = strlen(text);
    while (len && text[len - 1] == '/')
        len--;
    if (len && kv_key_check(bytes_of(text, len))) {
        buf_printf(why, "prefix=%s: that cannot be a directory of the cluster", text);
        return RGKV_INVALID;
    }
    memcpy(o->prefix, text, len);
    o->prefix[len] = 0;
    return RGKV_OK;
}

/* Options that take a value. *ret_known tells whether the word was one. */
MUST_USE static enum rgkv_err parse_valued(struct options *o, const char *word, bool *ret_known, struct buf *why)
{
    *ret_known = true;
    if (starts(word, "timeout="))
        return parse_timeout(o, word + 8, why);
    if (starts(word, "cache="))
        return parse_cache(o, word + 6, why);
    if (starts(word, "commit="))
        return parse_commit(o, word + 7, why);
    if (starts(word, "prefix="))
        return parse_prefix(o, word + 7, why);
    if (starts(word, "fsname="))
        return copy_text(o->fsname, word + 7, "fsname", why);
    if (starts(word, "data="))
        return copy_text(o->data_dir, word + 5, "data", why);
    *ret_known = starts(word, "x-") || starts(word, "comment=") || starts(word, "subtype=");
    return RGKV_OK;
}

MUST_USE static enum rgkv_err parse_option(struct options *o, const char *word, struct buf *why)
{
    bool known;
    enum rgkv_err err = parse_valued(o, word, &known, why);
    if (err || known)
        return err;
    if (!strcmp(word, "hard"))
        o->timeout_us = 0;
    else if (!strcmp(word, "ro"))
        o->read_only = true;
    else if (!strcmp(word, "allow_other"))
        o->allow_other = true;
    else if (!strcmp(word, "nonempty"))
        o->nonempty = true;
    else if (is_one_of(word, for_kernel, ARRAY_LEN(for_kernel)))
        add_kernel(o, word);
    else if (*word && !is_one_of(word, ignored, ARRAY_LEN(ignored))) {
        buf_printf(why, "unknown option: %s", word);
        return RGKV_INVALID;
    }
    return RGKV_OK;
}

MUST_USE static enum rgkv_err parse_options(struct options *o, const char *list, struct buf *why)
{
    if (strlen(list) >= OPTION_BYTES_MAX) {
        buf_printf(why, "the options are too long");
        return RGKV_INVALID;
    }
    char words[OPTION_BYTES_MAX];
    memcpy(words, list, strlen(list) + 1);
    char *save = NULL;
    enum rgkv_err err = RGKV_OK;
    for (char *w = strtok_r(words, ",", &save); w && !err; w = strtok_r(NULL, ",", &save))
        err = parse_option(o, w, why);
    return err;
}

struct words {
    const char *position[2];
    unsigned n;
};

static bool is_helper(const char *program)
{
    const char *slash = strrchr(program, '/');
    return starts(slash ? slash + 1 : program, "mount.");
}

MUST_USE static enum rgkv_err parse_flag(struct options *o, const char *word, struct buf *why)
{
    if (!strcmp(word, "-f"))
        o->foreground = true;
    else if (!strcmp(word, "-d"))
        o->debug = o->foreground = true;
    else if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        o->help = true;
    else if (!strcmp(word, "--version") || !strcmp(word, "-V"))
        o->version = true;
    else if (strcmp(word, "-s") && strcmp(word, "-n") && strcmp(word, "-v") && strcmp(word, "-w")) {
        buf_printf(why, "unknown option: %s", word);
        return RGKV_INVALID;
    }
    return RGKV_OK;
}

MUST_USE static enum rgkv_err parse_position(struct words *w, const char *word, struct buf *why)
{
    if (w->n == ARRAY_LEN(w->position)) {
        buf_printf(why, "one word too many: %s", word);
        return RGKV_INVALID;
    }
    w->position[w->n++] = word;
    return RGKV_OK;
}

/* The word after -o, or the rest of the same word. */
static const char *option_list(int argc, char *const *argv, int *i)
{
    if (argv[*i][2])
        return argv[*i] + 2;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

MUST_USE static enum rgkv_err parse_word(int argc, char *const *argv, int *i, struct options *o, struct words *w, struct buf *why)
{
    const char *word = argv[*i];
    if (starts(word, "-o")) {
        const char *list = option_list(argc, argv, i);
        if (list)
            return parse_options(o, list, why);
        buf_printf(why, "-o wants a list of options");
        return RGKV_INVALID;
    }
    if (is_helper(argv[0]) && !strcmp(word, "-f")) {
        o->fake = true;
        return RGKV_OK;
    }
    if (is_helper(argv[0]) && (!strcmp(word, "-t") || !strcmp(word, "-N"))) {
        *i += 1; /* its value says nothing that we do not know */
        return RGKV_OK;
    }
    return word[0] == '-' && word[1] ? parse_flag(o, word, why) : parse_position(w, word, why);
}

MUST_USE static enum rgkv_err use_source(struct options *o, const char *source, struct buf *why)
{
    bool is_embedded = is_one_of(source, embedded, ARRAY_LEN(embedded));
    if (!is_embedded && !strchr(source, ':')) { /* a forgotten port must not end in another store */
        buf_printf(why, "'%s' names no controllers: HOST:PORT,HOST:PORT,... is wanted, or none for an embedded node", source);
        return RGKV_INVALID;
    }
    enum rgkv_err err = o->fsname[0] ? RGKV_OK : copy_text(o->fsname, source, "the source", why);
    if (err || is_embedded)
        return err;
    return ctrl_parse_addrs(bytes_str(source), o->controllers, MEMBERS_MAX, &o->n_controllers, why);
}

MUST_USE static enum rgkv_err use_positions(struct options *o, const struct words *w, struct buf *why)
{
    if (!w->n) {
        buf_printf(why, "no mount point is given");
        return RGKV_INVALID;
    }
    const char *source = w->n == 2 ? w->position[0] : embedded[1];
    enum rgkv_err err = use_source(o, source, why);
    return err ? err : copy_text(o->mountpoint, w->position[w->n - 1], "the mount point", why);
}

enum rgkv_err options_parse(int argc, char *const *argv, struct options *ret_o, struct buf *why)
{
    memset(ret_o, 0, sizeof *ret_o);
    ret_o->timeout_us = TIMEOUT_S_DEFAULT * 1000000u;
    struct words w = {.n = 0};
    enum rgkv_err err = RGKV_OK;
    for (int i = 1; i < argc && !err; i++)
        err = parse_word(argc, argv, &i, ret_o, &w, why);
    if (err || ret_o->help || ret_o->version)
        return err;
    return use_positions(ret_o, &w, why);
}

void options_print(const struct options *o, struct buf *out)
{
    buf_printf(out, "mountpoint %s\nsource %s\nprefix /%s\n", o->mountpoint, o->fsname, o->prefix);
    if (o->timeout_us)
        buf_printf(out, "timeout %llu\n", (unsigned long long)(o->timeout_us / 1000000u));
    else
        buf_printf(out, "timeout hard\n");
    buf_printf(out, "cache %g\n", o->cache_s);
    buf_printf(out, "commit %s\nro %d\nallow_other %d\n", o->commit_write ? "write" : "auto", o->read_only, o->allow_other);
    for (unsigned i = 0; i < o->n_controllers; i++)
        buf_printf(out, "controller %s\n", o->controllers[i]);
}
