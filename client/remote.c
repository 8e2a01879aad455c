/*
 * The server that a command of holdfast talks to.
 */
#include "config.h"

#include "client/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/access.h"
#include "client/client.h"
#include "client/h2.h"
#include "client/http.h"
#include "client/tls.h"
#include "client/trust.h"
#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"

#define CONNECT_TIMEOUT_MS (10 * 1000)
#define TARGET_MAX 4096
#define LOGIN_TARGET "/api2/json/access/ticket"
#define TYPE_FORM "application/x-www-form-urlencoded"

struct remote {
	struct repository repo;
	char server[REPOSITORY_SERVER_MAX];
	struct tls *tls;
	struct http *http;
	char *headers; /* of every request, with the credentials */
};

/* One request that succeeds; reply is the caller's. */
static int
exchange(struct remote *r, const char *method, const char *target,
    const char *content_type, const void *body, size_t len,
    struct http_reply *reply, struct err *e)
{
	struct http_request q = {
	    .method = method,
	    .target = target,
	    .host = r->server,
	    .headers = r->headers,
	    .content_type = content_type,
	    .body = body,
	    .body_len = len,
	};

	if (http_send(r->http, &q, reply, e) == -1)
		return -1;
	if (http_check_status(reply->status, reply->body, reply->body_len, e) ==
	    0)
		return 0;
	http_reply_fini(reply);
	return -1;
}

/* With parameters in the target, or in JSON. */
static int
request(struct remote *r, const char *method, const char *target,
    const struct json *body, struct json **out, struct err *e)
{
	char *text = body != NULL ? json_compact(body, NULL) : NULL;
	struct http_reply reply;
	int rv;

	rv = exchange(r, method, target,
	    text != NULL ? "application/json" : TYPE_FORM, text,
	    text != NULL ? strlen(text) : 0, &reply, e);
	if (text != NULL)
		mem_wipe_free(text, strlen(text));
	if (rv == -1)
		return -1;
	if (out != NULL) {
		*out = http_data(reply.body, reply.body_len, e);
		rv = *out != NULL ? 0 : -1;
	}
	http_reply_fini(&reply);
	return rv;
}

static int
take_ticket(const struct json *data, struct ticket *t, struct err *e)
{
	const char *ticket = json_get_str(data, "ticket", e);
	const char *csrf = json_get_str(data, "CSRFPreventionToken", e);

	if (ticket == NULL || csrf == NULL || strpbrk(ticket, "\r\n") != NULL ||
	    strpbrk(csrf, "\r\n") != NULL)
		return err_set(e, ERR_CORRUPT,
		    "the server's answer to the login is damaged");
	t->ticket = xstrdup(ticket);
	t->csrf = xstrdup(csrf);
	t->time = io_realtime_s();
	return 0;
}

/* The ticket for a password. */
static int
log_in(struct remote *r, const char *secret, struct ticket *t, struct err *e)
{
	char user[AUTH_ID_MAX + 1];
	struct json *body = json_new_object(), *data = NULL;
	int rv;

	auth_id_to_str(&r->repo.auth_id, user);
	json_set_str(body, "username", user);
	json_set_str(body, "password", secret);
	rv = request(r, "POST", LOGIN_TARGET, body, &data, e);
	json_free(&body);
	if (rv == -1)
		return err_wrap(e, "cannot log in as %s", user);
	rv = take_ticket(data, t, e);
	json_free(&data);
	return rv;
}

static int
identify_by_password(struct remote *r, struct err *e)
{
	char secret[SECRET_MAX];
	struct ticket t = {0};
	int rv = -1;

	if (access_secret(&r->repo.auth_id, r->server, secret, e) == 0)
		rv = log_in(r, secret, &t, e);
	mem_wipe(secret, sizeof(secret));
	if (rv == 0)
		r->headers = access_ticket_headers(&t);
	ticket_fini(&t);
	return rv;
}

static int
identify(struct remote *r, struct err *e)
{
	char secret[SECRET_MAX];
	struct ticket t;
	int rv;

	if (auth_id_is_token(&r->repo.auth_id)) {
		rv = access_secret(&r->repo.auth_id, r->server, secret, e);
		if (rv == 0)
			r->headers =
			    access_token_headers(&r->repo.auth_id, secret);
		mem_wipe(secret, sizeof(secret));
		return rv;
	}
	if (access_secret_given())
		return identify_by_password(r, e);
	rv = ticket_recall(&r->repo.auth_id, r->server, &t, e);
	if (rv == 0)
		return identify_by_password(r, e);
	if (rv == 1)
		r->headers = access_ticket_headers(&t);
	ticket_fini(&t);
	return rv == -1 ? -1 : 0;
}

static struct remote *
open_unidentified(const struct client_opts *o, struct err *e)
{
	struct remote *r;

	if (o->repository == NULL) {
		err_set(e, ERR_PARAM,
		    "no repository: use --repository or set PBS_REPOSITORY");
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	if (repository_parse(&r->repo, o->repository, e) == -1)
		goto fail;
	repository_server(&r->repo, r->server);
	r->tls = tls_connect(r->repo.host, r->repo.port, CONNECT_TIMEOUT_MS, e);
	if (r->tls == NULL)
		goto fail;
	r->http = http_new(r->tls);
	if (trust_check(r->tls, r->server, o->fingerprint, e) == -1)
		goto fail;
	return r;
fail:
	remote_close(r);
	return NULL;
}

struct remote *
remote_open(const struct client_opts *o, struct err *e)
{
	struct remote *r = open_unidentified(o, e);

	if (r != NULL && identify(r, e) == -1) {
		remote_close(r);
		r = NULL;
	}
	return r;
}

void
remote_close(struct remote *r)
{
	if (r == NULL)
		return;
	if (r->headers != NULL)
		mem_wipe_free(r->headers, strlen(r->headers));
	http_free(r->http);
	tls_free(r->tls);
	free(r);
}

const struct repository *
remote_repository(const struct remote *r)
{
	return &r->repo;
}

void
remote_target(const struct remote *r, struct sbuf *target, const char *what)
{
	sbuf_init(target, TARGET_MAX);
	sbuf_add_fmt(target, "/api2/json/admin/datastore/%s/%s", r->repo.store,
	    what);
}

int
remote_call(struct remote *r, const char *method, const char *target,
    struct json **out, struct err *e)
{
	return request(r, method, target, NULL, out, e);
}

int
remote_call_whole(struct remote *r, const char *method, const char *target,
    struct json **out, struct err *e)
{
	struct http_reply reply;

	if (exchange(r, method, target, TYPE_FORM, NULL, 0, &reply, e) == -1)
		return -1;
	*out = json_parse(reply.body, reply.body_len, JSON_DEPTH_DEFAULT, e);
	http_reply_fini(&reply);
	return *out != NULL ? 0 : -1;
}

int
remote_upload(struct remote *r, const char *target, const void *data,
    size_t len, struct err *e)
{
	struct http_reply reply;

	if (exchange(r, "POST", target, "application/octet-stream", data, len,
		&reply, e) == -1)
		return -1;
	http_reply_fini(&reply);
	return 0;
}

struct h2 *
remote_upgrade(struct remote *r, const char *target, const char *protocol,
    struct err *e)
{
	struct http_request q = {.method = "GET",
	    .target = target,
	    .host = r->server};
	struct http_reply reply;
	const uint8_t *rest;
	size_t len;
	int rv;

	q.headers = xasprintf("%sConnection: Upgrade\r\nUpgrade: %s\r\n",
	    r->headers, protocol);
	rv = http_send(r->http, &q, &reply, e);
	mem_wipe_free((char *)q.headers, strlen(q.headers));
	if (rv == -1)
		return NULL;
	if (reply.status != 101) {
		if (http_check_status(reply.status, reply.body, reply.body_len,
			e) == 0)
			err_set(e, ERR_CORRUPT,
			    "the server does not start a session");
		http_reply_fini(&reply);
		return NULL;
	}
	http_reply_fini(&reply);
	rest = http_rest(r->http, &len);
	return h2_new(r->tls, rest, len, e);
}

int
client_login(void *values, int nargs, char **args, struct err *e)
{
	struct remote *r = open_unidentified(values, e);
	char secret[SECRET_MAX];
	struct ticket t = {0};
	int rv = -1;

	(void)nargs;
	(void)args;
	if (r == NULL)
		return -1;
	if (auth_id_is_token(&r->repo.auth_id))
		err_set(e, ERR_PARAM, "an API token needs no login");
	else if (access_secret(&r->repo.auth_id, r->server, secret, e) == 0)
		rv = log_in(r, secret, &t, e);
	mem_wipe(secret, sizeof(secret));
	if (rv == 0)
		rv = ticket_keep(&r->repo.auth_id, r->server, &t, e);
	ticket_fini(&t);
	remote_close(r);
	return rv;
}

int
client_logout(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	char server[REPOSITORY_SERVER_MAX];
	struct repository repo;

	(void)nargs;
	(void)args;
	if (o->repository == NULL)
		return err_set(e, ERR_PARAM,
		    "no repository: use --repository or set PBS_REPOSITORY");
	if (repository_parse(&repo, o->repository, e) == -1)
		return -1;
	repository_server(&repo, server);
	return ticket_keep(&repo.auth_id, server, NULL, e);
}
