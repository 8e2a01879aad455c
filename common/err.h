#ifndef COMMON_ERR_H
#define COMMON_ERR_H

/*
 * The one error carrier.  It lives on the caller's stack; functions that can
 * fail take it last, return 0 or -1, and fill it on -1.  Nothing here
 * allocates, blocks or logs.
 */

#define ERR_MSG_MAX 512

enum err_code {
#define ERR_DEF(name, status, retry, text) ERR_##name,
#include "common/err_codes.def"
#undef ERR_DEF
	ERR_CODE_COUNT
};

struct err {
	enum err_code code;
	int sys; /* errno behind it, 0 if none */
	char msg[ERR_MSG_MAX];
};

/* All of these return -1, so that "return err_set(e, ...)" works; e may be
 * NULL. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Code from errno: ENOENT NOT_FOUND, EEXIST EXISTS, ENOSPC/EDQUOT NOSPACE,
 * EIO/EROFS/ESTALE IO, ENOMEM NOMEM, else SYS.  The text gets ": " and
 * strerror. */
int err_errno(struct err *e, int sys, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "context: " in front of the text. */
int err_wrap(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);

int err_http_status(enum err_code code);
int err_retryable(enum err_code code);
const char *err_name(enum err_code code); /* "NOT_FOUND" */
/* From a number that came over a socket; ERR_INTERNAL if out of range. */
enum err_code err_code_from_wire(unsigned int n);

#endif
