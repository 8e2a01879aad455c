/*
 * Names below a folder that others may write to: the datastores, mostly, so
 * in the validator's threads.  The folder's content is hostile: a component
 * may turn into a link at any time, hence openat2() with RESOLVE_* or a walk
 * that opens each component with O_NOFOLLOW.
 */
#include "config.h"

#include "common/path.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

#define PATH_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NOCTTY)
#define PATH_OPENAT2_RETRIES 8

int
path_is_name(const char *name)
{
	size_t len = strnlen(name, NAME_MAX + 1);

	return len > 0 && len <= NAME_MAX && strchr(name, '/') == NULL &&
	    strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Copies the first component of *path and moves *path behind it and its
 * slash.  -1 if it is not a plain name, or the path ends in a slash. */
static int
next_component(const char **path, char name[NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	if (len == 0 || len > NAME_MAX)
		return -1;
	memcpy(name, *path, len);
	name[len] = '\0';
	if (!path_is_name(name))
		return -1;
	*path += len;
	if (**path == '/' && *++*path == '\0')
		return -1;
	return 0;
}

int
path_is_relative(const char *path)
{
	char name[NAME_MAX + 1];

	if (*path == '\0' || strnlen(path, PATH_MAX) >= PATH_MAX)
		return 0;
	while (*path != '\0')
		if (next_component(&path, name) == -1)
			return 0;
	return 1;
}

static int
check_relative(const char *path, struct err *e)
{
	if (!path_is_relative(path))
		return err_set(e, ERR_INVALID, "\"%s\" is not a plain path",
		    path);
	return 0;
}

int
path_open_walk(int dirfd, const char *path, int flags, mode_t mode,
    struct err *e)
{
	const char *rest = path;
	char name[NAME_MAX + 1];
	int dir = dirfd, fd, saved;

	if (check_relative(path, e) == -1)
		return -1;
	for (;;) {
		next_component(&rest, name);
		if (*rest == '\0')
			fd = openat(dir, name, flags | PATH_FLAGS, mode);
		else
			fd = openat(dir, name,
			    O_PATH | O_DIRECTORY | PATH_FLAGS);
		saved = errno;
		if (dir != dirfd)
			close(dir);
		if (fd == -1)
			return err_errno(e, saved, "open \"%s\"", path);
		if (*rest == '\0')
			return fd;
		dir = fd;
	}
}

int
path_open(int dirfd, const char *path, int flags, mode_t mode, struct err *e)
{
	struct open_how how = {
	    .flags = (uint64_t)(flags | PATH_FLAGS),
	    .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
	    .resolve =
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int tries = 0;
	long fd;

	if (check_relative(path, e) == -1)
		return -1;
	/* EAGAIN: something was renamed on the way meanwhile. */
	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd == -1 &&
	    (errno == EINTR ||
		(errno == EAGAIN && ++tries < PATH_OPENAT2_RETRIES)));
	if (fd == -1 && (errno == ENOSYS || errno == EPERM))
		return path_open_walk(dirfd, path, flags, mode, e);
	if (fd == -1)
		return err_errno(e, errno, "open \"%s\"", path);
	return (int)fd;
}

/* Makes one folder, or opens the one that is there. */
static int
make_and_open(int dir, const char *name, mode_t mode, struct err *e)
{
	int made = mkdirat(dir, name, mode) == 0, fd;

	if (!made && errno != EEXIST)
		return err_errno(e, errno, "mkdir \"%s\"", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | PATH_FLAGS);
	if (fd == -1)
		return err_errno(e, errno, "open folder \"%s\"", name);
	if (made && fchmod(fd, mode) == -1) {
		err_errno(e, errno, "chmod \"%s\"", name);
		close(fd);
		return -1;
	}
	return fd;
}

int
path_mkdirs(int dirfd, const char *path, mode_t mode, struct err *e)
{
	char name[NAME_MAX + 1];
	int dir = dirfd, fd;

	if (check_relative(path, e) == -1)
		return -1;
	while (*path != '\0') {
		next_component(&path, name);
		fd = make_and_open(dir, name, mode, e);
		if (dir != dirfd)
			close(dir);
		if (fd == -1)
			return -1;
		dir = fd;
	}
	if (dir != dirfd)
		close(dir);
	return 0;
}

int
path_make_folder(const char *path, mode_t mode, uid_t uid, gid_t gid,
    struct err *e)
{
	int fd, rv = -1;

	if (mkdir(path, mode) == -1) {
		if (errno == EEXIST)
			return 0;
		return err_errno(e, errno, "cannot make %s", path);
	}
	/* Its name may be a link by now, if the folder above is another's. */
	fd = io_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
	    e);
	if (fd == -1)
		return -1;
	if (fchmod(fd, mode) == -1 ||
	    (geteuid() == 0 && fchown(fd, uid, gid) == -1))
		err_errno(e, errno, "cannot set the rights of %s", path);
	else
		rv = io_fsync_parent(path, e);
	io_close(&fd);
	return rv;
}

/* One level of the folder being emptied: an explicit stack, since the depth
 * is chosen by whoever filled the folder. */
struct level {
	DIR *dir;
	char name[NAME_MAX + 1]; /* in the level above */
};

/* Opens a folder for emptying, unless something is mounted there (a bind
 * mount has the device of its source, so st_dev would not tell). */
static int
level_open(struct level *l, int parent, const char *name, struct err *e)
{
	struct statx st;
	int fd;

	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | PATH_FLAGS);
	if (fd == -1)
		return err_errno(e, errno, "open folder \"%s\"", name);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) == -1) {
		err_errno(e, errno, "stat \"%s\"", name);
		goto fail;
	}
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
		err_set(e, ERR_INVALID, "\"%s\" is a mount point", name);
		goto fail;
	}
	l->dir = fdopendir(fd);
	if (l->dir == NULL) {
		err_errno(e, errno, "list \"%s\"", name);
		goto fail;
	}
	snprintf(l->name, sizeof(l->name), "%s", name);
	return 0;
fail:
	close(fd);
	return -1;
}

/* Removes one entry: 0 done, 1 it is a folder to go into, -1 error. */
static int
remove_entry(int dir, const char *name, struct err *e)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR || errno == EPERM)
		return 1;
	return err_errno(e, errno, "remove \"%s\"", name);
}

/* Empties stack[0]; its own folder is removed by the caller. */
static int
remove_levels(struct level *stack, struct err *e)
{
	size_t depth = 1;
	struct dirent *d;
	int parent, rv = -1, kind;

	while (depth > 0) {
		parent = dirfd(stack[depth - 1].dir);
		errno = 0;
		d = readdir(stack[depth - 1].dir);
		if (d == NULL && errno != 0) {
			err_errno(e, errno, "list \"%s\"",
			    stack[depth - 1].name);
			goto out;
		}
		if (d == NULL) {
			depth--;
			closedir(stack[depth].dir);
			if (depth > 0 &&
			    unlinkat(dirfd(stack[depth - 1].dir),
				stack[depth].name, AT_REMOVEDIR) == -1 &&
			    errno != ENOENT) {
				err_errno(e, errno, "remove \"%s\"",
				    stack[depth].name);
				goto out;
			}
			continue;
		}
		if (!path_is_name(d->d_name))
			continue;
		kind = remove_entry(parent, d->d_name, e);
		if (kind == -1)
			goto out;
		if (kind == 0)
			continue;
		if (depth == PATH_DEPTH_MAX) {
			err_set(e, ERR_LIMIT, "folders are nested too deep");
			goto out;
		}
		if (level_open(&stack[depth], parent, d->d_name, e) == -1)
			goto out;
		depth++;
	}
	rv = 0;
out:
	while (depth > 0)
		closedir(stack[--depth].dir);
	return rv;
}

int
path_remove_tree(int dirfd, const char *name, struct err *e)
{
	struct level stack[PATH_DEPTH_MAX];
	int kind;

	if (!path_is_name(name))
		return err_set(e, ERR_INVALID, "\"%s\" is not a plain name",
		    name);
	kind = remove_entry(dirfd, name, e);
	if (kind != 1)
		return kind;
	if (level_open(&stack[0], dirfd, name, e) == -1)
		return err_wrap(e, "remove \"%s\"", name);
	if (remove_levels(stack, e) == -1)
		return err_wrap(e, "remove \"%s\"", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == -1 && errno != ENOENT)
		return err_errno(e, errno, "remove \"%s\"", name);
	return 0;
}

/* --- comparing ----------------------------------------------------------- */

char *
path_resolve(const char *path)
{
	char *there = xstrdup(path), *slash, *real, *result;
	const char *rest;

	while ((real = realpath(there, NULL)) == NULL &&
	    (slash = strrchr(there, '/')) != NULL)
		*slash = '\0';
	rest = real != NULL ? path + strlen(there) : path;
	free(there);
	if (*rest == '\0')
		return real;
	result = xasprintf("%s%s",
	    real == NULL || strcmp(real, "/") == 0 ? "" : real, rest);
	free(real);
	return result;
}

bool
path_is_below(const char *path, const char *folder)
{
	size_t len = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}
