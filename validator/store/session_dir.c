/*
 * Session folders and the commit of a backup, in store threads.  A session
 * folder is private to the validator (0700 above it) until it is renamed.
 */
#include "config.h"

#include "validator/store/session_dir.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/path.h"
#include "common/str.h"
#include "validator/store/deposit_log.h"
#include "validator/store/dir_list.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"

void
session_id_to_str(uint64_t id, char out[SESSION_ID_LEN + 1])
{
	snprintf(out, SESSION_ID_LEN + 1, "%016" PRIx64, id);
}

static int
id_from_str(const char *s, uint64_t *out)
{
	uint8_t b[8];
	size_t i;

	if (str_unhex(b, sizeof(b), s, strlen(s)) == -1)
		return -1;
	*out = 0;
	for (i = 0; i < sizeof(b); i++)
		*out = *out << 8 | b[i];
	return 0;
}

int
session_dir_create(struct store *s, uint64_t id, struct err *e)
{
	char name[SESSION_ID_LEN + 1];
	int fd;

	if (store_check_writable(s, e) == -1)
		return -1;
	session_id_to_str(id, name);
	if (mkdirat(s->sessions_fd, name, STORE_BASE_MODE) == -1)
		return err_errno(e, errno, "make session folder %s", name);
	fd = session_dir_open(s, id, e);
	/* It becomes a snapshot: exact mode whatever the umask. */
	if (fd != -1 && fchmod(fd, STORE_BASE_MODE) == -1) {
		err_errno(e, errno, "chmod session folder %s", name);
		io_close(&fd);
	}
	return fd;
}

int
session_dir_open(struct store *s, uint64_t id, struct err *e)
{
	char name[SESSION_ID_LEN + 1];

	session_id_to_str(id, name);
	return path_open(s->sessions_fd, name, O_RDONLY | O_DIRECTORY, 0, e);
}

int
session_dir_remove(struct store *s, uint64_t id, struct err *e)
{
	char name[SESSION_ID_LEN + 1];

	session_id_to_str(id, name);
	return path_remove_tree(s->sessions_fd, name, e);
}

int
session_dir_discard(struct store *s, int dirfd, const char *what, struct err *e)
{
	char name[1 + SESSION_ID_LEN + 1] = ".";
	uint64_t id;

	io_random(&id, sizeof(id));
	session_id_to_str(id, name + 1);
	if (renameat2(dirfd, what, s->sessions_fd, name, RENAME_NOREPLACE) ==
	    -1)
		return err_errno(e, errno, "remove %s", what);
	if (store_fsync(s, dirfd, "folder", e) == -1)
		return -1;
	path_remove_tree(s->sessions_fd, name, NULL);
	return 0;
}

int
session_dir_each(struct store *s, int (*fn)(void *ctx, uint64_t id), void *ctx,
    struct err *e)
{
	int fd =
	    openat(s->sessions_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *d;
	uint64_t id;
	int rv = 0;

	if (dir == NULL) {
		err_errno(e, errno, "list the session folders");
		io_close(&fd);
		return -1;
	}
	while (rv == 0 && (errno = 0, d = readdir(dir)) != NULL) {
		if (!path_is_name(d->d_name))
			continue;
		if (id_from_str(d->d_name, &id) == 0)
			rv = fn(ctx, id);
		else
			path_remove_tree(s->sessions_fd, d->d_name, NULL);
	}
	if (d == NULL && rv == 0 && errno != 0)
		rv = err_errno(e, errno, "list the session folders");
	closedir(dir);
	return rv;
}

/* As io_temp_name() names them, which no archive can be called. */
static bool
is_temporary(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL && strncmp(dot, ".tmp_", 5) == 0;
}

/* What only a session needs, and what a validator that was killed was
 * writing: no writer is open now. */
static int
remove_private(int fd, struct err *e)
{
	struct name_list names;
	int rv = 0;
	size_t i;

	if (unlinkat(fd, DEPOSIT_LOG_NAME, 0) == -1 && errno != ENOENT)
		return err_errno(e, errno, "remove the deposit log");
	if (dir_list(fd, DT_REG, is_temporary, &names, e) == -1)
		return -1;
	for (i = 0; rv == 0 && i < names.n; i++)
		if (unlinkat(fd, names.v[i], 0) == -1 && errno != ENOENT)
			rv = err_errno(e, errno, "remove %s", names.v[i]);
	name_list_fini(&names);
	return rv;
}

/* One that was lost and is there again was written after the sync, perhaps:
 * then there is another one, which no loss can overtake. */
static int
look_again(struct store *s, int fd, struct session_commit *c, struct err *e)
{
	int rv;

	if (c->watch == NULL)
		return 0;
	rv = lost_watch_look(c->watch, fd, &c->cancel, NULL, &c->hit, e);
	c->is_lost = rv == 1;
	if (c->is_lost)
		return err_set(e, ERR_MISSING, "a chunk was lost meanwhile");
	return rv == 0 && lost_watch_refers(c->watch) ? store_sync(s, e) : rv;
}

static int
publish_locked(struct store *s, const char *name, int fd, int group_fd,
    const char *time, struct session_commit *c, struct err *e)
{
	if (look_again(s, fd, c, e) == -1)
		return -1;
	if (atomic_load(&c->cancel))
		return err_set(e, ERR_ABORTED, "backup was aborted");
	if (renameat2(s->sessions_fd, name, group_fd, time, RENAME_NOREPLACE) ==
	    0) {
		c->published = true;
		return 0;
	}
	if (errno == EEXIST || errno == ENOTEMPTY)
		return err_set(e, ERR_EXISTS,
		    "backup directory already exists.");
	return err_errno(e, errno, "publish snapshot %s", time);
}

static int
publish(struct store *s, const char *name, int fd, int group_fd,
    const char *time, struct session_commit *c, struct err *e)
{
	int rv;

	pthread_mutex_lock(&s->publish_lock);
	rv = publish_locked(s, name, fd, group_fd, time, c, e);
	pthread_mutex_unlock(&s->publish_lock);
	return rv;
}

int
session_dir_commit(struct store *s, uint64_t id, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct session_commit *c, struct err *e)
{
	char name[SESSION_ID_LEN + 1], time[BACKUP_TIME_LEN + 1];
	struct err why = {0};
	struct stat st;
	int fd = -1, group_fd = -1, rv = -1;

	session_id_to_str(id, name);
	backup_time_to_str(snap->time, time);
	c->is_lost = c->published = false;
	group_fd = group_dir_open(s, ns, &snap->group, e);
	if (group_fd == -1)
		return -1;
	fd = session_dir_open(s, id, &why);
	if (fd == -1 && why.code == ERR_NOT_FOUND &&
	    fstatat(group_fd, time, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode)) {
		/* Renamed before a restart: go on behind it. */
		c->published = true;
	} else if (fd == -1) {
		if (e != NULL)
			*e = why;
		goto out;
	} else if (remove_private(fd, e) == -1 || store_sync(s, e) == -1 ||
	    publish(s, name, fd, group_fd, time, c, e) == -1) {
		goto out;
	}
	if (store_fsync(s, group_fd, "group folder", e) == -1 ||
	    store_fsync(s, s->sessions_fd, "session folders", e) == -1)
		goto out;
	rv = 0;
out:
	io_close(&fd);
	io_close(&group_fd);
	return rv;
}
