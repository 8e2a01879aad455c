/*
 * Changes hands of a datastore, for holdfast-admin.  Usually runs as root on a
 * tree that another user may still write to: works below descriptors, follows
 * no link, and gives away only folders and files that have one name.
 */
#include "config.h"

#include "admin/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/layout.h"
#include "admin/nested.h"
#include "common/err.h"
#include "common/io.h"
#include "common/path.h"

#define BASE_MODE 0755
#define CHUNKS_MODE 0750
#define LOCK_MODE 0644
#define PREFIX_COUNT 65536
#define DEPTH_MAX 64

struct handover {
	const char *path;
	uid_t uid;
	gid_t gid;
	void (*progress)(int percent);
	int base;
	int chunks;
	int lock;
};

/* --- checks ------------------------------------------------------------- */

/* Whoever works on it has a lock: the original server's writers and its
 * collection, or a validator.  Ours is held until the end. */
static int
take_lock(struct handover *h, struct err *e)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	h->lock = io_openat(h->base, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW,
	    LOCK_MODE, e);
	if (h->lock == -1)
		return -1;
	if (fcntl(h->lock, F_OFD_SETLK, &fl) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(e, ERR_LOCKED,
		    "%s is in use: take it out of the configuration of the "
		    "server that has it, and restart that",
		    h->path);
	return err_errno(e, errno, "cannot lock %s", h->path);
}

static int
open_all(struct handover *h, struct err *e)
{
	struct err why;

	if (h->path[0] != '/')
		return err_set(e, ERR_PARAM, "'%s' is not an absolute path",
		    h->path);
	h->base = io_openat(AT_FDCWD, h->path, O_RDONLY | O_DIRECTORY, 0, e);
	if (h->base == -1)
		return -1;
	h->chunks =
	    path_open(h->base, ".chunks", O_RDONLY | O_DIRECTORY, 0, &why);
	if (h->chunks == -1)
		return err_set(e, ERR_CORRUPT, "%s is not a datastore: %s",
		    h->path, why.msg);
	return take_lock(h, e);
}

static int
check_prefixes(const struct handover *h, struct err *e)
{
	char name[8];
	struct stat st;
	unsigned int i;

	for (i = 0; i < PREFIX_COUNT; i++) {
		snprintf(name, sizeof(name), "%04x", i & 0xffff);
		if (fstatat(h->chunks, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISDIR(st.st_mode))
			return err_set(e, ERR_CORRUPT,
			    "%s is not a whole datastore: folder .chunks/%s is "
			    "missing",
			    h->path, name);
	}
	return 0;
}

/* May it be one of ours? */
static int
check_place(const struct handover *h, struct err *e)
{
	if (nested_check(h->path, e) == -1)
		return -1;
	return layout_check_times(h->chunks, h->path, e);
}

/* --- owners ------------------------------------------------------------- */

static bool
is_given(const struct handover *h, const struct stat *st)
{
	return st->st_uid == h->uid && st->st_gid == h->gid;
}

/* fd may be one that only names the file. */
static int
give_fd(const struct handover *h, int fd, const char *name, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(e, errno, "cannot look at %s", name);
	if (is_given(h, &st))
		return 0;
	/* A second name may lie outside. */
	if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
		return err_set(e, ERR_CORRUPT,
		    "file %s has another name elsewhere", name);
	if (fchownat(fd, "", h->uid, h->gid, AT_EMPTY_PATH) == -1)
		return err_errno(e, errno, "cannot give %s to its owner", name);
	return 0;
}

/* What is looked at is what is given, whatever happens to the name. */
static int
give_file(const struct handover *h, int dirfd, const char *name, struct err *e)
{
	int fd = io_openat(dirfd, name, O_PATH | O_NOFOLLOW, 0, e), rv;

	if (fd == -1)
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	rv = give_fd(h, fd, name, e);
	io_close(&fd);
	return rv;
}

static int give_tree(const struct handover *h, int fd, const char *name,
    unsigned int depth, struct err *e);

static int
give_entry(const struct handover *h, int dirfd, const char *name,
    unsigned int depth, struct err *e)
{
	struct stat st;
	int fd, rv;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT
		    ? 0
		    : err_errno(e, errno, "cannot look at %s", name);
	if (S_ISDIR(st.st_mode)) {
		if (depth > 0 && strcmp(name, ".chunks") == 0)
			return err_set(e, ERR_EXISTS,
			    "another datastore lies in %s", h->path);
		fd = path_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0, e);
		if (fd == -1)
			return -1;
		rv = give_tree(h, fd, name, depth + 1, e);
		io_close(&fd);
		return rv;
	}
	/* Nothing else is part of a datastore. */
	if (!S_ISREG(st.st_mode) || is_given(h, &st))
		return 0;
	return give_file(h, dirfd, name, e);
}

/* The folder last, so that a repetition finds what is left to do. */
static int
give_tree(const struct handover *h, int fd, const char *name,
    unsigned int depth, struct err *e)
{
	bool is_chunks = depth == 1 && strcmp(name, ".chunks") == 0;
	struct dirent *d;
	unsigned int n = 0;
	DIR *dir;
	int copy, rv = 0;

	if (depth > DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "folders are too deep");
	copy = io_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	if (copy == -1)
		return -1;
	dir = fdopendir(copy);
	if (dir == NULL) {
		io_close(&copy);
		return err_errno(e, errno, "cannot read %s", name);
	}
	while (rv == 0 && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    (depth == 0 && strcmp(d->d_name, "lost+found") == 0))
			continue;
		rv = give_entry(h, fd, d->d_name, depth, e);
		if (is_chunks && h->progress != NULL &&
		    n++ % (PREFIX_COUNT / 100) == 0)
			h->progress((int)(n / (PREFIX_COUNT / 100)));
	}
	closedir(dir);
	return rv == 0 ? give_fd(h, fd, name, e) : -1;
}

/* --- modes -------------------------------------------------------------- */

static int
set_mode(int fd, mode_t mode, const char *name, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(e, errno, "cannot look at %s", name);
	if ((st.st_mode & 07777) == mode)
		return 0;
	if (fchmod(fd, mode) == -1)
		return err_errno(e, errno, "cannot set the mode of %s", name);
	return 0;
}

static int
set_modes(const struct handover *h, struct err *e)
{
	char name[8];
	unsigned int i;
	int fd, rv;

	for (i = 0; i < PREFIX_COUNT; i++) {
		snprintf(name, sizeof(name), "%04x", i & 0xffff);
		fd = path_open(h->chunks, name, O_RDONLY | O_DIRECTORY, 0, e);
		if (fd == -1)
			return -1;
		rv = set_mode(fd, CHUNKS_MODE, name, e);
		io_close(&fd);
		if (rv == -1)
			return -1;
	}
	if (set_mode(h->chunks, CHUNKS_MODE, ".chunks", e) == -1 ||
	    set_mode(h->lock, LOCK_MODE, ".lock", e) == -1)
		return -1;
	return set_mode(h->base, BASE_MODE, h->path, e);
}

static int
hand_over(struct handover *h, bool release, struct err *e)
{
	int rv = -1;

	if (open_all(h, e) == 0 && (release || check_place(h, e) == 0) &&
	    check_prefixes(h, e) == 0 &&
	    (!release || path_remove_tree(h->base, ".holdfast", e) == 0) &&
	    give_tree(h, h->base, h->path, 0, e) == 0 && set_modes(h, e) == 0)
		rv = io_syncfs(h->base, h->path, e);
	io_close(&h->lock);
	io_close(&h->chunks);
	io_close(&h->base);
	return rv;
}

int
layout_adopt(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e)
{
	struct handover h = {path, uid, gid, progress, -1, -1, -1};

	return hand_over(&h, false, e);
}

int
layout_release(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e)
{
	struct handover h = {path, uid, gid, progress, -1, -1, -1};

	return hand_over(&h, true, e);
}
