/* SPDX-License-Identifier: MIT */
/* The hypervisor's own command line: see boot/options.h. */
#include "boot/options.h"

#include "hv/base/string.h"

#define DEFAULT_POOL_MIB 8
#define MAX_POOL_MIB     2048
#define WORD_SIZE        64

struct choice {
    const char *name;
    uint32_t value;
};

static const struct choice roles[] = {
    {"root", ROLE_ROOT}, {"layered", ROLE_LAYERED}, {"guest", ROLE_GUEST}, {NULL, 0}};
static const struct choice levels[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};
static const struct choice consoles[] = {
    {"com1", CONSOLE_COM1}, {"com2", CONSOLE_COM2}, {"none", CONSOLE_NONE}, {NULL, 0}};

static bool choose(const struct choice *choices, const char *name, uint32_t *value)
{
    for (; choices->name != NULL; choices++) {
        if (strcmp(choices->name, name) != 0)
            continue;
        *value = choices->value;
        return true;
    }
    return false;
}

/* A decimal number of 1 to max. */
static bool number(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && n <= max; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    if (*at != 0 || n == 0 || n > max)
        return false;
    *value = n;
    return true;
}

/* The value of `word` when it begins with `key` (which ends in '='), or NULL. */
static const char *value_of(const char *word, const char *key)
{
    size_t length = strlen(key);
    return strncmp(word, key, length) == 0 ? word + length : NULL;
}

/* NULL, or why the word is not understood. */
static const char *take_word(const char *word, struct boot_options *options)
{
    const char *value;
    uint32_t chosen;
    uint64_t n;
    if ((value = value_of(word, "role=")) != NULL) {
        if (!choose(roles, value, &chosen))
            return "the role is one of root, layered, guest";
        options->role = (enum role)chosen;
    } else if ((value = value_of(word, "log=")) != NULL) {
        if (!choose(levels, value, &chosen))
            return "the level is one of error, warn, info, debug";
        options->log = (enum log_level)chosen;
    } else if ((value = value_of(word, "console=")) != NULL) {
        if (!choose(consoles, value, &chosen))
            return "the console is one of com1, com2, none";
        options->console = (enum console_port)chosen;
    } else if ((value = value_of(word, "cpus=")) != NULL) {
        if (!number(value, MAX_CPUS, &n))
            return "the number of processors is 1 to 64";
        options->cpus = (uint32_t)n;
    } else if ((value = value_of(word, "pool=")) != NULL) {
        if (!number(value, MAX_POOL_MIB, &n))
            return "the pool is 1 to 2048, in MiB";
        options->pool_mib = n;
    } else {
        return "unknown option";
    }
    return NULL;
}

/* QEMU and old GRUB put the image's file name first. */
static bool is_image_name(const char *word)
{
    bool has_slash = false;
    size_t length = strlen(word);
    for (const char *at = word; *at != 0; at++) {
        if (*at == '=')
            return false;
        has_slash = has_slash || *at == '/';
    }
    for (size_t i = 0; i + 4 <= length; i++)
        if (strncmp(word + i, ".elf", 4) == 0)
            return true;
    return has_slash;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void options_parse(const char *command_line, struct boot_options *options,
                   option_complaint complain)
{
    *options = (struct boot_options){.role = ROLE_ROOT,
                                     .cpus = MAX_CPUS,
                                     .pool_mib = DEFAULT_POOL_MIB,
                                     .log = LOG_INFO,
                                     .console = CONSOLE_COM1};
    const char *at = command_line;
    for (bool first = true;; first = false) {
        while (is_space(*at))
            at++;
        if (*at == 0)
            return;
        char word[WORD_SIZE] = {0};
        size_t length = 0;
        const char *start = at;
        for (; *at != 0 && !is_space(*at); at++)
            if (length < sizeof(word) - 1)
                word[length++] = *at;
        /* Of a long path only the beginning is here, of which the slash is enough. */
        if (first && is_image_name(word))
            continue;
        const char *why =
            (size_t)(at - start) > length ? "unknown option" : take_word(word, options);
        if (why != NULL && complain != NULL)
            complain(word, why);
    }
}
