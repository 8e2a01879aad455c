/*
 * Errors as values.  Linked into every process; knows nothing of processes,
 * logging or HTTP beyond the status column of err_codes.def.
 */
#include "config.h"

#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int status;
	int retryable;
	const char *text;
} err_table[] = {
#define ERR_DEF(name, status, retry, text) {#name, status, retry, text},
#include "common/err_codes.def"
#undef ERR_DEF
};

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	e->code = code;
	e->sys = 0;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_code
code_of_errno(int sys)
{
	switch (sys) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY:
		return ERR_EXISTS;
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPACE;
	case EIO:
	case EROFS:
	case ESTALE:
	case ENODEV:
		return ERR_IO;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_SYS;
	}
}

int
err_errno(struct err *e, int sys, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (e == NULL)
		return -1;
	e->code = code_of_errno(sys);
	e->sys = sys;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", strerror(sys));
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char old[ERR_MSG_MAX];
	va_list ap;
	size_t len;

	if (e == NULL)
		return -1;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", old);
	return -1;
}

void
err_clear(struct err *e)
{
	if (e != NULL)
		*e = (struct err){.code = ERR_OK};
}

int
err_http_status(enum err_code code)
{
	return code < ERR_CODE_COUNT ? err_table[code].status : 500;
}

int
err_retryable(enum err_code code)
{
	return code < ERR_CODE_COUNT ? err_table[code].retryable : 0;
}

const char *
err_name(enum err_code code)
{
	return code < ERR_CODE_COUNT ? err_table[code].name : "INTERNAL";
}

enum err_code
err_code_from_wire(unsigned int n)
{
	return n < ERR_CODE_COUNT ? (enum err_code)n : ERR_INTERNAL;
}
