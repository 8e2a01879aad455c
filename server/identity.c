/*
 * Cookies and headers that say who a request is.  Runs in a worker, on the
 * bytes of a client that nobody knows yet.
 */
#include "config.h"

#include "server/identity.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/str.h"

#define TOKEN_SCHEME "PBSAPIToken"

/* The value of a cookie: its start, and the length in *len_out; or NULL.
 * What is no pair, and attributes that do not belong here, are skipped. */
static const char *
identity_cookie(const char *cookies, const char *name, size_t *len_out)
{
	size_t name_len = strlen(name), len;
	const char *s = cookies;

	for (; *s != '\0'; s += len + (s[len] == ';')) {
		s += strspn(s, " \t");
		len = strcspn(s, ";");
		if (len <= name_len || memcmp(s, name, name_len) != 0 ||
		    s[name_len] != '=')
			continue;
		*len_out = len - name_len - 1;
		return s + name_len + 1;
	}
	return NULL;
}

static int
identity_ticket(struct identity *out, const struct request *req,
    const char *value, size_t len, struct err *e)
{
	const char *csrf = req->headers[HEADER_CSRF];

	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (str_percent_decode(out->secret, sizeof(out->secret), value, len,
		0) == -1)
		return err_set(e, ERR_AUTH,
		    "authentication failed - invalid ticket");
	out->verify.kind = CREDENTIAL_TICKET;
	out->verify.need_csrf = req->method != METHOD_GET;
	if (csrf == NULL)
		return 0;
	if (strlen(csrf) >= sizeof(out->csrf))
		return err_set(e, ERR_AUTH,
		    "authentication failed - invalid CSRF prevention token");
	strcpy(out->csrf, csrf);
	out->verify.csrf_len = (uint32_t)strlen(csrf);
	return 0;
}

/* "user@realm!name:secret", the secret percent-encoded. */
static int
identity_token(struct identity *out, const char *value, struct err *e)
{
	const char *colon = strchr(value, ':');
	size_t len = colon != NULL ? (size_t)(colon - value) : 0;

	if (colon == NULL || len >= sizeof(out->verify.auth_id) ||
	    str_percent_decode(out->secret, sizeof(out->secret), colon + 1,
		strlen(colon + 1), 0) == -1)
		return err_set(e, ERR_AUTH,
		    "authentication failed - invalid API token");
	memcpy(out->verify.auth_id, value, len);
	out->verify.auth_id[len] = '\0';
	out->verify.kind = CREDENTIAL_TOKEN;
	return 0;
}

int
identity_parse(struct identity *out, const struct request *req,
    const char *peer, struct err *e)
{
	const char *cookies = req->headers[HEADER_COOKIE];
	const char *token = req->headers[HEADER_AUTHORIZATION];
	const char *value = NULL;
	size_t len = 0, scheme_len = strlen(TOKEN_SCHEME);
	int rv;

	memset(out, 0, sizeof(*out));
	if (cookies != NULL) {
		value = identity_cookie(cookies, "__Host-PBSAuthCookie", &len);
		if (value == NULL)
			value = identity_cookie(cookies, "PBSAuthCookie", &len);
	}
	if (value != NULL)
		rv = identity_ticket(out, req, value, len, e);
	else if (token != NULL &&
	    strncmp(token, TOKEN_SCHEME, scheme_len) == 0 &&
	    (token[scheme_len] == '=' || token[scheme_len] == ' '))
		rv = identity_token(out, token + scheme_len + 1, e);
	else
		rv = err_set(e, ERR_AUTH,
		    "authentication failed - no authentication credentials "
		    "provided.");
	out->verify.secret = (const uint8_t *)out->secret;
	out->verify.secret_len = (uint32_t)strlen(out->secret);
	out->verify.csrf = (const uint8_t *)out->csrf;
	snprintf(out->verify.peer, sizeof(out->verify.peer), "%s", peer);
	return rv;
}

void
identity_fini(struct identity *id)
{
	mem_wipe(id, sizeof(*id));
}
