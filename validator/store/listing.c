/*
 * Listings of a store as records, in store threads.  What is listed may change
 * meanwhile: what is gone by the time it is looked at is left out.  Manifests
 * and notes are passed on as bytes; the worker parses them.
 */
#include "config.h"

#include "validator/store/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "validator/store/group.h"
#include "validator/store/namespace.h"
#include "validator/store/record_file.h"
#include "validator/store/snapshot.h"

/* --- namespaces --------------------------------------------------------- */

struct ns_walk {
	listing_ns_fn *visible;
	void *ctx;
	struct record_file *out;
	uint64_t seen;
};

static int
add_ns(void *arg, const struct backup_ns *ns)
{
	struct ns_walk *w = arg;
	struct rec_NS rec = {0};

	if (!w->visible(w->ctx, ns))
		return 0;
	snprintf(rec.ns, sizeof(rec.ns), "%s", ns->name);
	record_file_put_NS(w->out, &rec);
	w->seen++;
	return 0;
}

int
listing_namespaces(struct store *s, const struct backup_ns *parent,
    unsigned int max_depth, listing_ns_fn *visible, void *ctx,
    struct record_file *out, uint64_t *seen_out, struct err *e)
{
	struct ns_walk w = {.visible = visible, .ctx = ctx, .out = out};
	int rv = ns_dir_each(s, parent, max_depth, add_ns, &w, e);

	*seen_out = w.seen;
	return rv;
}

/* --- groups ------------------------------------------------------------- */

/* One of them vanished between listing it and looking at it. */
static bool
is_gone(const struct err *why)
{
	return why->code == ERR_NOT_FOUND || why->code == ERR_NO_FILE ||
	    why->code == ERR_NO_NAMESPACE;
}

static int
give_up(const struct err *why, struct err *e)
{
	if (is_gone(why))
		return 0;
	if (e != NULL)
		*e = *why;
	return -1;
}

static void
add_files(const struct snap_file *files, size_t n, struct record_file *out)
{
	struct rec_FILE rec;
	size_t i;

	for (i = 0; i < n; i++) {
		rec = (struct rec_FILE){.size = files[i].size};
		snprintf(rec.name, sizeof(rec.name), "%s", files[i].name);
		record_file_put_FILE(out, &rec);
	}
}

/* The first line, with its newline if another one follows (wire-protocol
 * 3.3). */
static void
first_line(char dst[IPC_TEXT_MAX + 1], const char *text)
{
	size_t len = strcspn(text, "\n");

	if (text[len] == '\n' && text[len + 1] != '\0')
		len++;
	if (len > IPC_TEXT_MAX)
		for (len = IPC_TEXT_MAX;
		     len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;
		     len--)
			; /* no half character at the end */
	memcpy(dst, text, len);
	dst[len] = '\0';
}

/* The owner of a group that may be seen, "" where the file is damaged.
 * 1, 0 (not to be seen, or gone), -1. */
static int
owner_of(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, listing_owner_fn *visible, void *ctx,
    char owner[AUTH_ID_MAX + 1], struct err *e)
{
	struct err why = {0};

	if (group_owner_get(s, ns, g, owner, &why) == -1 &&
	    why.code != ERR_CORRUPT && !is_gone(&why))
		return give_up(&why, e);
	return visible(ctx, owner);
}

/* The newest finished snapshot, else the newest. */
static const struct snap_info *
last_of(const struct snap_info *snaps, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (snaps[i].finished)
			return &snaps[i];
	return &snaps[0];
}

static int
add_group(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const struct rec_GROUP *rec,
    struct record_file *out, struct err *e)
{
	struct backup_snapshot last = {.group = *g, .time = rec->last_backup};
	struct snap_file *files = NULL;
	struct err why = {0};
	size_t n = 0;
	int fd;

	fd = snap_dir_open(s, ns, &last, &why);
	if (fd == -1 && !is_gone(&why))
		return give_up(&why, e);
	if (fd != -1 && snap_files_list(fd, &files, &n, e) == -1) {
		io_close(&fd);
		return -1;
	}
	io_close(&fd);
	record_file_put_GROUP(out, rec);
	add_files(files, n, out);
	free(files);
	return 0;
}

static int
list_group(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, listing_owner_fn *visible, void *ctx,
    struct record_file *out, struct err *e)
{
	struct rec_GROUP rec = {.type = (uint8_t)g->type};
	struct snap_info *snaps;
	struct err why = {0};
	char *notes;
	size_t n;
	int rv;

	rv = owner_of(s, ns, g, visible, ctx, rec.owner, e);
	if (rv != 1)
		return rv;
	if (snap_dir_list(s, ns, g, &snaps, &n, &why) == -1)
		return give_up(&why, e);
	if (n == 0) {
		free(snaps);
		return 0;
	}
	rec.count = n;
	rec.last_backup = last_of(snaps, n)->time;
	free(snaps);
	snprintf(rec.id, sizeof(rec.id), "%s", g->id);
	if (group_notes_get(s, ns, g, &notes, e) == -1)
		return -1;
	first_line(rec.comment, notes);
	free(notes);
	return add_group(s, ns, g, &rec, out, e);
}

/* Groups of a namespace that the caller named: one that is not there is told
 * in the words that clients look for (wire-protocol, Appendix C). */
static int
list_groups(struct store *s, const struct backup_ns *ns,
    struct backup_group **groups_out, size_t *n_out, struct err *e)
{
	struct err why = {0};

	if (group_dir_list(s, ns, groups_out, n_out, &why) == 0)
		return 0;
	if (why.code == ERR_NO_NAMESPACE)
		return err_set(e, ERR_NOT_FOUND,
		    "namespace '%s': ENOENT: No such file or directory",
		    ns->name);
	if (e != NULL)
		*e = why;
	return -1;
}

int
listing_groups(struct store *s, const struct backup_ns *ns,
    listing_owner_fn *visible, void *ctx, struct record_file *out,
    struct err *e)
{
	struct backup_group *groups;
	size_t n, i;
	int rv = 0;

	if (list_groups(s, ns, &groups, &n, e) == -1)
		return -1;
	for (i = 0; rv == 0 && i < n; i++)
		rv = list_group(s, ns, &groups[i], visible, ctx, out, e);
	free(groups);
	return rv;
}

/* --- snapshots ---------------------------------------------------------- */

/* need_manifest: a snapshot without one is an error instead of a listing
 * without it. */
static int
add_snapshot(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *owner, bool need_manifest,
    struct record_file *out, struct err *e)
{
	struct rec_SNAP rec = {.type = (uint8_t)snap->group.type,
	    .time = snap->time};
	struct snap_file *files = NULL;
	struct err why = {0};
	uint8_t *manifest = NULL;
	bool is_protected;
	size_t n = 0, len = 0;
	int fd, rv = -1;

	fd = snap_dir_open(s, ns, snap, e);
	if (fd == -1)
		return -1;
	if (snap_file_read(fd, MANIFEST_NAME, &manifest, &len, &why) == -1 &&
	    need_manifest) {
		if (e != NULL)
			*e = why;
		goto out;
	}
	if (snap_files_list(fd, &files, &n, e) == -1 ||
	    snap_protected_get(s, ns, snap, &is_protected, e) == -1)
		goto out;
	snprintf(rec.id, sizeof(rec.id), "%s", snap->group.id);
	snprintf(rec.owner, sizeof(rec.owner), "%s", owner);
	rec.protected = is_protected;
	rec.manifest = manifest;
	rec.manifest_len = (uint32_t)len;
	record_file_put_SNAP(out, &rec);
	add_files(files, n, out);
	rv = 0;
out:
	free(files);
	free(manifest);
	io_close(&fd);
	return rv;
}

static int
list_snapshots(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, listing_owner_fn *visible, void *ctx,
    struct record_file *out, struct err *e)
{
	struct backup_snapshot snap = {.group = *g};
	char owner[AUTH_ID_MAX + 1];
	struct snap_info *snaps;
	struct err why = {0};
	size_t n, i;
	int rv;

	rv = owner_of(s, ns, g, visible, ctx, owner, e);
	if (rv != 1)
		return rv;
	if (snap_dir_list(s, ns, g, &snaps, &n, &why) == -1)
		return give_up(&why, e);
	for (rv = 0, i = 0; rv == 0 && i < n; i++) {
		snap.time = snaps[i].time;
		if (add_snapshot(s, ns, &snap, owner, false, out, &why) == -1)
			rv = give_up(&why, e);
	}
	free(snaps);
	return rv;
}

int
listing_snapshots(struct store *s, const struct backup_ns *ns,
    const struct listing_filter *filter, listing_owner_fn *visible, void *ctx,
    struct record_file *out, struct err *e)
{
	struct backup_group *groups;
	size_t n, i;
	int rv = 0;

	if (list_groups(s, ns, &groups, &n, e) == -1)
		return -1;
	for (i = 0; rv == 0 && i < n; i++) {
		if ((filter->has_type && groups[i].type != filter->type) ||
		    (filter->id != NULL &&
			strcmp(groups[i].id, filter->id) != 0))
			continue;
		rv = list_snapshots(s, ns, &groups[i], visible, ctx, out, e);
	}
	free(groups);
	return rv;
}

int
listing_snapshot(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct record_file *out, struct err *e)
{
	char owner[AUTH_ID_MAX + 1], text[SNAPSHOT_STR_MAX + 1];
	struct err why = {0};

	snapshot_to_str(snap, text);
	if (group_owner_get(s, ns, &snap->group, owner, &why) == -1 &&
	    why.code != ERR_CORRUPT && !is_gone(&why))
		return give_up(&why, e);
	if (add_snapshot(s, ns, snap, owner, true, out, &why) == 0)
		return 0;
	if (is_gone(&why))
		return err_set(e, ERR_NOT_FOUND,
		    "unable to load blob '%s/%s' - ENOENT: No such file or "
		    "directory",
		    text, MANIFEST_NAME);
	if (e != NULL)
		*e = why;
	return err_wrap(e, "unable to load blob '%s/%s'", text, MANIFEST_NAME);
}

/* --- counts ------------------------------------------------------------- */

struct count_walk {
	struct store *s;
	struct rec_COUNT counts[BACKUP_TYPE_COUNT];
	struct err *e;
};

static int
count_ns(void *arg, const struct backup_ns *ns)
{
	struct count_walk *w = arg;
	struct backup_group *groups;
	struct snap_info *snaps;
	struct err why = {0};
	size_t n, nsnaps, i;
	int rv = 0;

	if (group_dir_list(w->s, ns, &groups, &n, &why) == -1)
		return give_up(&why, w->e);
	for (i = 0; rv == 0 && i < n; i++) {
		if (snap_dir_list(w->s, ns, &groups[i], &snaps, &nsnaps,
			&why) == -1) {
			rv = give_up(&why, w->e);
			continue;
		}
		free(snaps);
		if (nsnaps == 0)
			continue;
		w->counts[groups[i].type].groups++;
		w->counts[groups[i].type].snapshots += nsnaps;
	}
	free(groups);
	return rv;
}

int
listing_counts(struct store *s, struct record_file *out, struct err *e)
{
	struct count_walk w = {.s = s, .e = e};
	struct backup_ns root = {0};
	int t;

	if (ns_dir_each(s, &root, NAMESPACE_DEPTH_MAX, count_ns, &w, e) == -1)
		return -1;
	for (t = 0; t < BACKUP_TYPE_COUNT; t++) {
		w.counts[t].type = (uint8_t)t;
		record_file_put_COUNT(out, &w.counts[t]);
	}
	return 0;
}
