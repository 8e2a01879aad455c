/*
 * Snapshots on disk, in store threads.  Their files were made by clients or
 * by another server; here they are names, lengths and bytes, never parsed.
 */
#include "config.h"

#include "validator/store/snapshot.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/path.h"
#include "validator/store/dir_list.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/session_dir.h"

static bool
is_time(const char *name)
{
	int64_t t;

	return backup_time_parse(name, &t, NULL) == 0;
}

static bool
is_archive(const char *name)
{
	enum archive_kind kind;

	return archive_name_parse(name, &kind, NULL) == 0;
}

static bool
has_file(int dirfd, const char *dir, const char *name)
{
	char path[BACKUP_TIME_LEN + 1 + NAME_MAX + 1];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s%s", dir, *dir != '\0' ? "/" : "",
	    name);
	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int
snap_dir_list(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct snap_info **snaps_out, size_t *n_out,
    struct err *e)
{
	struct name_list names = {0};
	struct snap_info *snaps = NULL;
	size_t i, k;
	int fd, rv = -1;

	*snaps_out = NULL;
	*n_out = 0;
	fd = group_dir_open(s, ns, g, e);
	if (fd == -1)
		return -1;
	if (dir_list(fd, DT_DIR, is_time, &names, e) == -1 ||
	    mem_grow(&snaps, names.n, sizeof(*snaps), e) == -1)
		goto out;
	/* Names of times sort as times do. */
	for (i = 0; i < names.n; i++) {
		k = names.n - 1 - i;
		backup_time_parse(names.v[i], &snaps[k].time, NULL);
		snaps[k].finished = has_file(fd, names.v[i], MANIFEST_NAME);
		snaps[k].is_protected =
		    has_file(fd, names.v[i], PROTECTED_NAME);
	}
	*snaps_out = snaps;
	*n_out = names.n;
	rv = 0;
out:
	name_list_fini(&names);
	io_close(&fd);
	return rv;
}

int
snap_dir_newest(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, int64_t *time_out, struct err *e)
{
	struct snap_info *snaps;
	struct err why = {0};
	size_t n, i;

	*time_out = 0;
	if (snap_dir_list(s, ns, g, &snaps, &n, &why) == -1) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	for (i = 0; i < n && *time_out == 0; i++)
		if (snaps[i].finished)
			*time_out = snaps[i].time;
	free(snaps);
	return 0;
}

int
snap_dir_open(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	char time[BACKUP_TIME_LEN + 1];
	int group_fd, fd;

	group_fd = group_dir_open(s, ns, &snap->group, e);
	if (group_fd == -1)
		return -1;
	backup_time_to_str(snap->time, time);
	fd = path_open(group_fd, time, O_RDONLY | O_DIRECTORY, 0, e);
	io_close(&group_fd);
	return fd;
}

int
snap_dir_exists(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	char time[BACKUP_TIME_LEN + 1];
	struct err why = {0};
	int group_fd, rv;

	group_fd = group_dir_open(s, ns, &snap->group, &why);
	if (group_fd == -1) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	backup_time_to_str(snap->time, time);
	rv = faccessat(group_fd, time, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (rv == 0 && errno != ENOENT)
		rv = err_errno(e, errno, "look for snapshot %s", time);
	io_close(&group_fd);
	return rv;
}

int
snap_files_list(int snap_fd, struct snap_file **files_out, size_t *n_out,
    struct err *e)
{
	struct name_list names = {0};
	struct snap_file *files;
	struct stat st;
	size_t i, n = 0;

	*files_out = NULL;
	*n_out = 0;
	if (dir_list(snap_fd, DT_REG, is_archive, &names, e) == -1)
		return -1;
	files = xcalloc(names.n, sizeof(*files));
	for (i = 0; i < names.n; i++) {
		/* Gone meanwhile: not listed. */
		if (fstatat(snap_fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) ==
		    -1)
			continue;
		snprintf(files[n].name, sizeof(files[n].name), "%s",
		    names.v[i]);
		files[n++].size = (uint64_t)st.st_size;
	}
	*files_out = files;
	*n_out = n;
	name_list_fini(&names);
	return 0;
}

int
snap_file_open(int snap_fd, const char *name, uint64_t *size_out, struct err *e)
{
	struct err why = {0};
	struct stat st;
	int fd;

	fd = path_open(snap_fd, name, O_RDONLY | O_NONBLOCK, 0, &why);
	if (fd == -1 && (why.code == ERR_NOT_FOUND || why.sys == ELOOP))
		return err_set(e, ERR_NO_FILE,
		    "open file \"%s\" failed - not found", name);
	if (fd == -1) {
		if (e != NULL)
			*e = why;
		return -1;
	}
	if (fstat(fd, &st) == -1) {
		err_errno(e, errno, "stat \"%s\"", name);
		io_close(&fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_CORRUPT, "\"%s\" is not a regular file", name);
		io_close(&fd);
		return -1;
	}
	*size_out = (uint64_t)st.st_size;
	return fd;
}

int
snap_file_read(int snap_fd, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e)
{
	char *data;

	*data_out = NULL;
	if (io_read_file(snap_fd, name, BLOB_ENCODED_MAX, &data, len_out, e) ==
	    -1)
		return -1;
	*data_out = (uint8_t *)data;
	return 0;
}

int
snap_file_write(struct store *s, int snap_fd, const char *name,
    const void *data, size_t len, bool durable, struct err *e)
{
	return store_write_file(s, snap_fd, name, data, len,
	    durable ? IO_F_FSYNC : 0, e);
}

int
snap_file_add(struct store *s, int snap_fd, const char *name, const void *data,
    size_t len, struct err *e)
{
	return store_write_file(s, snap_fd, name, data, len,
	    IO_F_FSYNC | IO_F_NOREPLACE, e);
}

int
snap_protected_get(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, bool *protected_out, struct err *e)
{
	struct err why = {0};
	int fd;

	*protected_out = false;
	fd = snap_dir_open(s, ns, snap, &why);
	if (fd == -1) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	*protected_out = has_file(fd, "", PROTECTED_NAME);
	io_close(&fd);
	return 0;
}

int
snap_protected_set(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, bool on, struct err *e)
{
	int fd, mark, rv = -1;

	if (store_check_writable(s, e) == -1)
		return -1;
	fd = snap_dir_open(s, ns, snap, e);
	if (fd == -1)
		return -1;
	if (on) {
		mark = io_openat(fd, PROTECTED_NAME,
		    O_WRONLY | O_CREAT | O_NOFOLLOW, STORE_FILE_MODE, e);
		if (mark == -1)
			goto out;
		io_close(&mark);
	} else if (unlinkat(fd, PROTECTED_NAME, 0) == -1 && errno != ENOENT) {
		err_errno(e, errno, "remove the protection");
		goto out;
	}
	rv = store_fsync(s, fd, "snapshot folder", e);
out:
	io_close(&fd);
	return rv;
}

static int
remove_snapshot(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	char time[BACKUP_TIME_LEN + 1];
	int group_fd, fd = -1, rv = -1;

	if (store_check_writable(s, e) == -1)
		return -1;
	group_fd = group_dir_open(s, ns, &snap->group, e);
	if (group_fd == -1)
		return -1;
	backup_time_to_str(snap->time, time);
	fd = path_open(group_fd, time, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		goto out;
	if (has_file(fd, "", PROTECTED_NAME)) {
		err_set(e, ERR_BAD_STATE, "cannot remove protected snapshot");
		goto out;
	}
	rv = session_dir_discard(s, group_fd, time, e);
out:
	io_close(&fd);
	io_close(&group_fd);
	return rv;
}

int
snap_dir_remove(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	int rv;

	atomic_fetch_add(&s->removals_begun, 1);
	rv = remove_snapshot(s, ns, snap, e);
	atomic_fetch_add(&s->removals_ended, 1);
	return rv;
}
