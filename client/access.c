/*
 * Passwords, token secrets and tickets of holdfast's user.  All of them are
 * wiped after use; kept tickets lie in the user's runtime folder, readable by
 * nobody else.
 */
#include "config.h"

#include "client/access.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/places.h"
#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/prompt.h"
#include "common/str.h"

#define ENV_PASSWORD "PBS_PASSWORD"
#define ENV_PASSWORD_FILE "PBS_PASSWORD_FILE"
#define TICKET_FILE "tickets"
#define TICKET_FILE_MAX (256u << 10)
#define TICKET_MODE 0600

static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

int
access_secret_given(void)
{
	return env(ENV_PASSWORD) != NULL || env(ENV_PASSWORD_FILE) != NULL;
}

static int
set_secret(char secret[SECRET_MAX], const char *text, size_t len,
    const char *from, struct err *e)
{
	if (len == 0 || len >= SECRET_MAX || memchr(text, '\0', len) != NULL)
		return err_set(e, ERR_PARAM, "%s holds no valid password",
		    from);
	memcpy(secret, text, len);
	secret[len] = '\0';
	return 0;
}

/* The first line of the file. */
static int
read_secret(const char *path, char secret[SECRET_MAX], struct err *e)
{
	char *text;
	size_t len;
	int rv;

	if (io_read_file(AT_FDCWD, path, 65536, &text, &len, e) == -1)
		return err_wrap(e, ENV_PASSWORD_FILE);
	rv = set_secret(secret, text, strcspn(text, "\n"), path, e);
	mem_wipe_free(text, len);
	return rv;
}

int
access_secret(const struct auth_id *who, const char *server,
    char secret[SECRET_MAX], struct err *e)
{
	char name[AUTH_ID_MAX + 1], *question;
	int rv;

	if (env(ENV_PASSWORD) != NULL)
		return set_secret(secret, env(ENV_PASSWORD),
		    strlen(env(ENV_PASSWORD)), ENV_PASSWORD, e);
	if (env(ENV_PASSWORD_FILE) != NULL)
		return read_secret(env(ENV_PASSWORD_FILE), secret, e);
	if (!prompt_possible())
		return err_set(e, ERR_AUTH,
		    "no password: set " ENV_PASSWORD " or " ENV_PASSWORD_FILE
		    ", or use 'holdfast login' first");
	auth_id_to_str(who, name);
	question = xasprintf("%s for %s at %s",
	    auth_id_is_token(who) ? "Secret" : "Password", name, server);
	rv = prompt_secret(question, 0, secret, SECRET_MAX, e);
	free(question);
	return rv;
}

char *
access_ticket_headers(const struct ticket *t)
{
	char *encoded = str_percent_encode(t->ticket), *headers;

	headers = xasprintf("Cookie: PBSAuthCookie=%s\r\n"
			    "CSRFPreventionToken: %s\r\n",
	    encoded, t->csrf);
	mem_wipe_free(encoded, strlen(encoded));
	return headers;
}

char *
access_token_headers(const struct auth_id *who, const char *secret)
{
	char name[AUTH_ID_MAX + 1], *encoded = str_percent_encode(secret);
	char *headers;

	auth_id_to_str(who, name);
	headers =
	    xasprintf("Authorization: PBSAPIToken=%s:%s\r\n", name, encoded);
	mem_wipe_free(encoded, strlen(encoded));
	return headers;
}

void
ticket_fini(struct ticket *t)
{
	if (t->ticket != NULL)
		mem_wipe_free(t->ticket, strlen(t->ticket));
	if (t->csrf != NULL)
		mem_wipe_free(t->csrf, strlen(t->csrf));
	memset(t, 0, sizeof(*t));
}

/* All kept tickets: {"user@realm at host:port": {ticket, csrf, time}}; what
 * cannot be read counts as none. */
static struct json *
read_tickets(const char *path)
{
	struct json *all = NULL;
	char *text;
	size_t len;

	if (io_read_file(AT_FDCWD, path, TICKET_FILE_MAX, &text, &len, NULL) ==
	    0) {
		all = json_parse(text, len, JSON_DEPTH_DEFAULT, NULL);
		mem_wipe_free(text, len);
	}
	if (all != NULL && json_type(all) != JSON_OBJECT)
		json_free(&all);
	return all != NULL ? all : json_new_object();
}

static char *
ticket_name(const struct auth_id *who, const char *server)
{
	char name[AUTH_ID_MAX + 1];

	auth_id_to_str(who, name);
	return xasprintf("%s at %s", name, server);
}

static int
is_header_safe(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
			return 0;
	return 1;
}

static int
take_ticket(const struct json *entry, struct ticket *out)
{
	int64_t now = io_realtime_s(), time;
	const char *ticket, *csrf;

	if (entry == NULL || json_type(entry) != JSON_OBJECT)
		return 0;
	ticket = json_get_str(entry, "ticket", NULL);
	csrf = json_get_str(entry, "csrf", NULL);
	if (ticket == NULL || csrf == NULL || !is_header_safe(ticket) ||
	    !is_header_safe(csrf) ||
	    json_get_i64(entry, "time", now - TICKET_LIFETIME_S, now + 60,
		&time, NULL) == -1)
		return 0;
	out->ticket = xstrdup(ticket);
	out->csrf = xstrdup(csrf);
	out->time = time;
	return 1;
}

int
ticket_recall(const struct auth_id *who, const char *server, struct ticket *out,
    struct err *e)
{
	char *path = places_runtime(TICKET_FILE, e), *name;
	struct json *all;
	int found;

	memset(out, 0, sizeof(*out));
	if (path == NULL)
		return e->code == ERR_OK ? 0 : -1;
	all = read_tickets(path);
	name = ticket_name(who, server);
	found = take_ticket(json_get(all, name), out);
	json_free(&all);
	free(name);
	free(path);
	return found;
}

int
ticket_keep(const struct auth_id *who, const char *server,
    const struct ticket *t, struct err *e)
{
	char *path = places_runtime(TICKET_FILE, e), *name, *text;
	struct json *all, *entry;
	size_t len;
	int rv;

	if (path == NULL)
		return e->code != ERR_OK
		    ? -1
		    : err_set(e, ERR_NOT_FOUND,
			  "there is no place to keep a ticket: "
			  "XDG_RUNTIME_DIR is not set");
	all = read_tickets(path);
	name = ticket_name(who, server);
	if (t == NULL) {
		json_del(all, name);
	} else {
		entry = json_new_object();
		json_set_str(entry, "ticket", t->ticket);
		json_set_str(entry, "csrf", t->csrf);
		json_set_i64(entry, "time", t->time);
		json_set(all, name, entry);
	}
	text = json_pretty(all, &len);
	rv = io_write_file_atomic(AT_FDCWD, path, text, len, TICKET_MODE, 0, e);
	mem_wipe_free(text, len);
	json_free(&all);
	free(name);
	free(path);
	return rv;
}
