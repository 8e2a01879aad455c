/*
 * Login and accounts (wire-protocol 2), and the calls that need no store.
 * Runs in a worker; passwords pass through to auth, which alone can judge
 * them.
 */
#include "config.h"

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "server/aclient.h"
#include "server/api.h"
#include "server/api_int.h"
#include "server/auth/access.h"

/* The level of the protocol that is served, not of the program (2.5). */
#define API_VERSION "3.2"
#define API_RELEASE "4"
#define API_REPOID "686f6c64666173742d302e31"

void
api_ping(struct request *req)
{
	struct json *data = json_new_object();

	json_set_bool(data, "pong", 1);
	request_reply_json(req, data);
}

void
api_version(struct request *req)
{
	struct json *data = json_new_object();

	json_set_str(data, "version", API_VERSION);
	json_set_str(data, "release", API_RELEASE);
	json_set_str(data, "repoid", API_REPOID);
	request_reply_json(req, data);
}

/* --- calls to auth ------------------------------------------------------- */

static void
access_cancel(struct request *req)
{
	aclient_cancel(req->state);
}

/* Ends the waiting; 1 if it failed and was answered. */
static int
access_done(struct request *req, const struct aclient_reply *r,
    const struct err *e)
{
	req->state = NULL;
	req->cancel = NULL;
	if (r != NULL)
		return 0;
	request_reply_err(req, e);
	return 1;
}

static void
login_done(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct request *req = arg;
	struct api *api = req->app;
	struct json *data;

	if (r == NULL)
		req->delay_min_ms = aclient_fail_delay_ms(api->auth);
	if (access_done(req, r, e))
		return;
	data = json_new_object();
	json_set_str(data, "username", r->logged_in.auth_id);
	json_set_str(data, "ticket", r->logged_in.ticket);
	json_set_str(data, "CSRFPreventionToken", r->logged_in.csrf);
	request_reply_json(req, data);
}

void
api_login(struct request *req)
{
	struct api *api = req->app;
	const char *password = params_str(&req->params, "password", "");
	struct msg_LOGIN m = {0};

	api_copy(m.user, sizeof(m.user),
	    params_str(&req->params, "username", ""));
	api_copy(m.peer, sizeof(m.peer), api->peer);
	m.password = (const uint8_t *)password;
	m.password_len = (uint32_t)strlen(password);
	if (m.password_len > 1024) { /* 1024 characters may be more bytes */
		request_reply_text(req, 401, "permission check failed.");
		return;
	}
	req->cancel = access_cancel;
	req->state = aclient_login(api->auth, &m, login_done, req);
}

/* A ticket cannot be recalled; browsers forget their cookie themselves. */
void
api_logout(struct request *req)
{
	request_reply_json(req, NULL);
}

static void
access_call_done(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct request *req = arg;
	struct json *data = NULL;
	struct err bad = {0};
	void *map;
	int ok;

	if (access_done(req, r, e))
		return;
	map = api_map(r->fd, r->access_reply.size, &ok);
	if (map != NULL) {
		data = json_parse(map, r->access_reply.size, JSON_DEPTH_DEFAULT,
		    &bad);
		munmap(map, r->access_reply.size);
	} else
		err_set(&bad, ERR_PROTO, "cannot read the answer");
	if (data == NULL)
		request_reply_err(req, &bad);
	else
		request_reply_json(req, data);
}

static void
access_call(struct request *req, const struct msg_ACCESS_CALL *m)
{
	struct api *api = req->app;

	req->cancel = access_cancel;
	req->state = aclient_access_call(api->auth, m, access_call_done, req);
}

void
api_domains(struct request *req)
{
	struct msg_ACCESS_CALL m = {.op = ACCESS_DOMAINS};

	access_call(req, &m);
}

void
api_identity(struct request *req)
{
	struct msg_ACCESS_CALL m = {.op = ACCESS_INSTANCE};

	access_call(req, &m);
}

void
api_roles(struct request *req)
{
	struct msg_ACCESS_CALL m = {.op = ACCESS_ROLES};

	access_call(req, &m);
}

void
api_users(struct request *req)
{
	struct msg_ACCESS_CALL m = {.op = ACCESS_USERS};

	if (params_bool(&req->params, "include_tokens", 0))
		m.flags = ACCESS_F_TOKENS;
	access_call(req, &m);
}

void
api_permissions(struct request *req)
{
	struct msg_ACCESS_CALL m = {.op = ACCESS_PERMISSIONS};
	const char *path = params_str(&req->params, "path", "");

	if (strlen(path) >= sizeof(m.path)) { /* characters may be longer */
		request_reply_text(req, 400, "path is too long");
		return;
	}
	api_copy(m.auth_id, sizeof(m.auth_id),
	    params_str(&req->params, "auth-id", ""));
	api_copy(m.path, sizeof(m.path), path);
	access_call(req, &m);
}

void
api_password(struct request *req)
{
	struct msg_ACCESS_CALL m = {.op = ACCESS_PASSWORD};
	const char *password = params_str(&req->params, "password", "");

	api_copy(m.auth_id, sizeof(m.auth_id),
	    params_str(&req->params, "userid", ""));
	m.secret = (const uint8_t *)password;
	m.secret_len = (uint32_t)strlen(password);
	if (m.secret_len > 1024) {
		request_reply_text(req, 400, "password is too long");
		return;
	}
	access_call(req, &m);
}
