/*
 * Calls on backup groups.  Runs in the store's threads, with the group's
 * lock where something is removed.  Names and rights were checked by call.c;
 * notes are a client's text, which is stored as it is.
 */
#include "config.h"

#include "validator/call_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/format/auth_id.h"
#include "validator/forget.h"
#include "validator/store/group.h"
#include "validator/store/listing.h"
#include "validator/store/record_file.h"
#include "validator/validator.h"

/* --- GROUP_LIST (wire-protocol 3.3, 6.4) --- */

static bool
owner_visible(void *ctx, const char *owner)
{
	struct call *c = ctx;

	return (c->privs & PRIV_DATASTORE_AUDIT) != 0 || call_owns(c, owner);
}

static int
list_rights(struct call *c, struct err *e)
{
	uint32_t privs = PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_BACKUP;

	return (c->privs & privs) != 0 ? 0 : call_denied(c, privs, e);
}

static int
group_list(struct call *c, struct err *e)
{
	return listing_groups(c->vs->store, &c->ns, owner_visible, c,
	    c->records, e);
}

/* --- GROUP_DELETE --- */

static int
group_delete(struct call *c, struct err *e)
{
	struct group_removed *r = c->state;

	if (group_dir_remove(c->vs->store, &c->ns, &c->snap.group, r, e) == -1)
		return -1;
	c->n[0] = r->snapshots;
	c->n[1] = r->kept;
	if (r->kept > 0 && (c->m.flags & 1))
		return err_set(e, ERR_EXISTS,
		    "group only partially deleted due to protected snapshots");
	return 0;
}

static void
group_deleted(struct call *c)
{
	const struct group_removed *r = c->state;

	forget_verified(c->v, c->vs->conf->title, &c->ns, &c->snap.group,
	    r->times, r->snapshots);
	call_end(c);
}

static void
group_delete_begin(struct call *c)
{
	c->state = xcalloc(1, sizeof(struct group_removed));
	call_submit(c, group_delete, group_deleted);
}

static void
group_delete_fini(struct call *c)
{
	struct group_removed *r = c->state;

	if (r != NULL)
		free(r->times);
	free(r);
}

/* --- notes --- */

static int
group_notes(struct call *c, struct err *e)
{
	char *text;
	size_t len;

	if (group_notes_get(c->vs->store, &c->ns, &c->snap.group, &text, e) ==
	    -1)
		return -1;
	len = strlen(text);
	c->raw_fd = io_memfd_data("notes", text, len, e);
	c->raw_size = len;
	free(text);
	return c->raw_fd == -1 ? -1 : 0;
}

static int
group_notes_put(struct call *c, struct err *e)
{
	if (call_read_data(c, CALL_NOTES_MAX, e) == -1)
		return -1;
	if (memchr(c->data, '\0', c->data_len) != NULL ||
	    !str_is_utf8(c->data, c->data_len))
		return err_set(e, ERR_PARAM, "notes are not text");
	return group_notes_set(c->vs->store, &c->ns, &c->snap.group, c->data,
	    c->data_len, e);
}

/* --- GROUP_OWNER (6.3) --- */

/* Without Modify, only the plain user, and only among its own ids. */
static bool
may_change_owner(const char *caller, const char *owner, const char *next)
{
	struct auth_id who, a, b;

	if (auth_id_parse(&who, caller, NULL) == -1 ||
	    auth_id_parse(&a, owner, NULL) == -1 ||
	    auth_id_parse(&b, next, NULL) == -1 || auth_id_is_token(&who))
		return false;
	if (!auth_id_owns(&a, &who) || !auth_id_owns(&b, &who))
		return false;
	/* From U to U is none of the three cases. */
	return auth_id_is_token(&a) || auth_id_is_token(&b);
}

static int
group_owner_rights(struct call *c, struct err *e)
{
	uint32_t privs = PRIV_DATASTORE_MODIFY | PRIV_DATASTORE_BACKUP;
	struct auth_id next;

	if ((c->privs & privs) == 0)
		return call_denied(c, privs, e);
	return auth_id_parse(&next, c->m.auth_id, e);
}

static int
group_owner(struct call *c, struct err *e)
{
	char owner[AUTH_ID_MAX + 1], group[GROUP_STR_MAX + 1];

	if (group_owner_get(c->vs->store, &c->ns, &c->snap.group, owner, e) ==
	    -1)
		return err_wrap(e, "unable to create owner file");
	group_to_str(&c->snap.group, group);
	if ((c->privs & PRIV_DATASTORE_MODIFY) == 0 &&
	    !may_change_owner(c->grant.auth_id, owner, c->m.auth_id))
		return err_set(e, ERR_NOT_ALLOWED,
		    "%s does not have permission to change owner of backup "
		    "group '%s' to %s",
		    c->grant.auth_id, group, c->m.auth_id);
	/* That it is active is auth's word, in the grant. */
	if (strcmp(c->grant.subject, c->m.auth_id) != 0)
		return err_set(e, ERR_INVALID,
		    "%s '%s' is inactive or non-existent",
		    strchr(c->m.auth_id, '!') != NULL ? "API token" : "user",
		    c->m.auth_id);
	return group_owner_set(c->vs->store, &c->ns, &c->snap.group,
	    c->m.auth_id, e);
}

#define READ (CALL_F_STORE | CALL_F_GROUP)
#define WRITE (READ | CALL_F_WRITES)
const struct call_row call_group_rows[] = {
    {.op = CALL_GROUP_LIST,
	.flags = CALL_F_STORE | CALL_F_RECORDS,
	.rights = list_rights,
	.run = group_list},
    {.op = CALL_GROUP_DELETE,
	.flags = WRITE | CALL_F_LOCK,
	.begin = group_delete_begin,
	.fini = group_delete_fini,
	.lock = LOCK_GROUP_TREE,
	.lock_text = "possible running backup"},
    {.op = CALL_GROUP_NOTES_GET, .flags = READ, .run = group_notes},
    {.op = CALL_GROUP_NOTES_SET,
	.flags = WRITE | CALL_F_DATA,
	.run = group_notes_put},
    {.op = CALL_GROUP_OWNER,
	.flags = WRITE,
	.rights = group_owner_rights,
	.run = group_owner},
    {0},
};
