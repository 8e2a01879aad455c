/*
 * REST calls of holdfast's commands.
 */
#include "config.h"

#include "client/call.h"

#include <string.h>

#include "client/client.h"
#include "client/http.h"
#include "client/remote.h"
#include "common/err.h"
#include "common/format/snapshot.h"
#include "common/json.h"

#define TARGET_MAX 8192

void
call_begin(struct call *c, struct remote *r, const char *what, const char *ns)
{
	memset(c, 0, sizeof(*c));
	c->remote = r;
	remote_target(r, &c->target, what);
	if (ns != NULL && ns[0] != '\0')
		call_add(c, "ns", ns);
}

int
call_open(struct call *c, const struct client_opts *o, const char *what,
    struct err *e)
{
	struct remote *r = remote_open(o, e);

	memset(c, 0, sizeof(*c));
	if (r == NULL)
		return -1;
	call_begin(c, r, what, o->ns);
	c->own = 1;
	return 0;
}

int
call_open_path(struct call *c, const struct client_opts *o, const char *path,
    struct err *e)
{
	memset(c, 0, sizeof(*c));
	c->remote = remote_open(o, e);
	if (c->remote == NULL)
		return -1;
	c->own = 1;
	sbuf_init(&c->target, TARGET_MAX);
	sbuf_add_str(&c->target, path);
	return 0;
}

void
call_close(struct call *c)
{
	if (c->remote == NULL)
		return;
	sbuf_fini(&c->target);
	if (c->own)
		remote_close(c->remote);
}

void
call_add(struct call *c, const char *key, const char *value)
{
	http_add_query(&c->target, key, value);
}

void
call_add_u64(struct call *c, const char *key, uint64_t value)
{
	http_add_query_u64(&c->target, key, value);
}

void
call_add_group(struct call *c, const struct backup_group *g)
{
	call_add(c, "backup-type", backup_type_str(g->type));
	call_add(c, "backup-id", g->id);
}

void
call_add_snapshot(struct call *c, const struct backup_snapshot *s)
{
	call_add_group(c, &s->group);
	call_add_u64(c, "backup-time", (uint64_t)s->time);
}

static int
check_target(const struct call *c, struct err *e)
{
	return c->target.overflow ? err_set(e, ERR_LIMIT, "value is too long")
				  : 0;
}

int
call_run(struct call *c, const char *method, struct json **out, struct err *e)
{
	if (check_target(c, e) == -1)
		return -1;
	return remote_call(c->remote, method, sbuf_str(&c->target), out, e);
}

int
call_run_list(struct call *c, const char *method, struct json **out,
    struct err *e)
{
	if (call_run(c, method, out, e) == -1)
		return -1;
	if (json_type(*out) == JSON_ARRAY)
		return 0;
	json_free(out);
	return err_set(e, ERR_CORRUPT, "the server's answer is not a list");
}

int
call_run_whole(struct call *c, struct json **out, struct err *e)
{
	if (check_target(c, e) == -1)
		return -1;
	return remote_call_whole(c->remote, "GET", sbuf_str(&c->target), out,
	    e);
}

int
call_upload(struct call *c, const void *data, size_t len, struct err *e)
{
	if (check_target(c, e) == -1)
		return -1;
	return remote_upload(c->remote, sbuf_str(&c->target), data, len, e);
}
