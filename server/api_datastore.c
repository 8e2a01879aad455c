/*
 * Calls on datastores, namespaces and groups (wire-protocol 3.1 to 3.3).
 * Runs in a worker; parameters were checked by their schema, rights are the
 * validator's affair.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "server/api_int.h"
#include "server/render.h"

static void
call(struct request *req, enum call_op op, api_render_fn *render)
{
	struct api_call c;

	api_call_init(&c, req, op, render);
	api_call_start(req, &c);
}

/* Answers whose text is the result: a UPID, a name. */
static struct json *
text(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	(void)e;
	return json_new_str(a->text);
}

/* --- datastores ---------------------------------------------------------- */

static struct json *
stores(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_stores(a->recs, a->recs_len, e);
}

void
api_stores(struct request *req)
{
	call(req, CALL_STORE_LIST, stores);
}

static struct json *
status(struct request *req, const struct api_answer *a, struct err *e)
{
	struct json *data = params_bool(&req->params, "verbose", 0)
	    ? render_status(a->recs, a->recs_len, e)
	    : json_new_object();

	if (data == NULL)
		return NULL;
	json_set_u64(data, "total", a->n0);
	json_set_u64(data, "used", a->n1);
	json_set_u64(data, "avail", a->n2);
	return data;
}

void
api_status(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_STORE_STATUS, status);
	c.msg.flags = params_bool(&req->params, "verbose", 0) ? 1 : 0;
	api_call_start(req, &c);
}

static struct json *
gc_status(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_gc_status((const char *)a->recs, a->recs_len, e);
}

void
api_gc_status(struct request *req)
{
	call(req, CALL_GC_STATUS, gc_status);
}

void
api_gc_start(struct request *req)
{
	call(req, CALL_GC_START, text);
}

void
api_verify(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_VERIFY_START, text);
	c.msg.flags = params_bool(&req->params, "ignore-verified", 1) ? 1 : 0;
	c.msg.n0 = params_has(&req->params, "outdated-after")
	    ? (uint64_t)params_int(&req->params, "outdated-after", 0)
	    : UINT64_MAX;
	c.msg.n1 = params_has(&req->params, "max-depth")
	    ? (uint64_t)params_int(&req->params, "max-depth", 0)
	    : UINT64_MAX;
	api_call_start(req, &c);
}

/* --- prune --------------------------------------------------------------- */

static void
set_keep(struct msg_CALL *m, const struct params *p)
{
	m->n0 = (uint64_t)params_int(p, "keep-last", 0);
	m->n1 = (uint64_t)params_int(p, "keep-hourly", 0);
	m->n2 = (uint64_t)params_int(p, "keep-daily", 0);
	m->n3 = (uint64_t)params_int(p, "keep-weekly", 0);
	m->n4 = (uint64_t)params_int(p, "keep-monthly", 0);
	m->n5 = (uint64_t)params_int(p, "keep-yearly", 0);
	m->flags = params_bool(p, "dry-run", 0) ? 1 : 0;
	if (m->flags == 0 && params_bool(p, "use-task", 0))
		m->flags = 2;
}

void
api_prune_store(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_PRUNE_STORE, text);
	set_keep(&c.msg, &req->params);
	if (params_has(&req->params, "max-depth"))
		c.msg.time = 1 + params_int(&req->params, "max-depth", 0);
	api_call_start(req, &c);
}

static struct json *
pruned(struct request *req, const struct api_answer *a, struct err *e)
{
	return render_prune(a->recs, a->recs_len,
	    params_bool(&req->params, "dry-run", 0), e);
}

void
api_prune(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_PRUNE, pruned);
	set_keep(&c.msg, &req->params);
	if (c.msg.flags == 2)
		c.render = text;
	api_call_start(req, &c);
}

/* --- namespaces ---------------------------------------------------------- */

static struct json *
namespaces(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_namespaces(a->recs, a->recs_len, e);
}

void
api_ns_list(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_NS_LIST, namespaces);
	api_copy(c.msg.ns, sizeof(c.msg.ns),
	    params_str(&req->params, "parent", ""));
	c.msg.n0 = params_has(&req->params, "max-depth")
	    ? (uint64_t)params_int(&req->params, "max-depth", 0)
	    : UINT64_MAX;
	api_call_start(req, &c);
}

static struct json *
ns_created(struct request *req, const struct api_answer *a, struct err *e)
{
	const char *parent = params_str(&req->params, "parent", "");
	const char *name = params_str(&req->params, "name", "");
	char full[2 * IPC_NS_MAX];

	(void)a;
	(void)e;
	snprintf(full, sizeof(full), "%s%s%s", parent,
	    *parent != '\0' ? "/" : "", name);
	return json_new_str(full);
}

void
api_ns_create(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_NS_CREATE, ns_created);
	api_copy(c.msg.ns, sizeof(c.msg.ns),
	    params_str(&req->params, "parent", ""));
	api_copy(c.msg.name, sizeof(c.msg.name),
	    params_str(&req->params, "name", ""));
	api_call_start(req, &c);
}

void
api_ns_delete(struct request *req)
{
	struct api_call c;

	if (*params_str(&req->params, "ns", "") == '\0') {
		request_reply_text(req, 400,
		    "Cannot create/delete root namespace!");
		return;
	}
	api_call_init(&c, req, CALL_NS_DELETE, NULL);
	c.msg.flags = params_bool(&req->params, "delete-groups", 0) ? 1 : 0;
	if (!params_bool(&req->params, "error-on-protected", 1))
		c.msg.flags |= 2;
	api_call_start(req, &c);
}

/* --- groups -------------------------------------------------------------- */

static struct json *
groups(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_groups(a->recs, a->recs_len, e);
}

void
api_groups(struct request *req)
{
	call(req, CALL_GROUP_LIST, groups);
}

static struct json *
group_deleted(struct request *req, const struct api_answer *a, struct err *e)
{
	struct json *data = json_new_object();

	(void)req;
	(void)e;
	json_set_u64(data, "removed-groups", a->n1 == 0 ? 1 : 0);
	json_set_u64(data, "removed-snapshots", a->n0);
	json_set_u64(data, "protected-snapshots", a->n1);
	return data;
}

void
api_group_delete(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_GROUP_DELETE, group_deleted);
	c.msg.flags =
	    params_bool(&req->params, "error-on-protected", 1) ? 1 : 0;
	api_call_start(req, &c);
}

/* A long text: from the answer's memory file, or its text if short. */
static struct json *
long_text(struct request *req, const struct api_answer *a, struct err *e)
{
	struct json *data;
	char *copy;

	(void)req;
	(void)e;
	if (a->recs_len == 0)
		return json_new_str(a->text);
	copy = strndup((const char *)a->recs, a->recs_len);
	if (copy == NULL) {
		err_set(e, ERR_NOMEM, "notes are too long");
		return NULL;
	}
	data = json_new_str(copy);
	free(copy);
	return data;
}

void
api_group_notes_get(struct request *req)
{
	call(req, CALL_GROUP_NOTES_GET, long_text);
}

/* Notes travel in a memory file. */
static void
set_notes(struct request *req, enum call_op op)
{
	const char *notes = params_str(&req->params, "notes", "");
	struct api_call c;
	struct err e = {0};

	api_call_init(&c, req, op, NULL);
	c.data_fd = io_memfd_data("notes", notes, strlen(notes), &e);
	if (c.data_fd == -1)
		request_reply_err(req, &e);
	else
		api_call_start(req, &c);
}

void
api_group_notes_set(struct request *req)
{
	set_notes(req, CALL_GROUP_NOTES_SET);
}

void
api_notes_set(struct request *req)
{
	set_notes(req, CALL_SNAP_NOTES_SET);
}

void
api_change_owner(struct request *req)
{
	const char *owner = params_str(&req->params, "new-owner", "");
	struct api_call c;

	api_call_init(&c, req, CALL_GROUP_OWNER, NULL);
	api_copy(c.msg.auth_id, sizeof(c.msg.auth_id), owner);
	api_copy(c.subject, sizeof(c.subject), owner);
	api_call_start(req, &c);
}
