/*
 * OpenSSL's error queue as a struct err.  Runs in every process that links
 * libcrypto for TLS; the texts are OpenSSL's own, never a peer's.
 */
#include "config.h"

#include "server/err_ssl.h"

#include <stdarg.h>
#include <stdio.h>

#include <openssl/err.h>

#include "common/err.h"

int
err_ssl(struct err *e, const char *fmt, ...)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return err_set(e, ERR_CRYPTO, "%s: %s", text,
	    reason != NULL ? reason : "unknown TLS error");
}
