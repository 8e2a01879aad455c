/*
 * The upgrades to a backup or reader session (wire-protocol 4.1, 5.1): grant,
 * session with the validator, and only then 101.  Runs in a worker.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/snapshot.h"
#include "common/grant.h"
#include "common/mem.h"
#include "server/aclient.h"
#include "server/api.h"
#include "server/api_int.h"
#include "server/http1.h"
#include "server/session.h"

#define BACKUP_PROTOCOL "proxmox-backup-protocol-v1"
#define READER_PROTOCOL "proxmox-backup-reader-protocol-v1"

struct api_upgrading {
	const char *protocol;
	struct msg_SESSION_OPEN msg;
	struct aclient_req *grant_req;
	struct session_opening *opening;
};

static void
upgrade_free(struct request *req)
{
	free(req->state);
	req->state = NULL;
	req->cancel = NULL;
}

static void
upgrade_cancel(struct request *req)
{
	struct api_upgrading *up = req->state;

	aclient_cancel(up->grant_req);
	if (up->opening != NULL)
		session_open_cancel(up->opening);
	upgrade_free(req);
}

static void
upgrade_opened(void *arg, struct session *s, const struct err *e)
{
	struct request *req = arg;
	struct api *api = req->app;
	struct api_upgrading *up = req->state;
	const char *protocol = up->protocol;
	struct tls_conn *conn;
	uint8_t *rest;
	size_t rest_len;

	up->opening = NULL;
	upgrade_free(req);
	if (s == NULL) {
		request_reply_err(req, e);
		return;
	}
	conn = http1_upgrade(req, protocol, &rest, &rest_len);
	api->upgraded(api, s, conn, rest, rest_len);
	free(rest);
}

static void
upgrade_granted(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct request *req = arg;
	struct api *api = req->app;
	struct api_upgrading *up = req->state;

	up->grant_req = NULL;
	if (r == NULL) {
		upgrade_free(req);
		request_reply_err(req, e);
		return;
	}
	up->msg.grant = r->grant.grant;
	up->msg.grant_len = r->grant.grant_len;
	up->opening = session_open(api->base, api->validator, &up->msg,
	    upgrade_opened, req);
}

void
api_fill_open(struct msg_SESSION_OPEN *m, const struct request *req)
{
	const struct params *p = &req->params;
	const struct api *api = req->app;
	enum backup_type type = BACKUP_VM;

	backup_type_parse(params_str(p, "backup-type", ""), &type, NULL);
	m->type = (uint8_t)type;
	m->time = params_int(p, "backup-time", 0);
	api_copy(m->store, sizeof(m->store), params_str(p, "store", ""));
	api_copy(m->ns, sizeof(m->ns), params_str(p, "ns", ""));
	api_copy(m->id, sizeof(m->id), params_str(p, "backup-id", ""));
	api_copy(m->peer, sizeof(m->peer), api->peer);
	if (params_bool(p, "debug", 0))
		m->flags |= SESSION_FLAG_DEBUG;
	if (params_bool(p, "benchmark", 0))
		m->flags |= SESSION_FLAG_BENCHMARK;
}

static void
upgrade(struct request *req, enum session_kind kind, enum grant_purpose purpose,
    const char *protocol)
{
	const char *wanted = req->headers[HEADER_UPGRADE];
	struct msg_GRANT_GET m = {.purpose = (uint8_t)purpose};
	struct api *api = req->app;
	struct api_upgrading *up;

	up = xcalloc(1, sizeof(*up));
	up->protocol = protocol;
	up->msg.kind = (uint8_t)kind;
	api_fill_open(&up->msg, req);
	if (wanted == NULL)
		up->msg.flags |= SESSION_FLAG_NO_UPGRADE;
	else if (strcmp(wanted, protocol) != 0)
		up->msg.flags |= SESSION_FLAG_OTHER_UPGRADE;
	api_copy(m.store, sizeof(m.store), up->msg.store);
	api_copy(m.ns, sizeof(m.ns), up->msg.ns);
	req->state = up;
	req->cancel = upgrade_cancel;
	up->grant_req = aclient_grant_get(api->auth, &m, upgrade_granted, req);
}

void
api_backup(struct request *req)
{
	upgrade(req, SESSION_KIND_BACKUP, GRANT_PURPOSE_BACKUP,
	    BACKUP_PROTOCOL);
}

void
api_reader(struct request *req)
{
	upgrade(req, SESSION_KIND_READER, GRANT_PURPOSE_READER,
	    READER_PROTOCOL);
}
