#include "net/line_limit.h"

#include <stdarg.h>
#include <stdio.h>

#define QUIET_US 1000000u

static void say(struct line_limit *l, const char *text)
{
    char line[400];
    if (l->suppressed)
        snprintf(line, sizeof(line), "%s (and %llu more like it)", text, (unsigned long long)l->suppressed);
    else
        snprintf(line, sizeof(line), "%s", text);
    l->line(l->arg, line);
}

void line_limit_printf(struct line_limit *l, uint64_t now_us, const char *format, ...)
{
    if (!l->line)
        return;
    if (now_us < l->quiet_until_us) {
        l->suppressed++;
        return;
    }
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    say(l, text);
    l->suppressed = 0;
    l->quiet_until_us = now_us + QUIET_US;
}
