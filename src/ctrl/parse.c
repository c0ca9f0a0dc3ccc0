/* What people write into control files. Everything is bounded by the text itself and by `max`; every refusal has a sentence. */
#include "ctrl/text.h"

#include <arpa/inet.h>
#include <ctype.h>

#define SAY(why, ...) ((why) ? buf_printf((why), __VA_ARGS__) : (void)0)

enum parse {
    PARSE_OK,
    PARSE_NO_NUMBER,
    PARSE_TOO_LARGE,
};

/* ---- words ---- */

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == ','; }
static bool is_space(uint8_t c) { return is_blank(c) || c == '\n'; }

/* The next word, or an empty view at the end of the text. */
static struct bytes word_next(struct bytes *rest, bool (*separates)(uint8_t))
{
    while (rest->len && separates(rest->data[0]))
        *rest = bytes_from(*rest, 1);
    size_t len = 0;
    while (len < rest->len && !separates(rest->data[len]))
        len++;
    struct bytes word = bytes_first(*rest, len);
    *rest = bytes_from(*rest, len);
    return word;
}

static struct bytes line_next(struct bytes *rest)
{
    const uint8_t *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct bytes line = bytes_first(*rest, len);
    *rest = bytes_from(*rest, end ? len + 1 : len);
    return line;
}

static bool is_text(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] >= 127 || (text.data[i] < ' ' && !is_space(text.data[i])))
            return false;
    return true;
}

static enum rgkv_err text_check(struct bytes text, struct buf *why)
{
    if (is_text(text))
        return RGKV_OK;
    SAY(why, "only plain text is taken here");
    return RGKV_INVALID;
}

static enum parse number_parse(struct bytes word, uint64_t *ret_v)
{
    uint64_t v = 0;
    bool large = false;
    if (word.len == 0)
        return PARSE_NO_NUMBER;
    for (size_t i = 0; i < word.len; i++) {
        if (!isdigit(word.data[i]))
            return PARSE_NO_NUMBER;
        large |= __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, word.data[i] - '0', &v);
    }
    if (large)
        return PARSE_TOO_LARGE;
    *ret_v = v;
    return PARSE_OK;
}

/* A number up to max, or a sentence that cites at most the beginning of the word. */
static enum rgkv_err number_take(struct bytes word, const char *what, uint64_t max, uint64_t *ret_v, struct buf *why)
{
    uint64_t v = 0;
    enum parse parsed = number_parse(word, &v);
    int cited = (int)MIN(word.len, 32u);
    if (word.len == 0)
        SAY(why, "the %s is missing", what);
    else if (parsed == PARSE_NO_NUMBER)
        SAY(why, "'%.*s' is no %s: it is a number", cited, (const char *)word.data, what);
    else if (parsed == PARSE_TOO_LARGE || v > max)
        SAY(why, "the %s %.*s is too large", what, cited, (const char *)word.data);
    if (parsed == PARSE_NO_NUMBER)
        return RGKV_INVALID;
    if (parsed == PARSE_TOO_LARGE || v > max)
        return RGKV_RANGE;
    *ret_v = v;
    return RGKV_OK;
}

static enum rgkv_err end_take(struct bytes rest, struct buf *why)
{
    struct bytes word = word_next(&rest, is_space);
    if (word.len == 0)
        return RGKV_OK;
    SAY(why, "'%.*s' is one word too many", (int)MIN(word.len, 32u), (const char *)word.data);
    return RGKV_INVALID;
}

/* ---- addresses ---- */

static bool port_valid(struct bytes port)
{
    uint64_t v = 0;
    return port.len <= 5 && port.len > 0 && port.data[0] != '0' && number_parse(port, &v) == PARSE_OK && v <= 65535;
}

static bool label_valid(struct bytes label)
{
    if (label.len == 0 || label.len > 63 || label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!isalnum(label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
            return false;
    return true;
}

static bool name_valid(struct bytes name)
{
    for (size_t from = 0, i = 0; i <= name.len; i++)
        if (i == name.len || name.data[i] == '.') {
            if (!label_valid(bytes_of(name.data + from, i - from)))
                return false;
            from = i + 1;
        }
    return true;
}

static bool looks_numeric(struct bytes host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!isdigit(host.data[i]) && host.data[i] != '.')
            return false;
    return true;
}

/* Addresses are compared as texts, so each has one: of IPv6 the one that the system prints. */
static bool ipv6_valid(const char *text)
{
    struct in6_addr parsed;
    char one[INET6_ADDRSTRLEN];
    return inet_pton(AF_INET6, text, &parsed) == 1 && inet_ntop(AF_INET6, &parsed, one, sizeof(one)) && strcmp(text, one) == 0;
}

static bool host_valid(struct bytes host)
{
    char text[ADDR_BYTES_MAX] = "";
    struct in_addr parsed;
    if (host.len == 0)
        return false;
    if (host.data[0] == '[') {
        if (host.len < 4 || host.data[host.len - 1] != ']')
            return false;
        memcpy(text, host.data + 1, host.len - 2);
        return ipv6_valid(text);
    }
    memcpy(text, host.data, host.len);
    return looks_numeric(host) ? inet_pton(AF_INET, text, &parsed) == 1 : name_valid(host);
}

bool ctrl_addr_valid(struct bytes addr)
{
    if (addr.len == 0 || addr.len >= ADDR_BYTES_MAX || memchr(addr.data, 0, addr.len))
        return false;
    const uint8_t *colon = memrchr(addr.data, ':', addr.len);
    if (!colon)
        return false;
    size_t host_len = (size_t)(colon - addr.data);
    return host_valid(bytes_first(addr, host_len)) && port_valid(bytes_from(addr, host_len + 1));
}

static enum rgkv_err addr_take(struct bytes word, char to[ADDR_BYTES_MAX], struct buf *why)
{
    if (!ctrl_addr_valid(word)) {
        SAY(why, "'%.*s' is not an address: write host:port%s", (int)MIN(word.len, 64u), (const char *)word.data,
            word.data[0] == '[' ? ", IPv6 in its shortest form" : "");
        return RGKV_INVALID;
    }
    memset(to, 0, ADDR_BYTES_MAX);
    memcpy(to, word.data, word.len);
    return RGKV_OK;
}

enum rgkv_err ctrl_parse_addrs(struct bytes text, char addrs[][ADDR_BYTES_MAX], unsigned max, unsigned *ret_n, struct buf *why)
{
    unsigned n = 0;
    enum rgkv_err err = text_check(text, why);
    struct bytes word;
    while (!err && (word = word_next(&text, is_space)).len) {
        if (n == max) {
            SAY(why, "more than %u addresses", max);
            return RGKV_INVALID;
        }
        err = addr_take(word, addrs[n++], why);
    }
    if (!err && n == 0) {
        SAY(why, "there is no address");
        err = RGKV_INVALID;
    }
    if (!err)
        *ret_n = n;
    return err;
}

/* ---- commands ---- */

/* "group" in front is what the config's text has. */
static struct bytes gid_word(struct bytes *line)
{
    struct bytes word = word_next(line, is_blank);
    return bytes_eq(word, bytes_str("group")) ? word_next(line, is_blank) : word;
}

static enum rgkv_err join_line(struct bytes line, struct ctrl_join_group *ret_group, struct buf *why)
{
    struct ctrl_join_group g = {0};
    enum rgkv_err err = number_take(gid_word(&line), "group id", UINT64_MAX, &g.gid, why);
    struct bytes word;
    while (!err && (word = word_next(&line, is_blank)).len) {
        if (g.n == MEMBERS_MAX) {
            SAY(why, "group %lu has more than %u members", g.gid, MEMBERS_MAX);
            return RGKV_INVALID;
        }
        err = addr_take(word, g.addrs[g.n++], why);
    }
    if (!err && g.n == 0) {
        SAY(why, "group %lu has no addresses", g.gid);
        err = RGKV_INVALID;
    }
    if (!err)
        *ret_group = g;
    return err;
}

static bool line_empty(struct bytes line) { return word_next(&line, is_blank).len == 0; }

static enum rgkv_err parse_found_some(enum rgkv_err err, unsigned n, unsigned *ret_n, struct buf *why)
{
    if (!err && n == 0) {
        SAY(why, "there is no group in it");
        err = RGKV_INVALID;
    }
    if (!err)
        *ret_n = n;
    return err;
}

enum rgkv_err ctrl_parse_join(struct bytes text, struct ctrl_join_group *groups, unsigned max, unsigned *ret_n, struct buf *why)
{
    unsigned n = 0;
    enum rgkv_err err = text_check(text, why);
    while (!err && text.len) {
        struct bytes line = line_next(&text);
        if (line_empty(line))
            continue;
        if (n == max) {
            SAY(why, "more than %u groups in one command", max);
            return RGKV_INVALID;
        }
        err = join_line(line, &groups[n++], why);
    }
    return parse_found_some(err, n, ret_n, why);
}

enum rgkv_err ctrl_parse_leave(struct bytes text, uint64_t *gids, unsigned max, unsigned *ret_n, struct buf *why)
{
    unsigned n = 0;
    enum rgkv_err err = text_check(text, why);
    struct bytes word;
    while (!err && (word = word_next(&text, is_space)).len) {
        if (n == max) {
            SAY(why, "more than %u groups in one command", max);
            return RGKV_INVALID;
        }
        err = number_take(word, "group id", UINT64_MAX, &gids[n++], why);
    }
    return parse_found_some(err, n, ret_n, why);
}

enum rgkv_err ctrl_parse_abandon(struct bytes text, uint64_t *ret_gid, struct buf *why)
{
    uint64_t gids[2];
    unsigned n = 0;
    enum rgkv_err err = ctrl_parse_leave(text, gids, ARRAY_LEN(gids), &n, why);
    if (err)
        return err;
    if (n != 2 || gids[0] != gids[1]) {
        SAY(why, "what such a group held is lost: write its id twice if its machines can never come back");
        return RGKV_INVALID;
    }
    *ret_gid = gids[0];
    return RGKV_OK;
}

/* "shard" in front is what the config's text has. */
static struct bytes shard_word(struct bytes *text)
{
    struct bytes word = word_next(text, is_space);
    return bytes_eq(word, bytes_str("shard")) ? word_next(text, is_space) : word;
}

enum rgkv_err ctrl_parse_move(struct bytes text, uint32_t *ret_shard, uint64_t *ret_gid, struct buf *why)
{
    uint64_t shard = 0, gid = 0;
    enum rgkv_err err = text_check(text, why);
    if (!err)
        err = number_take(shard_word(&text), "shard", UINT32_MAX, &shard, why);
    if (!err)
        err = number_take(word_next(&text, is_space), "group id", UINT64_MAX, &gid, why);
    if (!err)
        err = end_take(text, why);
    if (err)
        return err;
    *ret_shard = (uint32_t)shard;
    *ret_gid = gid;
    return RGKV_OK;
}

static enum rgkv_err number_last(struct bytes text, const char *what, uint64_t *ret_v, struct buf *why)
{
    enum rgkv_err err = number_take(word_next(&text, is_space), what, UINT64_MAX, ret_v, why);
    return err ? err : end_take(text, why);
}

static enum rgkv_err addr_last(struct bytes text, char to[ADDR_BYTES_MAX], struct buf *why)
{
    enum rgkv_err err = addr_take(word_next(&text, is_space), to, why);
    return err ? err : end_take(text, why);
}

enum rgkv_err ctrl_parse_member(struct bytes text, struct ctrl_command *ret_c, struct buf *why)
{
    struct ctrl_command c = {.op = CTRL_ADD_MEMBER};
    enum rgkv_err err = text_check(text, why);
    struct bytes word = err ? BYTES_EMPTY : word_next(&text, is_space);
    bool replace = bytes_eq(word, bytes_str("replace"));
    if (err)
        return err;
    bool keep = bytes_eq(word, bytes_str("keep"));
    if (keep || bytes_eq(word, bytes_str("remove"))) {
        c.op = keep ? CTRL_KEEP_MEMBER : CTRL_REMOVE_MEMBER;
        err = number_last(text, "member id", &c.member, why);
    } else if (replace || bytes_eq(word, bytes_str("add"))) {
        err = replace ? number_take(word_next(&text, is_space), "member id", UINT64_MAX, &c.member, why) : RGKV_OK;
        if (!err && replace && c.member == 0) {
            SAY(why, "there is no member 0");
            err = RGKV_INVALID;
        }
        err = err ? err : addr_last(text, c.addr, why);
    } else {
        SAY(why, "write `add HOST:PORT`, `remove ID`, `keep ID` or `replace ID HOST:PORT`");
        err = RGKV_INVALID;
    }
    if (!err)
        *ret_c = c;
    return err;
}

enum rgkv_err ctrl_parse_leader(struct bytes text, uint64_t *ret_member, struct buf *why)
{
    enum rgkv_err err = text_check(text, why);
    uint64_t member = 0;
    char addr[ADDR_BYTES_MAX];
    struct bytes word = err ? BYTES_EMPTY : word_next(&text, is_space);
    if (bytes_eq(word, bytes_str("transfer")))
        word = word_next(&text, is_space);
    if (!err)
        err = number_take(word, "member id", UINT64_MAX, &member, why);
    word = err ? BYTES_EMPTY : word_next(&text, is_space);
    if (word.len) /* what is read there has the address */
        err = addr_take(word, addr, why);
    if (!err)
        err = end_take(text, why);
    if (!err)
        *ret_member = member;
    return err;
}

enum rgkv_err ctrl_parse_query(struct bytes text, int64_t *ret_num, struct buf *why)
{
    uint64_t num = 0;
    enum rgkv_err err = text_check(text, why);
    struct bytes word = err ? BYTES_EMPTY : word_next(&text, is_space);
    bool newest = bytes_eq(word, bytes_str("-1"));
    if (!err && !newest)
        err = number_take(word, "config number", INT64_MAX, &num, why);
    if (!err)
        err = end_take(text, why);
    if (!err)
        *ret_num = newest ? -1 : (int64_t)num;
    return err;
}
