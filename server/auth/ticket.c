/*
 * Tickets and CSRF tokens.  Runs in auth; what it checks comes from clients
 * through a worker, so every byte is doubted and the signature is looked at
 * before the meaning.
 *
 *   ticket  PBS:<user id>:<8 upper-case hex digits, time>::<signature>
 *   CSRF    <8 upper-case hex digits, time>:<signature>
 */
#include "config.h"

#include "server/auth/ticket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/auth/secrets.h"

#define TICKET_PREFIX "PBS:"
#define TIME_LEN 8

/* Base64 of the HMAC over len bytes; belongs to the caller. */
static char *
signature_make(const uint8_t key[SECRET_LEN], const char *text, size_t len)
{
	uint8_t mac[SECRET_LEN];

	secrets_mac(key, text, (unsigned int)len, mac);
	return str_base64_encode(mac, sizeof(mac), STR_B64_NOPAD);
}

static int
signature_fits(const uint8_t key[SECRET_LEN], const char *text, size_t len,
    const char *sig, size_t sig_len)
{
	char *want = signature_make(key, text, len);
	int fits = strlen(want) == sig_len && str_equal_ct(want, sig, sig_len);

	mem_wipe_free(want, strlen(want));
	return fits;
}

/* The id as it stands in a ticket: one field without ":", and without "!",
 * by which some clients tell a second-factor challenge. */
static void
userid_encode(char *dst, size_t dst_size, const char *userid)
{
	const unsigned char *p;
	size_t used = 0;

	dst[0] = '\0';
	for (p = (const unsigned char *)userid;
	     *p != '\0' && used + 4 <= dst_size; p++) {
		int plain = *p > ' ' && *p < 0x7f && strchr(":!%", *p) == NULL;

		used += (size_t)snprintf(dst + used, dst_size - used,
		    plain ? "%c" : "%%%02X", *p);
	}
}

static int
time_check(const char *hex, int64_t now, const char *what, struct err *e)
{
	int64_t made = 0;
	size_t i;

	for (i = 0; i < TIME_LEN; i++) {
		const char *digits = "0123456789ABCDEF";
		const char *d = hex[i] == '\0' ? NULL : strchr(digits, hex[i]);

		if (d == NULL)
			return err_set(e, ERR_AUTH, "malformed %s", what);
		made = made * 16 + (d - digits);
	}
	if (made > now + TICKET_FUTURE_S)
		return err_set(e, ERR_AUTH, "%s from the future", what);
	if (now - made >= TICKET_LIFETIME_S)
		return err_set(e, ERR_AUTH, "expired %s", what);
	return 0;
}

int
ticket_make(const struct secrets *s, const char *userid, int64_t now,
    char out[TICKET_MAX + 1], struct err *e)
{
	char id[3 * IPC_AUTHID_MAX + 1];
	char *sig;
	size_t len;

	userid_encode(id, sizeof(id), userid);
	len = (size_t)snprintf(out, TICKET_MAX + 1, TICKET_PREFIX "%s:%08X", id,
	    (unsigned int)now);
	sig = signature_make(s->ticket, out, len);
	snprintf(out + len, TICKET_MAX + 1 - len, "::%s", sig);
	mem_wipe_free(sig, strlen(sig));
	if (userid[0] == '\0')
		return err_set(e, ERR_INTERNAL, "ticket without a user");
	return 0;
}

int
ticket_check(const struct secrets *s, const void *ticket, size_t len,
    int64_t now, char userid_out[IPC_AUTHID_MAX + 1], struct err *e)
{
	char text[TICKET_MAX + 1];
	const char *id, *id_end, *time, *sig;
	struct auth_id parsed;
	struct err why;

	userid_out[0] = '\0';
	if (len > TICKET_MAX || memchr(ticket, '\0', len) != NULL)
		return err_set(e, ERR_AUTH, "malformed ticket");
	memcpy(text, ticket, len);
	text[len] = '\0';
	id = text + strlen(TICKET_PREFIX);
	if (strncmp(text, TICKET_PREFIX, strlen(TICKET_PREFIX)) != 0 ||
	    (id_end = strchr(id, ':')) == NULL ||
	    strlen(id_end) < 1 + TIME_LEN + 2)
		return err_set(e, ERR_AUTH, "malformed ticket");
	time = id_end + 1;
	sig = time + TIME_LEN + 2;
	if (memcmp(time + TIME_LEN, "::", 2) != 0)
		return err_set(e, ERR_AUTH, "malformed ticket");
	if (!signature_fits(s->ticket, text, (size_t)(time + TIME_LEN - text),
		sig, strlen(sig)))
		return err_set(e, ERR_AUTH, "ticket is forged or altered");
	if (time_check(time, now, "ticket", e) == -1)
		return -1;
	if (str_percent_decode(userid_out, IPC_AUTHID_MAX + 1, id,
		(size_t)(id_end - id), 0) == -1 ||
	    user_id_parse(&parsed, userid_out, &why) == -1) {
		userid_out[0] = '\0';
		return err_set(e, ERR_AUTH, "ticket without a user");
	}
	return 0;
}

/* What a CSRF token signs. */
static size_t
csrf_text(char *dst, size_t dst_size, const char *time, const char *userid)
{
	return (
	    size_t)snprintf(dst, dst_size, "%.*s:%s", TIME_LEN, time, userid);
}

int
csrf_make(const struct secrets *s, const char *userid, int64_t now,
    char out[CSRF_MAX + 1], struct err *e)
{
	char text[TIME_LEN + IPC_AUTHID_MAX + 2];
	char *sig;
	size_t len;

	if (strlen(userid) > IPC_AUTHID_MAX)
		return err_set(e, ERR_INTERNAL, "user id is too long");
	snprintf(out, CSRF_MAX + 1, "%08X", (unsigned int)now);
	len = csrf_text(text, sizeof(text), out, userid);
	sig = signature_make(s->csrf, text, len);
	snprintf(out + TIME_LEN, CSRF_MAX + 1 - TIME_LEN, ":%s", sig);
	mem_wipe_free(sig, strlen(sig));
	return 0;
}

int
csrf_check(const struct secrets *s, const char *userid, const void *csrf,
    size_t len, int64_t now, struct err *e)
{
	char text[TIME_LEN + IPC_AUTHID_MAX + 2];
	const char *in = csrf;
	size_t text_len;

	if (len == 0)
		return err_set(e, ERR_AUTH, "missing CSRF token");
	if (len <= TIME_LEN + 1 || in[TIME_LEN] != ':' ||
	    strlen(userid) > IPC_AUTHID_MAX)
		return err_set(e, ERR_AUTH, "malformed CSRF token");
	text_len = csrf_text(text, sizeof(text), in, userid);
	if (!signature_fits(s->csrf, text, text_len, in + TIME_LEN + 1,
		len - TIME_LEN - 1))
		return err_set(e, ERR_AUTH, "CSRF token does not fit");
	return time_check(in, now, "CSRF token", e);
}
