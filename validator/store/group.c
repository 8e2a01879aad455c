/*
 * Backup groups on disk, in store threads.  Owner files may have been written
 * by another server, and are parsed as strictly as everything else.
 */
#include "config.h"

#include "validator/store/group.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/path.h"
#include "validator/store/dir_list.h"
#include "validator/store/layout.h"
#include "validator/store/namespace.h"
#include "validator/store/session_dir.h"
#include "validator/store/snapshot.h"

#define OWNER_NAME "owner"
#define NOTES_NAME "notes"
#define OWNER_FILE_MAX 4096
#define NOTES_FILE_MAX ((size_t)1 << 20)

int
group_dir_open(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e)
{
	char path[GROUP_STR_MAX + 1];
	struct err why = {0};
	int ns_fd, fd;

	ns_fd = ns_dir_open(s, ns, e);
	if (ns_fd == -1)
		return -1;
	group_to_str(g, path);
	fd = path_open(ns_fd, path, O_RDONLY | O_DIRECTORY, 0, &why);
	io_close(&ns_fd);
	if (fd == -1 &&
	    (why.code == ERR_NOT_FOUND || why.sys == ENOTDIR ||
		why.sys == ELOOP))
		return err_set(e, ERR_NOT_FOUND,
		    "backup group '%s': ENOENT: No such file or directory",
		    path);
	if (fd == -1 && e != NULL)
		*e = why;
	return fd;
}

static int
owner_read(int group_fd, char owner_out[AUTH_ID_MAX + 1], struct err *e)
{
	struct auth_id id;
	char *text;
	size_t len;
	int rv;

	owner_out[0] = '\0';
	if (io_read_file(group_fd, OWNER_NAME, OWNER_FILE_MAX, &text, &len,
		e) == -1)
		return -1;
	rv = auth_id_parse_owner(&id, text, len, e);
	free(text);
	if (rv == 0)
		auth_id_to_str(&id, owner_out);
	return rv;
}

static int
owner_write(struct store *s, int group_fd, const char *owner,
    unsigned int flags, struct err *e)
{
	char line[AUTH_ID_MAX + 2];
	int n = snprintf(line, sizeof(line), "%s\n", owner);
	struct auth_id id;

	if (auth_id_parse(&id, owner, e) == -1)
		return -1;
	return store_write_file(s, group_fd, OWNER_NAME, line, (size_t)n,
	    IO_F_FSYNC | flags, e);
}

/* Whoever owned them lost the group's owner file: that must not make them
 * another user's. */
static bool
has_snapshots(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e)
{
	struct snap_info *snaps;
	size_t n;

	if (snap_dir_list(s, ns, g, &snaps, &n, e) == -1)
		return true;
	free(snaps);
	if (n > 0)
		err_set(e, ERR_CORRUPT, "backup group has no owner file");
	return n > 0;
}

int
group_dir_create(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *owner,
    char owner_out[AUTH_ID_MAX + 1], bool *created_out, struct err *e)
{
	char path[GROUP_STR_MAX + 1];
	struct err why = {0};
	int ns_fd, fd = -1, rv = -1;

	*created_out = false;
	ns_fd = ns_dir_open(s, ns, e);
	if (ns_fd == -1)
		return -1;
	group_to_str(g, path);
	if (path_mkdirs(ns_fd, path, STORE_BASE_MODE, e) == -1)
		goto out;
	fd = group_dir_open(s, ns, g, e);
	if (fd == -1)
		goto out;
	if (owner_read(fd, owner_out, &why) == 0) {
		rv = 0;
		goto out;
	}
	if (why.code != ERR_NOT_FOUND) {
		if (e != NULL)
			*e = why;
		goto out;
	}
	if (has_snapshots(s, ns, g, e) ||
	    owner_write(s, fd, owner, IO_F_NOREPLACE, e) == -1)
		goto out;
	*created_out = true;
	rv = owner_read(fd, owner_out, e);
out:
	io_close(&fd);
	io_close(&ns_fd);
	return rv;
}

int
group_owner_get(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, char owner_out[AUTH_ID_MAX + 1],
    struct err *e)
{
	int fd = group_dir_open(s, ns, g, e), rv;

	owner_out[0] = '\0';
	if (fd == -1)
		return -1;
	rv = owner_read(fd, owner_out, e);
	io_close(&fd);
	return rv;
}

int
group_owner_set(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *owner, struct err *e)
{
	int fd = group_dir_open(s, ns, g, e), rv;

	if (fd == -1)
		return -1;
	rv = owner_write(s, fd, owner, 0, e);
	io_close(&fd);
	return rv;
}

int
group_notes_get(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, char **text_out, struct err *e)
{
	struct err why = {0};
	size_t len;
	int fd, rv = -1;

	*text_out = NULL;
	fd = group_dir_open(s, ns, g, &why);
	if (fd != -1)
		rv = io_read_file(fd, NOTES_NAME, NOTES_FILE_MAX, text_out,
		    &len, &why);
	io_close(&fd);
	if (rv == 0)
		return 0;
	if (why.code == ERR_NOT_FOUND) {
		*text_out = xstrdup("");
		return 0;
	}
	if (e != NULL)
		*e = why;
	return -1;
}

int
group_notes_set(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *text, size_t len, struct err *e)
{
	int fd, rv;

	if (len > NOTES_FILE_MAX)
		return err_set(e, ERR_LIMIT, "notes are too long");
	fd = group_dir_open(s, ns, g, e);
	if (fd == -1)
		return -1;
	rv = store_write_file(s, fd, NOTES_NAME, text, len, IO_F_FSYNC, e);
	io_close(&fd);
	return rv;
}

static int
compare_groups(const void *a, const void *b)
{
	return group_cmp(a, b);
}

/* Adds the groups of one type; a missing folder has none. */
static int
add_type(int ns_fd, enum backup_type type, struct backup_group **groups,
    size_t *n, struct err *e)
{
	struct name_list names;
	struct err why = {0};
	size_t i;
	int fd, rv;

	fd = path_open(ns_fd, backup_type_str(type), O_RDONLY | O_DIRECTORY, 0,
	    &why);
	if (fd == -1) {
		if (why.code == ERR_NOT_FOUND || why.sys == ENOTDIR ||
		    why.sys == ELOOP)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	rv = dir_list(fd, DT_DIR, backup_id_valid, &names, e);
	io_close(&fd);
	if (rv == -1)
		return -1;
	rv = mem_grow(groups, *n + names.n, sizeof(**groups), e);
	for (i = 0; rv == 0 && i < names.n; i++) {
		(*groups)[*n].type = type;
		snprintf((*groups)[*n].id, sizeof((*groups)[*n].id), "%s",
		    names.v[i]);
		(*n)++;
	}
	name_list_fini(&names);
	return rv;
}

int
group_dir_list(struct store *s, const struct backup_ns *ns,
    struct backup_group **groups_out, size_t *n_out, struct err *e)
{
	struct backup_group *groups = NULL;
	size_t n = 0;
	int fd, t, rv = 0;

	*groups_out = NULL;
	*n_out = 0;
	fd = ns_dir_open(s, ns, e);
	if (fd == -1)
		return -1;
	for (t = 0; rv == 0 && t < BACKUP_TYPE_COUNT; t++)
		rv = add_type(fd, (enum backup_type)t, &groups, &n, e);
	io_close(&fd);
	if (rv == -1) {
		free(groups);
		return -1;
	}
	if (n > 1)
		qsort(groups, n, sizeof(*groups), compare_groups);
	*groups_out = groups;
	*n_out = n;
	return 0;
}

/* The group's own folder, once no snapshot is left in it. */
static int
remove_group_folder(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e)
{
	int fd, rv;

	fd = ns_dir_open(s, ns, e);
	if (fd == -1)
		return -1;
	rv = path_open(fd, backup_type_str(g->type), O_RDONLY | O_DIRECTORY, 0,
	    e);
	io_close(&fd);
	if (rv == -1)
		return -1;
	fd = rv;
	rv = session_dir_discard(s, fd, g->id, e);
	io_close(&fd);
	return rv;
}

int
group_dir_remove(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct group_removed *out, struct err *e)
{
	struct backup_snapshot snap = {.group = *g};
	struct snap_info *snaps;
	size_t n, i;
	int rv;

	*out = (struct group_removed){0};
	if (snap_dir_list(s, ns, g, &snaps, &n, e) == -1)
		return -1;
	rv = mem_grow(&out->times, n, sizeof(*out->times), e);
	for (i = 0; rv == 0 && i < n; i++) {
		if (snaps[i].is_protected) {
			out->kept++;
			continue;
		}
		snap.time = snaps[i].time;
		rv = snap_dir_remove(s, ns, &snap, e);
		if (rv == 0)
			out->times[out->snapshots++] = snap.time;
	}
	free(snaps);
	if (rv == 0 && out->kept == 0)
		rv = remove_group_folder(s, ns, g, e);
	return rv;
}

static bool
is_ours(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, OWNER_NAME) == 0 || strcmp(name, NOTES_NAME) == 0;
}

/* 1 if nothing but owner and notes is in it, 0, -1. */
static int
is_empty(int group_fd, struct err *e)
{
	int fd = io_openat(group_fd, ".", O_RDONLY | O_DIRECTORY, 0, e), rv = 1;
	struct dirent *d;
	DIR *dir;

	if (fd == -1)
		return -1;
	if ((dir = fdopendir(fd)) == NULL) {
		io_close(&fd);
		return err_errno(e, errno, "list a backup group");
	}
	while (rv == 1 && (errno = 0, d = readdir(dir)) != NULL)
		if (!is_ours(d->d_name))
			rv = 0;
	if (rv == 1 && errno != 0)
		rv = err_errno(e, errno, "list a backup group");
	closedir(dir);
	return rv;
}

int
group_dir_is_empty(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e)
{
	int fd = group_dir_open(s, ns, g, e), rv;

	if (fd == -1)
		return -1;
	rv = is_empty(fd, e);
	io_close(&fd);
	return rv;
}

int
group_dir_remove_empty(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e)
{
	int rv = group_dir_is_empty(s, ns, g, e);

	return rv == 1 ? remove_group_folder(s, ns, g, e) : rv;
}
