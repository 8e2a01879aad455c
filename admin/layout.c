/*
 * Makes the folders of a new datastore, for holdfast-admin.  Usually runs as
 * root, so it works below a descriptor of the new folder and follows no link
 * in it; the path to it is the operator's.
 */
#include "config.h"

#include "admin/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/nested.h"
#include "common/atime.h"
#include "common/err.h"
#include "common/io.h"
#include "common/path.h"

#define BASE_MODE 0755
#define CHUNKS_MODE 0750
#define LOCK_MODE 0644
#define PREFIX_COUNT 65536
#define SKEW_MAX_S 300 /* what gc-margin is, if it is not set */

static int
is_empty(int fd, const char *path, struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int copy, rv = 0;

	copy = io_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	if (copy == -1)
		return -1;
	dir = fdopendir(copy);
	if (dir == NULL) {
		io_close(&copy);
		return err_errno(e, errno, "cannot read %s", path);
	}
	while (rv == 0 && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".chunks") == 0)
			rv = err_set(e, ERR_EXISTS, "%s is a datastore already",
			    path);
		else if (d->d_name[0] != '.' &&
		    strcmp(d->d_name, "lost+found") != 0)
			rv = err_set(e, ERR_EXISTS, "%s is not empty", path);
	}
	closedir(dir);
	return rv;
}

static int
make_dir(int dirfd, const char *name, mode_t mode, uid_t uid, gid_t gid,
    struct err *e)
{
	if (mkdirat(dirfd, name, mode) == -1)
		return err_errno(e, errno, "cannot make %s", name);
	if (fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) == -1)
		return err_errno(e, errno, "cannot give %s to its owner", name);
	return 0;
}

int
layout_check_times(int chunks, const char *path, struct err *e)
{
	if (atime_check(chunks, SKEW_MAX_S, e) == -1)
		return err_wrap(e, "%s cannot hold a datastore", path);
	return 0;
}

static int
fill_chunks(int base, const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e)
{
	char name[8];
	int chunks, i, rv;

	chunks = path_open(base, ".chunks", O_RDONLY | O_DIRECTORY, 0, e);
	if (chunks == -1)
		return -1;
	rv = layout_check_times(chunks, path, e);
	for (i = 0; i < PREFIX_COUNT && rv == 0; i++) {
		snprintf(name, sizeof(name), "%04x", (unsigned int)i & 0xffff);
		rv = make_dir(chunks, name, CHUNKS_MODE, uid, gid, e);
		if (progress != NULL && i % (PREFIX_COUNT / 100) == 0)
			progress(i / (PREFIX_COUNT / 100));
	}
	/* Last, so that it is root's folder while root fills it. */
	if (rv == 0 && fchown(chunks, uid, gid) == -1)
		rv = err_errno(e, errno, "cannot give .chunks to its owner");
	io_close(&chunks);
	return rv;
}

static int
make_lock(int base, uid_t uid, gid_t gid, struct err *e)
{
	int fd = io_openat(base, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW,
	    LOCK_MODE, e);
	int rv = 0;

	if (fd == -1)
		return -1;
	if (fchmod(fd, LOCK_MODE) == -1 || fchown(fd, uid, gid) == -1)
		rv = err_errno(e, errno, "cannot give .lock to its owner");
	io_close(&fd);
	return rv;
}

static int
fill(int base, const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e)
{
	int rv;

	if (mkdirat(base, ".chunks", CHUNKS_MODE) == -1)
		return err_errno(e, errno, "cannot make .chunks");
	rv = fill_chunks(base, path, uid, gid, progress, e);
	if (rv == 0)
		rv = make_lock(base, uid, gid, e);
	if (rv == 0 &&
	    (fchmod(base, BASE_MODE) == -1 || fchown(base, uid, gid) == -1))
		rv = err_errno(e, errno, "cannot give %s to its owner", path);
	if (rv == 0)
		rv = io_syncfs(base, path, e);
	if (rv == -1) {
		(void)path_remove_tree(base, ".chunks", NULL);
		(void)unlinkat(base, ".lock", 0);
	}
	return rv;
}

int
layout_create(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e)
{
	int base = -1, made = 0, rv = -1;
	mode_t old_mask = umask(0);

	if (path[0] != '/') {
		err_set(e, ERR_PARAM, "'%s' is not an absolute path", path);
		goto out;
	}
	if (nested_check(path, e) == -1)
		goto out;
	if (mkdir(path, BASE_MODE) == 0) {
		made = 1;
	} else if (errno != EEXIST) {
		err_errno(e, errno, "cannot make %s", path);
		goto out;
	}
	base = io_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e);
	if (base == -1 || is_empty(base, path, e) == -1)
		goto out;
	rv = fill(base, path, uid, gid, progress, e);
out:
	io_close(&base);
	if (rv == -1 && made)
		(void)rmdir(path);
	umask(old_mask);
	return rv;
}
