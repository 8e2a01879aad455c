/*
 * Repository names, as typed by the user of holdfast.
 */
#include "config.h"

#include "client/repository.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/str.h"

#define USER_DEFAULT "root@pam"
#define HOST_DEFAULT "localhost"

/* The last '@' in front of the host: user names may contain one. */
static char *
cut_user(char *text)
{
	char *at = strrchr(text, '@');

	if (at == NULL)
		return NULL;
	*at = '\0';
	return at + 1;
}

static int
set_host(struct repository *out, const char *host, struct err *e)
{
	size_t len = strlen(host);

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len == 0 || len > REPOSITORY_HOST_MAX)
		return err_set(e, ERR_PARAM, "not the name of a host");
	snprintf(out->host, sizeof(out->host), "%.*s", (int)len, host);
	if (strpbrk(out->host, "/[]@ ") != NULL)
		return err_set(e, ERR_PARAM, "not the name of a host");
	return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static int
parse_server(struct repository *out, char *text, struct err *e)
{
	char *end = text[0] == '[' ? strchr(text, ']') : text;
	char *colon = end != NULL ? strchr(end, ':') : NULL;
	uint64_t port;

	if (end == NULL)
		return err_set(e, ERR_PARAM, "']' is missing");
	if (colon != NULL) {
		*colon = '\0';
		if (str_to_u64(colon + 1, 1, 65535, &port) == -1)
			return err_set(e, ERR_PARAM, "not a port number");
		out->port = (uint16_t)port;
	}
	return set_host(out, text, e);
}

static int
parse(struct repository *out, char *text, struct err *e)
{
	char *colon = strrchr(text, ':'), *server = text;
	const char *store = colon != NULL ? colon + 1 : text;

	if (!datastore_name_valid(store))
		return err_set(e, ERR_PARAM, "no valid datastore name in it");
	snprintf(out->store, sizeof(out->store), "%s", store);
	if (colon == NULL)
		return 0;
	*colon = '\0';
	server = cut_user(text);
	if (server == NULL)
		return parse_server(out, text, e);
	if (auth_id_parse(&out->auth_id, text, e) == -1)
		return -1;
	return parse_server(out, server, e);
}

int
repository_parse(struct repository *out, const char *text, struct err *e)
{
	char *copy = xstrdup(text);
	int rv;

	memset(out, 0, sizeof(*out));
	out->port = REPOSITORY_PORT;
	snprintf(out->host, sizeof(out->host), "%s", HOST_DEFAULT);
	rv = auth_id_parse(&out->auth_id, USER_DEFAULT, e);
	if (rv == 0)
		rv = parse(out, copy, e);
	free(copy);
	if (rv == -1)
		err_wrap(e,
		    "repository '%s' is not [[USER@REALM[!TOKEN]@]HOST[:PORT]:]"
		    "DATASTORE",
		    STR_VIS(text));
	return rv;
}

char *
repository_server(const struct repository *r, char dst[REPOSITORY_SERVER_MAX])
{
	int v6 = strchr(r->host, ':') != NULL;

	snprintf(dst, REPOSITORY_SERVER_MAX, "%s%s%s:%u", v6 ? "[" : "",
	    r->host, v6 ? "]" : "", (unsigned int)r->port);
	return dst;
}
