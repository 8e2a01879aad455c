/*
 * Where no datastore may be made or taken over (nested.h), for holdfast-admin.
 * Usually runs as root on a tree that another user may still write to: follows
 * no link in it.
 */
#include "config.h"

#include "admin/nested.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/ctl.h"
#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/path.h"

#define CHUNKS ".chunks"

/* --- above --------------------------------------------------------------- */

static int
look_above(const char *path, struct err *e)
{
	char *parent = path_resolve(path), *chunks, *slash;
	int rv = 0;

	while (rv == 0 && (slash = strrchr(parent, '/')) != NULL) {
		*slash = '\0';
		chunks = xasprintf("%s/" CHUNKS, parent);
		if (access(chunks, F_OK) == 0)
			rv = err_set(e, ERR_EXISTS,
			    "%s lies in the datastore %s", path, parent);
		free(chunks);
	}
	free(parent);
	return rv;
}

/* --- below --------------------------------------------------------------- */

static bool
is_folder(int dirfd, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_DIR;
	return fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode);
}

/* Its own chunks are too many, and the rest is nobody's. */
static bool
is_passed_over(const char *name, unsigned int depth)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    (depth == 0 &&
		(strcmp(name, CHUNKS) == 0 || strcmp(name, "lost+found") == 0));
}

static int look_below(int fd, const char *path, unsigned int depth,
    struct err *e);

static int
look_at(int dirfd, const char *name, const char *path, unsigned int depth,
    struct err *e)
{
	char *child;
	int fd, rv;

	if (strcmp(name, CHUNKS) == 0)
		return err_set(e, ERR_EXISTS, "%s is a datastore, too", path);
	if (depth == PATH_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "folders are too deep in %s",
		    path);
	fd = path_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return -1;
	child = xasprintf("%s/%s", path, name);
	rv = look_below(fd, child, depth + 1, e);
	free(child);
	return rv;
}

/* Takes fd. */
static int
look_below(int fd, const char *path, unsigned int depth, struct err *e)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int rv = 0;

	if (dir == NULL) {
		err_errno(e, errno, "cannot read %s", path);
		io_close(&fd);
		return -1;
	}
	while (rv == 0 && (d = readdir(dir)) != NULL)
		if (!is_passed_over(d->d_name, depth) && is_folder(fd, d))
			rv = look_at(fd, d->d_name, path, depth, e);
	closedir(dir);
	return rv;
}

int
nested_check(const char *path, struct err *e)
{
	int fd;

	if (look_above(path, e) == -1)
		return -1;
	fd = io_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	return look_below(fd, path, 0, e);
}

/* --- known --------------------------------------------------------------- */

static int
compare(const char *path, const struct json *store, struct err *e)
{
	const char *name = json_get_str(store, "name", e);
	const char *other = json_get_str(store, "path", e);
	char *a, *b;
	int rv = 0;

	if (name == NULL || other == NULL)
		return -1;
	a = path_resolve(path);
	b = path_resolve(other);
	if (path_is_below(a, b))
		rv = err_set(e, ERR_EXISTS, "%s lies in the datastore '%s', %s",
		    path, name, other);
	else if (path_is_below(b, a))
		rv = err_set(e, ERR_EXISTS,
		    "the datastore '%s', %s, lies in %s", name, other, path);
	free(a);
	free(b);
	return rv;
}

int
nested_check_known(const struct admin_opts *o, const char *path, struct err *e)
{
	const struct json *stores;
	struct json *reply = NULL;
	struct err why;
	size_t i;
	int rv = 0;

	/* Who is not told learns it from the validator's next start. */
	if (ctl_call(o->run_dir, CTL_VALIDATOR, "datastore-list", NULL, &reply,
		&why) == -1)
		return 0;
	if ((stores = json_get_array(reply, "datastores", e)) == NULL)
		rv = -1;
	for (i = 0; rv == 0 && i < json_len(stores); i++)
		rv = compare(path, json_at(stores, i), e);
	json_free(&reply);
	return rv;
}
