/*
 * Namespaces on disk, in store threads.  The folders' content may be anything;
 * what is not a name of the grammar is passed over.
 */
#include "config.h"

#include "validator/store/namespace.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/names.h"
#include "common/format/snapshot.h"
#include "common/io.h"
#include "common/path.h"
#include "validator/store/dir_list.h"
#include "validator/store/layout.h"

int
ns_dir_open(struct store *s, const struct backup_ns *ns, struct err *e)
{
	char path[NAMESPACE_PATH_MAX + 1];
	struct err why = {0};
	int fd;

	if (ns->depth == 0)
		return io_openat(s->root_fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	ns_path(ns, path);
	fd = path_open(s->root_fd, path, O_RDONLY | O_DIRECTORY, 0, &why);
	if (fd != -1)
		return fd;
	if (why.code == ERR_NOT_FOUND || why.sys == ENOTDIR || why.sys == ELOOP)
		return err_set(e, ERR_NO_NAMESPACE, "namespace not found");
	if (e != NULL)
		*e = why;
	return -1;
}

int
ns_dir_check(struct store *s, const struct backup_ns *ns, struct err *e)
{
	int fd = ns_dir_open(s, ns, e);

	if (fd == -1)
		return -1;
	io_close(&fd);
	return 0;
}

/* The folder of the new one has its name in "ns", which has its own in fd. */
static int
sync_names(struct store *s, int fd, struct err *e)
{
	int ns_fd = path_open(fd, "ns", O_RDONLY | O_DIRECTORY, 0, e), rv;

	if (ns_fd == -1)
		return -1;
	rv = store_fsync(s, ns_fd, "namespace folder", e);
	io_close(&ns_fd);
	return rv == 0 ? store_fsync(s, fd, "namespace folder", e) : -1;
}

int
ns_dir_create(struct store *s, const struct backup_ns *ns, struct err *e)
{
	char path[4 + SAFE_ID_MAX + 1] = "ns/";
	struct backup_ns parent = *ns;
	int fd, rv;

	if (!ns_pop(&parent))
		return err_set(e, ERR_PARAM,
		    "Cannot create/delete root namespace!");
	fd = ns_dir_open(s, &parent, e);
	if (fd == -1)
		return -1;
	strncat(path, ns_leaf(ns), SAFE_ID_MAX);
	rv = path_mkdirs(fd, path, STORE_BASE_MODE, e);
	if (rv == 0)
		rv = sync_names(s, fd, e);
	io_close(&fd);
	return rv;
}

/* Copies the names of the namespaces right below dir. */
static int
children(int ns_fd, struct name_list *out, struct err *e)
{
	struct err why = {0};
	int fd, rv;

	*out = (struct name_list){0};
	fd = path_open(ns_fd, "ns", O_RDONLY | O_DIRECTORY, 0, &why);
	if (fd == -1) {
		if (why.code == ERR_NOT_FOUND || why.sys == ENOTDIR ||
		    why.sys == ELOOP)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	rv = dir_list(fd, DT_DIR, safe_id_valid, out, e);
	io_close(&fd);
	return rv;
}

int
ns_dir_each(struct store *s, const struct backup_ns *ns, unsigned int max_depth,
    int (*fn)(void *ctx, const struct backup_ns *ns), void *ctx, struct err *e)
{
	struct backup_ns child;
	struct name_list names;
	struct err why = {0};
	size_t i;
	int fd, rv;

	rv = fn(ctx, ns);
	if (rv != 0 || max_depth == 0)
		return rv;
	fd = ns_dir_open(s, ns, &why);
	if (fd == -1 && why.code == ERR_NO_NAMESPACE)
		return 0;
	if (fd == -1) {
		if (e != NULL)
			*e = why;
		return -1;
	}
	rv = children(fd, &names, e);
	io_close(&fd);
	/* The depth of recursion is that of names: ns_push() refuses more
	 * than NAMESPACE_DEPTH_MAX. */
	for (i = 0; rv == 0 && i < names.n; i++) {
		child = *ns;
		if (ns_push(&child, names.v[i], NULL) == 0)
			rv = ns_dir_each(s, &child, max_depth - 1, fn, ctx, e);
	}
	name_list_fini(&names);
	return rv;
}

/* rmdir of what is empty in a namespace's folder; what is not stays. */
static int
remove_if_empty(int dirfd, const char *name, struct err *e)
{
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ||
	    errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
		return 0;
	return err_errno(e, errno, "rmdir \"%s\"", name);
}

static int
remove_folders(int ns_fd, struct err *e)
{
	int t;

	for (t = 0; t < BACKUP_TYPE_COUNT; t++)
		if (remove_if_empty(ns_fd, backup_type_str((enum backup_type)t),
			e) == -1)
			return -1;
	return remove_if_empty(ns_fd, "ns", e);
}

/* Everything below first, then ns itself, each only if empty. */
static int
remove_level(struct store *s, const struct backup_ns *ns, struct err *e)
{
	struct backup_ns child, parent = *ns;
	struct name_list names;
	char path[4 + SAFE_ID_MAX + 1] = "ns/";
	size_t i;
	int fd, rv;

	fd = ns_dir_open(s, ns, e);
	if (fd == -1)
		return -1;
	rv = children(fd, &names, e);
	for (i = 0; rv == 0 && i < names.n; i++) {
		child = *ns;
		if (ns_push(&child, names.v[i], NULL) == 0)
			rv = remove_level(s, &child, e);
	}
	name_list_fini(&names);
	if (rv == 0)
		rv = remove_folders(fd, e);
	io_close(&fd);
	if (rv == -1)
		return -1;
	ns_pop(&parent);
	fd = ns_dir_open(s, &parent, e);
	if (fd == -1)
		return -1;
	strncat(path, ns_leaf(ns), SAFE_ID_MAX);
	rv = remove_if_empty(fd, path, e);
	io_close(&fd);
	return rv;
}

int
ns_dir_remove(struct store *s, const struct backup_ns *ns, struct err *e)
{
	struct err why = {0};

	if (ns->depth == 0)
		return err_set(e, ERR_PARAM,
		    "Cannot create/delete root namespace!");
	if (ns_dir_check(s, ns, &why) == -1) {
		if (why.code == ERR_NO_NAMESPACE)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	if (remove_level(s, ns, e) == -1)
		return -1;
	if (ns_dir_check(s, ns, NULL) == 0)
		return err_set(e, ERR_EXISTS,
		    "only partially deleted namespace '%s': it is not empty",
		    ns->name);
	return 0;
}
