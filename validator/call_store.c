/*
 * Calls on datastores and namespaces.  Runs in the validator's loop; what
 * touches a store runs in its threads.  Rights come from the grant, names
 * were parsed by call.c.
 */
#include "config.h"

#include "validator/call_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/mem.h"
#include "validator/forget.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/listing.h"
#include "validator/store/namespace.h"
#include "validator/store/record_file.h"
#include "validator/validator.h"

#define GC_STATUS_MAX 16384u /* a LINE record holds it */
#define NS_GROUPS_MAX 100000u
#define NS_DELETE_TURN 256u /* groups looked at in one turn of the loop */
#define NS_DELETE_F_GROUPS 1u
#define NS_DELETE_F_KEEP 2u /* what is protected stays, which is no error */

/* --- STORE_LIST (wire-protocol 3.1) --- */

static void
store_record(struct call *c, const struct datastore_conf *conf)
{
	uint32_t privs = grant_privs_ns(&c->grant, conf->title, "");
	struct rec_STORE rec = {0};

	if (!grant_any_below(&c->grant, conf->title, PRIV_DATASTORE_SEE))
		return;
	snprintf(rec.name, sizeof(rec.name), "%s", conf->title);
	if (privs & (PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_BACKUP))
		snprintf(rec.comment, sizeof(rec.comment), "%s", conf->comment);
	if (conf->maintenance != MAINTENANCE_NONE)
		snprintf(rec.maintenance, sizeof(rec.maintenance), "%s: %s",
		    conf->maintenance == MAINTENANCE_OFFLINE ? "offline"
							     : "read-only",
		    conf->maintenance_message);
	record_file_put_STORE(c->records, &rec);
}

static void
store_list(struct call *c)
{
	size_t i;

	for (i = 0; i < c->v->nstores; i++)
		store_record(c, c->v->stores[i]->conf);
	c->rv = 0;
	call_end(c);
}

/* --- STORE_STATUS --- */

static int
store_status_rights(struct call *c, struct err *e)
{
	if (grant_any_below(&c->grant, c->m.store, PRIV_DATASTORE_SEE))
		return 0;
	return err_set(e, ERR_PERM, "permission check failed");
}

/* What the last collection left, as it stands in the store; none: "". */
static int
gc_status_read(struct call *c, char **data, size_t *len, struct err *e)
{
	if (io_read_file(c->vs->store->root_fd, ".gc-status", GC_STATUS_MAX,
		data, len, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	*data = xstrdup("");
	*len = 0;
	return 0;
}

/* Counts by type, and the last collection as a LINE. */
static int
store_status_details(struct call *c, struct err *e)
{
	struct rec_LINE line = {0};
	char *data;
	size_t len;

	if (listing_counts(c->vs->store, c->records, e) == -1 ||
	    gc_status_read(c, &data, &len, e) == -1)
		return -1;
	line.text = (const uint8_t *)data;
	line.text_len = (uint32_t)len;
	record_file_put_LINE(c->records, &line);
	free(data);
	return 0;
}

static int
store_status(struct call *c, struct err *e)
{
	struct store_usage u;

	/* With rights further down only, the call succeeds with zeros. */
	if ((grant_privs_ns(&c->grant, c->m.store, "") &
		(PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_BACKUP)) == 0)
		return 0;
	if (store_get_usage(c->vs->store, &u, e) == -1)
		return -1;
	c->n[0] = u.total;
	c->n[1] = u.used;
	c->n[2] = u.avail;
	if ((c->m.flags & 1) == 0)
		return 0;
	return store_status_details(c, e);
}

static void
store_status_begin(struct call *c)
{
	if (c->m.flags & 1)
		c->records = record_file_new();
	call_submit(c, store_status, call_end);
}

/* --- NS_LIST (3.2, 6.4) --- */

static bool
ns_visible(void *ctx, const struct backup_ns *ns)
{
	struct call *c = ctx;

	return (grant_privs_ns(&c->grant, c->m.store, ns->name) &
		   PRIV_DATASTORE_SEE) != 0;
}

static int
ns_list(struct call *c, struct err *e)
{
	unsigned int depth = c->m.n0 > NAMESPACE_DEPTH_MAX
	    ? NAMESPACE_DEPTH_MAX
	    : (unsigned int)c->m.n0;
	uint64_t seen;

	if (listing_namespaces(c->vs->store, &c->ns, depth, ns_visible, c,
		c->records, &seen, e) == -1)
		return -1;
	if (seen == 0)
		return err_set(e, ERR_PERM, "permission check failed");
	return 0;
}

static int
ns_list_rights(struct call *c, struct err *e)
{
	/* Without any right on the store not even its absence is told. */
	if (grant_any_below(&c->grant, c->m.store, PRIV_DATASTORE_SEE))
		return 0;
	return err_set(e, ERR_PERM, "permission check failed");
}

/* --- NS_CREATE --- */

static int
ns_create(struct call *c, struct err *e)
{
	struct backup_ns ns = c->ns;

	if (ns_push(&ns, c->m.name, e) == -1 ||
	    ns_dir_create(c->vs->store, &ns, e) == -1)
		return -1;
	snprintf(c->text, sizeof(c->text), "%s", ns.name);
	return 0;
}

/* --- NS_DELETE: the right is that on the parent --- */

struct ns_group {
	struct backup_ns ns;
	struct backup_snapshot snap; /* its group */
};

struct ns_delete {
	struct ns_group *groups;
	size_t n, next;
	struct group_removed removed; /* of the last group */
	uint64_t kept;
	struct call *c;
	struct err *e;
};

static int
ns_delete_rights(struct call *c, struct err *e)
{
	struct backup_ns parent = c->ns;

	if (!ns_pop(&parent))
		return err_set(e, ERR_PARAM,
		    "Cannot create/delete root namespace!");
	if (grant_privs_ns(&c->grant, c->m.store, parent.name) &
	    PRIV_DATASTORE_MODIFY)
		return 0;
	c->ns = parent; /* where the right would be given */
	return call_denied(c, PRIV_DATASTORE_MODIFY, e);
}

static int
ns_delete_collect(void *ctx, const struct backup_ns *ns)
{
	struct ns_delete *d = ctx;
	struct backup_group *groups;
	size_t i, n;
	int rv;

	if (group_dir_list(d->c->vs->store, ns, &groups, &n, d->e) == -1)
		return -1;
	if (d->n + n > NS_GROUPS_MAX) {
		free(groups);
		return err_set(d->e, ERR_LIMIT, "too many groups");
	}
	rv = mem_grow(&d->groups, d->n + n, sizeof(*d->groups), d->e);
	for (i = 0; rv == 0 && i < n; i++) {
		d->groups[d->n].ns = *ns;
		d->groups[d->n++].snap = (struct backup_snapshot){groups[i], 0};
	}
	free(groups);
	return rv;
}

static int
ns_delete_list(struct call *c, struct err *e)
{
	struct ns_delete *d = c->state;

	d->e = e;
	if ((c->m.flags & NS_DELETE_F_GROUPS) == 0)
		return 0;
	err_clear(e);
	if (ns_dir_each(c->vs->store, &c->ns, NAMESPACE_DEPTH_MAX,
		ns_delete_collect, d, e) == -1 ||
	    e->code != ERR_OK)
		return e->code == ERR_NO_NAMESPACE ? 0 : -1;
	return 0;
}

/* What is left of it, which is empty now. */
static int
ns_delete_rest(struct call *c, struct err *e)
{
	const struct ns_delete *d = c->state;

	if (d->kept > 0)
		return (c->m.flags & NS_DELETE_F_KEEP) != 0
		    ? 0
		    : err_set(e, ERR_EXISTS,
			  "namespace only partially deleted due to protected "
			  "snapshots");
	if (ns_dir_remove(c->vs->store, &c->ns, e) == -1)
		return e->code == ERR_EXISTS
		    ? err_set(e, ERR_EXISTS,
			  "namespace only partially deleted, it is not empty")
		    : -1;
	return 0;
}

static int
ns_delete_group(struct call *c, struct err *e)
{
	struct ns_delete *d = c->state;
	const struct ns_group *g = &d->groups[d->next];

	if (group_dir_remove(c->vs->store, &g->ns, &g->snap.group, &d->removed,
		e) == 0)
		return 0;
	return err_wrap(e,
	    "failed to remove namespace, it was only partially deleted");
}

static void ns_delete_next(struct call *c);

static void
ns_group_deleted(struct call *c)
{
	struct ns_delete *d = c->state;
	const struct ns_group *g = &d->groups[d->next++];

	call_unlock(c, LOCK_GROUP_TREE, &g->ns, &g->snap);
	forget_verified(c->v, c->vs->conf->title, &g->ns, &g->snap.group,
	    d->removed.times, d->removed.snapshots);
	free(d->removed.times);
	d->kept += d->removed.kept;
	d->removed = (struct group_removed){0};
	if (c->rv == -1)
		call_end(c);
	else
		ns_delete_next(c);
}

static int
ns_delete_lock(struct call *c, const struct ns_group *g)
{
	struct err e;

	if (call_lock(c, LOCK_GROUP_TREE, &g->ns, &g->snap,
		"possible running backup", &e) == 0)
		return 0;
	call_fail(c, &e);
	return -1;
}

/* Each under its own lock: all at once would leave no room for others'. */
static void
ns_delete_next(struct call *c)
{
	struct ns_delete *d = c->state;

	if (d->next == d->n)
		call_submit(c, ns_delete_rest, call_end);
	else if (ns_delete_lock(c, &d->groups[d->next]) == 0)
		call_submit(c, ns_delete_group, ns_group_deleted);
}

/* Who is at work in one of the groups keeps all of them: they are looked at
 * before the first one goes. */
static void
ns_delete_look(struct call *c)
{
	struct ns_delete *d = c->state;
	const struct ns_group *g;
	unsigned int n;

	if (c->rv == -1) {
		call_end(c);
		return;
	}
	for (n = 0; n < NS_DELETE_TURN && d->next < d->n; n++) {
		g = &d->groups[d->next++];
		if (ns_delete_lock(c, g) == -1)
			return;
		call_unlock(c, LOCK_GROUP_TREE, &g->ns, &g->snap);
	}
	if (d->next < d->n) {
		call_later(c, ns_delete_look);
		return;
	}
	d->next = 0;
	ns_delete_next(c);
}

static void
ns_delete_begin(struct call *c)
{
	struct ns_delete *d = xcalloc(1, sizeof(*d));

	d->c = c;
	c->state = d;
	call_submit(c, ns_delete_list, ns_delete_look);
}

static void
ns_delete_fini(struct call *c)
{
	struct ns_delete *d = c->state;

	if (d != NULL) {
		free(d->groups);
		free(d->removed.times);
	}
	free(d);
}

/* --- GC_STATUS --- */

static int
gc_status(struct call *c, struct err *e)
{
	char *data;
	size_t len;

	if (gc_status_read(c, &data, &len, e) == -1)
		return -1;
	c->raw_fd = io_memfd_data("gc-status", data, len, e);
	c->raw_size = len;
	free(data);
	return c->raw_fd == -1 ? -1 : 0;
}

#define READ CALL_F_STORE
#define WRITE (CALL_F_STORE | CALL_F_WRITES)
const struct call_row call_store_rows[] = {
    {.op = CALL_STORE_LIST, .flags = CALL_F_RECORDS, .begin = store_list},
    {.op = CALL_STORE_STATUS,
	.flags = READ,
	.rights = store_status_rights,
	.begin = store_status_begin},
    {.op = CALL_NS_LIST,
	.flags = READ | CALL_F_RECORDS,
	.rights = ns_list_rights,
	.run = ns_list},
    {.op = CALL_NS_CREATE, .flags = WRITE, .run = ns_create},
    {.op = CALL_NS_DELETE,
	.flags = WRITE,
	.rights = ns_delete_rights,
	.begin = ns_delete_begin,
	.fini = ns_delete_fini},
    {.op = CALL_GC_STATUS, .flags = READ, .run = gc_status},
    {0},
};
