#ifndef COMMON_PROMPT_H
#define COMMON_PROMPT_H

#include <stddef.h>

struct err;

/*
 * Questions to the person at the terminal.  These block.
 */

/*
 * A secret: asked on the terminal without echo (twice if confirm), or, when
 * standard input is no terminal, its first line.  At most size - 1 bytes,
 * without the newline; the caller wipes buf.  ERR_PARAM if empty, too long or
 * not the same twice.
 */
int prompt_secret(const char *question, int confirm, char *buf, size_t size,
    struct err *e);

/* Whether there is a person to ask: standard input and error are a
 * terminal. */
int prompt_possible(void);
/* "question [y/N]: "; 1 for yes, 0 for everything else. */
int prompt_yes(const char *question);

#endif
