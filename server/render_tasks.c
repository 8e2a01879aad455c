/*
 * Lists, states and logs of tasks as JSON (wire-protocol 7).  Runs in a
 * worker.  The validator lists what the caller may see; the filters are
 * applied here, since they are nobody's right but convenience.
 */
#include "config.h"

#include "server/render.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/format/upid.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/records.h"
#include "common/sbuf.h"
#include "common/wire.h"
#include "server/params.h"
#include "server/render_int.h"

struct task {
	struct rec_TASK rec;
	struct upid upid;
};

static struct json *
task_worker_id(const struct task *t)
{
	return t->upid.worker_id[0] != '\0' ? json_new_str(t->upid.worker_id)
					    : json_new_null();
}

static struct json *
task_object(const struct task *t)
{
	struct json *o = json_new_object();

	json_set_str(o, "upid", t->rec.upid);
	json_set_str(o, "node", "localhost");
	json_set_u64(o, "pid", t->upid.pid);
	json_set_u64(o, "pstart", t->upid.pstart);
	json_set_u64(o, "starttime", t->upid.start);
	json_set_str(o, "worker_type", t->upid.type);
	json_set(o, "worker_id", task_worker_id(t));
	json_set_str(o, "user", t->upid.auth_id);
	if (t->rec.endtime != 0) {
		json_set_i64(o, "endtime", t->rec.endtime);
		json_set_str(o, "status", t->rec.status);
	}
	return o;
}

/* --- filters ------------------------------------------------------------- */

static const char *
task_status_class(const struct task *t)
{
	if (t->rec.endtime == 0)
		return "running";
	if (strcmp(t->rec.status, "OK") == 0)
		return "ok";
	if (strncmp(t->rec.status, "WARNINGS", 8) == 0)
		return "warning";
	return strcmp(t->rec.status, "unknown") == 0 ? "unknown" : "error";
}

static int
task_has_status(const struct task *t, const struct params *f)
{
	size_t i, n = params_count(f, "statusfilter");

	for (i = 0; i < n; i++) {
		if (strcmp(params_str_at(f, "statusfilter", i),
			task_status_class(t)) == 0)
			return 1;
	}
	return n == 0;
}

static int
task_passes(const struct task *t, const struct params *f)
{
	const char *class = task_status_class(t);
	const char *store = params_str(f, "store", NULL);
	int64_t start = t->upid.start;

	if (params_bool(f, "running", 0) && t->rec.endtime != 0)
		return 0;
	if (params_bool(f, "errors", 0) &&
	    (strcmp(class, "ok") == 0 || strcmp(class, "running") == 0))
		return 0;
	return (store == NULL || upid_is_on_store(&t->upid, store)) &&
	    strstr(t->upid.auth_id, params_str(f, "userfilter", "")) != NULL &&
	    strstr(t->upid.type, params_str(f, "typefilter", "")) != NULL &&
	    start >= params_int(f, "since", INT64_MIN) &&
	    start <= params_int(f, "until", INT64_MAX) && task_has_status(t, f);
}

/* --- the list ------------------------------------------------------------ */

struct task_list {
	const struct params *filter;
	struct task *v;
	size_t n;
	size_t cap;
};

static int
add_task(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct task_list *l = arg;
	struct task *t;

	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->v = xreallocarray(l->v, l->cap, sizeof(*l->v));
	}
	t = &l->v[l->n];
	if (kind != RECORD_TASK || rec_get_TASK(body, &t->rec) == -1)
		return -1;
	/* One that no client could parse would spoil its whole list. */
	if (upid_parse(&t->upid, t->rec.upid, NULL) == 0 &&
	    (l->filter == NULL || task_passes(t, l->filter)))
		l->n++;
	return 0;
}

static int
task_newer(const void *a, const void *b)
{
	const struct task *ta = a, *tb = b;

	if (ta->upid.start != tb->upid.start)
		return ta->upid.start < tb->upid.start ? 1 : -1;
	return strcmp(tb->rec.upid, ta->rec.upid);
}

struct json *
render_tasks(const uint8_t *recs, size_t len, const struct params *filter,
    uint64_t *total_out, struct err *e)
{
	struct task_list l = {.filter = filter};
	uint64_t start = (uint64_t)params_int(filter, "start", 0);
	uint64_t limit = (uint64_t)params_int(filter, "limit", 50);
	struct json *list = json_new_array();
	uint64_t i;

	if (render_each(recs, len, add_task, &l) == -1) {
		list = render_damaged(list, e);
	} else {
		if (l.n > 1)
			qsort(l.v, l.n, sizeof(*l.v), task_newer);
		for (i = start; i < l.n && (limit == 0 || i - start < limit);
		     i++)
			json_append(list, task_object(&l.v[i]));
		*total_out = l.n;
	}
	free(l.v);
	return list;
}

struct json *
render_task_status(const uint8_t *recs, size_t len, struct err *e)
{
	struct task_list l = {.filter = NULL};
	struct json *o = json_new_object();
	struct auth_id id;
	char user[AUTH_ID_MAX + 1];
	const struct task *t;

	if (render_each(recs, len, add_task, &l) == -1 || l.n != 1) {
		free(l.v);
		return render_damaged(o, e);
	}
	t = &l.v[0];
	json_set_str(o, "upid", t->rec.upid);
	json_set_str(o, "node", t->upid.node);
	json_set_u64(o, "pid", t->upid.pid);
	json_set_u64(o, "pstart", t->upid.pstart);
	json_set_u64(o, "starttime", t->upid.start);
	json_set_str(o, "type", t->upid.type);
	json_set(o, "id", task_worker_id(t));
	json_set_str(o, "user", t->upid.auth_id);
	if (auth_id_parse(&id, t->upid.auth_id, NULL) == 0) {
		auth_id_user_to_str(&id, user);
		json_set_str(o, "user", user);
		if (auth_id_is_token(&id))
			json_set_str(o, "tokenid", id.token);
	}
	json_set_str(o, "status", t->rec.endtime == 0 ? "running" : "stopped");
	if (t->rec.endtime != 0) {
		json_set_str(o, "exitstatus", t->rec.status);
		json_set_i64(o, "endtime", t->rec.endtime);
	}
	free(l.v);
	return o;
}

/* --- the log ------------------------------------------------------------- */

static int
add_line(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct rec_LINE line;
	struct json *o;
	char *text;

	if (kind != RECORD_LINE || rec_get_LINE(body, &line) == -1)
		return -1;
	text = xmalloc(line.text_len + 1);
	memcpy(text, line.text, line.text_len);
	text[line.text_len] = '\0';
	o = json_new_object();
	json_set_u64(o, "n", line.n);
	json_set_str(o, "t", text);
	json_append(arg, o);
	free(text);
	return 0;
}

struct json *
render_lines(const uint8_t *recs, size_t len, struct err *e)
{
	struct json *list = json_new_array();

	return render_each(recs, len, add_line, list) == 0
	    ? list
	    : render_damaged(list, e);
}

static int
add_text(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct rec_LINE line;

	if (kind != RECORD_LINE || rec_get_LINE(body, &line) == -1)
		return -1;
	sbuf_add(arg, line.text, line.text_len);
	sbuf_add_char(arg, '\n');
	return 0;
}

struct json *
render_log_text(const uint8_t *recs, size_t len, struct err *e)
{
	struct json *text;
	struct sbuf b;

	/* The numbers in the records are longer than the newlines here. */
	sbuf_init(&b, len + 1);
	if (render_each(recs, len, add_text, &b) == -1) {
		sbuf_fini(&b);
		return render_damaged(NULL, e);
	}
	text = json_new_str(sbuf_str(&b));
	sbuf_fini(&b);
	return text;
}
