/*
 * Lists, states and logs of tasks as JSON (wire-protocol 7).  Runs in a
 * worker.  What is in the list, and in which order, is the validator's affair.
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

/* -1 if the record is damaged, 0 if no client could parse it: it would spoil
 * the whole list. */
static int
task_get(struct task *t, enum record_kind kind, struct wire_r *body)
{
	if (kind != RECORD_TASK || rec_get_TASK(body, &t->rec) == -1)
		return -1;
	return upid_parse(&t->upid, t->rec.upid, NULL) == 0;
}

static int
add_task(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct task t;
	int rv = task_get(&t, kind, body);

	if (rv == 1)
		json_append(arg, task_object(&t));
	return rv == -1 ? -1 : 0;
}

struct json *
render_tasks(const uint8_t *recs, size_t len, struct err *e)
{
	struct json *list = json_new_array();

	return render_each(recs, len, add_task, list) == 0
	    ? list
	    : render_damaged(list, e);
}

/* --- one task ------------------------------------------------------------ */

struct one_task {
	struct task task;
	size_t n;
};

static int
take_task(void *arg, enum record_kind kind, struct wire_r *body)
{
	struct one_task *one = arg;

	one->n++;
	return task_get(&one->task, kind, body) == 1 ? 0 : -1;
}

struct json *
render_task_status(const uint8_t *recs, size_t len, struct err *e)
{
	struct json *o = json_new_object();
	struct one_task one = {.n = 0};
	const struct task *t = &one.task;
	struct auth_id id;
	char user[AUTH_ID_MAX + 1];

	if (render_each(recs, len, take_task, &one) == -1 || one.n != 1)
		return render_damaged(o, e);
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
