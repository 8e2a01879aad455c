/*
 * Listings as records, in store threads.  Everything read here was made by
 * clients or other servers and travels on as bytes; the callback decides what
 * the caller may see before anything of a group is read.
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
	struct err why = {0};
	int rv = 0;

	if (ns_dir_each(s, parent, max_depth, add_ns, &w, &why) == -1 &&
	    why.code != ERR_NO_NAMESPACE) {
		if (e != NULL)
			*e = why;
		rv = -1;
	}
	*seen_out = w.seen;
	return rv;
}

/* --- groups ------------------------------------------------------------- */

/* A namespace that is not there reads like a folder that is not there. */
static int
list_groups(struct store *s, const struct backup_ns *ns,
    struct backup_group **groups, size_t *n, struct err *e)
{
	struct err why = {0};

	if (group_dir_list(s, ns, groups, n, &why) == 0)
		return 0;
	if (why.code == ERR_NO_NAMESPACE)
		return err_set(e, ERR_NOT_FOUND,
		    "namespace '%s': ENOENT: No such file or directory",
		    ns->name);
	if (e != NULL)
		*e = why;
	return -1;
}

/* The owner, if the caller may see the group; -1 on an error that the whole
 * listing shares, 0 not to be listed, 1. */
static int
visible_owner(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, listing_owner_fn *visible, void *ctx,
    char owner[AUTH_ID_MAX + 1], struct err *e)
{
	struct err why = {0};

	if (group_owner_get(s, ns, g, owner, &why) == -1) {
		/* Gone meanwhile, or never finished, or damaged: it has no
		 * owner, so only who sees everything sees it. */
		if (why.code != ERR_NOT_FOUND && why.code != ERR_CORRUPT &&
		    why.code != ERR_LIMIT) {
			if (e != NULL)
				*e = why;
			return -1;
		}
		owner[0] = '\0';
	}
	return visible(ctx, owner);
}

static void
add_files(int snap_fd, bool with_size, struct record_file *out)
{
	struct rec_FILE rec = {0};
	struct snap_file *files;
	size_t n, i;

	if (snap_files_list(snap_fd, &files, &n, NULL) == -1)
		return;
	for (i = 0; i < n; i++) {
		snprintf(rec.name, sizeof(rec.name), "%.*s", IPC_NAME_MAX,
		    files[i].name);
		rec.size = with_size ? files[i].size : 0;
		record_file_put_FILE(out, &rec);
	}
	free(files);
}

static void
add_group(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *owner, struct record_file *out)
{
	struct backup_snapshot last = {.group = *g};
	struct rec_GROUP rec = {.type = (uint8_t)g->type};
	struct snap_info *snaps;
	size_t n, i;
	char *notes;
	int fd;

	if (snap_dir_list(s, ns, g, &snaps, &n, NULL) == -1)
		return;
	if (n == 0) {
		free(snaps);
		return;
	}
	for (i = 0; i < n && last.time == 0; i++)
		if (snaps[i].finished)
			last.time = snaps[i].time;
	if (last.time == 0)
		last.time = snaps[0].time;
	free(snaps);
	snprintf(rec.id, sizeof(rec.id), "%s", g->id);
	rec.last_backup = last.time;
	rec.count = n;
	snprintf(rec.owner, sizeof(rec.owner), "%s", owner);
	if (group_notes_get(s, ns, g, &notes, NULL) == 0) {
		/* The first line, with its newline if another follows. */
		i = strcspn(notes, "\n");
		if (notes[i] == '\n')
			i++;
		if (i > IPC_TEXT_MAX)
			i = IPC_TEXT_MAX;
		memcpy(rec.comment, notes, i);
		rec.comment[i] = '\0';
		free(notes);
	}
	record_file_put_GROUP(out, &rec);
	fd = snap_dir_open(s, ns, &last, NULL);
	if (fd != -1)
		add_files(fd, false, out);
	io_close(&fd);
}

int
listing_groups(struct store *s, const struct backup_ns *ns,
    listing_owner_fn *visible, void *ctx, struct record_file *out,
    struct err *e)
{
	char owner[AUTH_ID_MAX + 1];
	struct backup_group *groups;
	size_t n, i;
	int show, rv = 0;

	if (list_groups(s, ns, &groups, &n, e) == -1)
		return -1;
	for (i = 0; rv == 0 && i < n; i++) {
		show = visible_owner(s, ns, &groups[i], visible, ctx, owner, e);
		if (show == 1)
			add_group(s, ns, &groups[i], owner, out);
		else if (show == -1)
			rv = -1;
	}
	free(groups);
	return rv;
}

/* --- snapshots ---------------------------------------------------------- */

static int
add_snapshot(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *owner, bool is_protected,
    struct record_file *out, struct err *e)
{
	struct rec_SNAP rec = {.type = (uint8_t)snap->group.type,
	    .time = snap->time,
	    .protected = is_protected};
	uint8_t *manifest = NULL;
	size_t len = 0;
	int fd;

	fd = snap_dir_open(s, ns, snap, e);
	if (fd == -1)
		return -1;
	snprintf(rec.id, sizeof(rec.id), "%s", snap->group.id);
	snprintf(rec.owner, sizeof(rec.owner), "%s", owner);
	if (snap_file_read(fd, MANIFEST_NAME, &manifest, &len, NULL) == 0) {
		rec.manifest = manifest;
		rec.manifest_len = (uint32_t)len;
	}
	record_file_put_SNAP(out, &rec);
	free(manifest);
	add_files(fd, true, out);
	io_close(&fd);
	return 0;
}

static void
add_snapshots(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *owner, struct record_file *out)
{
	struct backup_snapshot snap = {.group = *g};
	struct snap_info *snaps;
	size_t n, i;

	if (snap_dir_list(s, ns, g, &snaps, &n, NULL) == -1)
		return;
	for (i = 0; i < n; i++) {
		snap.time = snaps[i].time;
		/* One that is removed meanwhile is not listed. */
		add_snapshot(s, ns, &snap, owner, snaps[i].is_protected, out,
		    NULL);
	}
	free(snaps);
}

int
listing_snapshots(struct store *s, const struct backup_ns *ns,
    const struct listing_filter *filter, listing_owner_fn *visible, void *ctx,
    struct record_file *out, struct err *e)
{
	char owner[AUTH_ID_MAX + 1];
	struct backup_group *groups;
	size_t n, i;
	int show, rv = 0;

	if (list_groups(s, ns, &groups, &n, e) == -1)
		return -1;
	for (i = 0; rv == 0 && i < n; i++) {
		if ((filter->has_type && groups[i].type != filter->type) ||
		    (filter->id != NULL &&
			strcmp(groups[i].id, filter->id) != 0))
			continue;
		show = visible_owner(s, ns, &groups[i], visible, ctx, owner, e);
		if (show == 1)
			add_snapshots(s, ns, &groups[i], owner, out);
		else if (show == -1)
			rv = -1;
	}
	free(groups);
	return rv;
}

int
listing_snapshot(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct record_file *out, struct err *e)
{
	char owner[AUTH_ID_MAX + 1], text[SNAPSHOT_STR_MAX + 1];
	struct snap_file *files = NULL;
	bool is_protected, finished = false;
	size_t n = 0, i;
	int fd;

	fd = snap_dir_open(s, ns, snap, NULL);
	if (fd != -1 && snap_files_list(fd, &files, &n, NULL) == 0)
		for (i = 0; i < n; i++)
			finished |= strcmp(files[i].name, MANIFEST_NAME) == 0;
	free(files);
	io_close(&fd);
	if (!finished) {
		snapshot_to_str(snap, text);
		return err_set(e, ERR_NOT_FOUND,
		    "unable to load blob '%s/%s' - ENOENT: No such file or "
		    "directory",
		    text, MANIFEST_NAME);
	}
	if (group_owner_get(s, ns, &snap->group, owner, NULL) == -1)
		owner[0] = '\0';
	if (snap_protected_get(s, ns, snap, &is_protected, e) == -1)
		return -1;
	return add_snapshot(s, ns, snap, owner, is_protected, out, e);
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
	size_t n, m, i;

	if (group_dir_list(w->s, ns, &groups, &n, w->e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if (snap_dir_list(w->s, ns, &groups[i], &snaps, &m, NULL) == -1)
			continue;
		free(snaps);
		if (m == 0)
			continue;
		w->counts[groups[i].type].groups++;
		w->counts[groups[i].type].snapshots += m;
	}
	free(groups);
	return 0;
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
