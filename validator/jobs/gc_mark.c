/*
 * Marking of the chunks in use (gc_mark.h).  Runs in holdfast-job.  Names and
 * index files may be damaged, planted, or vanish at any moment; nothing is
 * mapped, no link is followed.
 */
#include "config.h"

#include "validator/jobs/gc_mark.h"

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
#include "common/io.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/str.h"
#include "common/wire.h"
#include "common/format/index.h"
#include "common/format/snapshot.h"
#include "validator/jobs/gc_filter.h"
#include "validator/store/deposit_log.h"
#include "validator/store/layout.h"

#define ENTRIES_AT_ONCE 1000
#define DEPOSITS_AT_ONCE 1820 /* 64 KiB */
#define WALK_PATH_MAX 4096

static const uint8_t *
id_at(void *ctx, uint32_t ref)
{
	const struct gc_marks *m = ctx;

	return m->ids[ref].b;
}

static bool
never_stopped(const void *arg)
{
	(void)arg;
	return false;
}

void
gc_marks_init(struct gc_marks *m, int root_fd, struct gc_filter *filter)
{
	*m = (struct gc_marks){0};
	m->root_fd = root_fd;
	m->filter = filter;
	m->is_stopped = never_stopped;
	m->path = "";
	m->hash = digest_ctx_new();
	digest_map_init(&m->known, id_at, m);
}

static void
drop_found(struct gc_marks *m)
{
	size_t i;

	for (i = 0; i < m->nfound; i++)
		free(m->found[i]);
	m->nfound = m->next = 0;
}

void
gc_marks_fini(struct gc_marks *m)
{
	drop_found(m);
	free(m->found);
	free(m->ids);
	digest_map_fini(&m->known);
	digest_ctx_free(m->hash);
	*m = (struct gc_marks){0};
}

static int
check_stop(const struct gc_marks *m, struct err *e)
{
	return m->is_stopped(m->arg) ? err_set(e, ERR_ABORTED, "task aborted")
				     : 0;
}

/* --- which files are known --- */

/* A file that was replaced under the same name is another one. */
static void
file_id(struct gc_marks *m, const char *path, const struct stat *st,
    struct digest *out)
{
	const int64_t v[] = {(int64_t)st->st_dev, (int64_t)st->st_ino,
	    st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
	    st->st_ctim.tv_sec, st->st_ctim.tv_nsec};

	digest_reset(m->hash);
	digest_update(m->hash, v, sizeof(v));
	digest_update(m->hash, path, strlen(path));
	digest_final(m->hash, out);
}

static bool
is_known(struct gc_marks *m, const char *path, const struct stat *st)
{
	struct digest id;

	file_id(m, path, st, &id);
	return digest_map_get(&m->known, id.b) != DIGEST_MAP_NONE;
}

static int
set_known(struct gc_marks *m, const char *path, const struct stat *st,
    struct err *e)
{
	if (m->nids == DIGEST_MAP_NONE)
		return err_set(e, ERR_LIMIT, "too many index files");
	if (m->nids == m->ids_cap) {
		m->ids_cap = m->ids_cap > 0 ? 2 * m->ids_cap : 1024;
		m->ids = xreallocarray(m->ids, m->ids_cap, sizeof(*m->ids));
	}
	file_id(m, path, st, &m->ids[m->nids]);
	return digest_map_put(&m->known, (uint32_t)m->nids++, e) == -1 ? -1 : 0;
}

/* --- marking --- */

static void
take(struct gc_marks *m, const struct digest *d)
{
	if (m->see != NULL)
		m->see(m->arg, m->path, d);
	else
		gc_filter_mark(m->filter, d);
}

static int
mark_view(struct gc_marks *m, const struct index_view *v, struct err *e)
{
	struct index_entry entries[ENTRIES_AT_ONCE];
	uint64_t i, k, n;

	for (i = 0; i < v->count; i += n) {
		if (check_stop(m, e) == -1)
			return -1;
		n = v->count - i;
		if (n > ENTRIES_AT_ONCE)
			n = ENTRIES_AT_ONCE;
		if (index_get_entries(v, i, n, entries, e) == -1)
			return -1;
		for (k = 0; k < n; k++)
			take(m, &entries[k].digest);
	}
	return 0;
}

/* A wrong checksum means that chunks in use may be named wrongly. */
static int
mark_index(struct gc_marks *m, int fd, uint64_t *size_out, struct err *e)
{
	struct index_view v;
	struct digest csum;

	if (index_open_fd(&v, fd, e) == -1 || index_csum(&v, &csum, e) == -1)
		return -1;
	if (!digest_equal(&csum, &v.header.csum))
		return err_set(e, ERR_CORRUPT, "wrong checksum");
	if (size_out != NULL)
		*size_out = v.size;
	return mark_view(m, &v, e);
}

static int
mark_deposits(struct gc_marks *m, int fd, struct err *e)
{
	uint8_t *buf = xmalloc(DEPOSITS_AT_ONCE * DEPOSIT_ENTRY_LEN);
	uint64_t count = 0, i, k, n;
	struct digest d;
	int rv;

	rv = deposit_log_count(fd, &count, e);
	for (i = 0; rv == 0 && i < count; i += n) {
		n = count - i;
		if (n > DEPOSITS_AT_ONCE)
			n = DEPOSITS_AT_ONCE;
		rv = io_pread_full(fd, buf, n * DEPOSIT_ENTRY_LEN,
		    (off_t)(i * DEPOSIT_ENTRY_LEN), e);
		for (k = 0; rv == 0 && k < n; k++) {
			memcpy(d.b, buf + k * DEPOSIT_ENTRY_LEN, sizeof(d.b));
			take(m, &d);
		}
	}
	free(buf);
	return rv;
}

/* --- the walk --- */

static bool
is_index_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL &&
	    (strcmp(dot, ".fidx") == 0 || strcmp(dot, ".didx") == 0);
}

static void
add_found(struct gc_marks *m, const char *path)
{
	if (m->nfound == m->cap) {
		m->cap = m->cap > 0 ? 2 * m->cap : 1024;
		m->found = xreallocarray(m->found, m->cap, sizeof(*m->found));
	}
	m->found[m->nfound++] = xstrdup(path);
}

/* A folder of the walk; path ends in "/" unless it is "". */
struct walk {
	struct gc_marks *m;
	char path[WALK_PATH_MAX];
	size_t len;
	unsigned int depth;
};

static int walk_folder(struct walk *w, int fd, struct err *e);

static int
walk_sub(struct walk *w, int fd, const char *name, struct err *e)
{
	size_t len = w->len;
	int sub, rv;

	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub == -1 && errno == ENOENT) {
		w->m->vanished = true;
		return 0;
	}
	/* As mkfs makes it. */
	if (sub == -1 && errno == EACCES && w->depth == 0 &&
	    strcmp(name, "lost+found") == 0)
		return 0;
	if (sub == -1)
		return err_errno(e, errno, "cannot open folder %s%s",
		    STR_VIS(w->path), STR_VIS(name));
	if (w->depth >= PATH_DEPTH_MAX ||
	    w->len + strlen(name) + 2 > sizeof(w->path)) {
		close(sub);
		return err_set(e, ERR_LIMIT, "folder %s lies too deep",
		    STR_VIS(w->path));
	}
	w->len +=
	    (size_t)snprintf(w->path + len, sizeof(w->path) - len, "%s/", name);
	w->depth++;
	rv = walk_folder(w, sub, e);
	w->depth--;
	w->len = len;
	w->path[len] = '\0';
	return rv;
}

static int
walk_entry(struct walk *w, int fd, const struct dirent *d, struct err *e)
{
	char path[WALK_PATH_MAX + NAME_MAX + 1];
	bool is_index = is_index_name(d->d_name);
	unsigned char type = d->d_type;
	struct stat st;

	if (d->d_name[0] == '.')
		return 0;
	if (is_index || type == DT_UNKNOWN) {
		if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
			if (errno != ENOENT)
				return err_errno(e, errno,
				    "cannot look at %s%s", STR_VIS(w->path),
				    STR_VIS(d->d_name));
			w->m->vanished = true;
			return 0;
		}
		type = IFTODT(st.st_mode);
	}
	snprintf(path, sizeof(path), "%s%s", w->path, d->d_name);
	/* A client may call its group or namespace so; a folder in place of an
	 * index cannot be read and ends the collection. */
	if (is_index && (type != DT_DIR || gc_path_is_expected(path))) {
		if (!is_known(w->m, path, &st))
			add_found(w->m, path);
		return 0;
	}
	return type == DT_DIR ? walk_sub(w, fd, d->d_name, e) : 0;
}

/* Takes fd. */
static int
walk_folder(struct walk *w, int fd, struct err *e)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int rv = 0;

	if (dir == NULL) {
		err_errno(e, errno, "cannot list folder %s", STR_VIS(w->path));
		close(fd);
		return -1;
	}
	while (rv == 0 && (errno = 0, d = readdir(dir)) != NULL)
		rv = walk_entry(w, dirfd(dir), d, e);
	if (rv == 0 && errno != 0)
		rv = err_errno(e, errno, "cannot list folder %s",
		    STR_VIS(w->path));
	closedir(dir);
	if (rv == 0)
		rv = check_stop(w->m, e);
	return rv;
}

/* --- sessions --- */

/* fd may be -1: vanished, which is fine for what a session had, since it is
 * looked for in the same folder under its next name. */
static int
session_file(struct gc_marks *m, int dir_fd, const char *name, struct err *e)
{
	int fd, rv;

	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : err_errno(e, errno, "open");
	rv = is_index_name(name) ? mark_index(m, fd, NULL, e)
				 : mark_deposits(m, fd, e);
	close(fd);
	return rv;
}

/*
 * The deposit log first: finish removes it when all indexes are complete, and
 * then renames the folder, whose files stay reachable through dir_fd.
 */
static int
session_folder(struct gc_marks *m, int sessions_fd, const char *name,
    struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int fd, rv;

	fd = openat(sessions_fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT || errno == ENOTDIR
		    ? 0
		    : err_errno(e, errno, "open");
	if ((dir = fdopendir(fd)) == NULL) {
		err_errno(e, errno, "list");
		close(fd);
		return -1;
	}
	rv = session_file(m, fd, DEPOSIT_LOG_NAME, e);
	while (rv == 0 && (errno = 0, d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' && is_index_name(d->d_name))
			rv = session_file(m, fd, d->d_name, e);
	if (rv == 0 && errno != 0)
		rv = err_errno(e, errno, "list");
	closedir(dir);
	return rv;
}

static int
mark_sessions(struct gc_marks *m, struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int fd, rv = 0;

	fd = path_open(m->root_fd, STORE_SESSIONS_DIR, O_RDONLY | O_DIRECTORY,
	    0, e);
	if (fd == -1)
		return e->code == ERR_NOT_FOUND
		    ? 0
		    : err_wrap(e, "cannot open the sessions' folder");
	if ((dir = fdopendir(fd)) == NULL) {
		err_errno(e, errno, "cannot list the sessions");
		close(fd);
		return -1;
	}
	while (rv == 0 && (errno = 0, d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		rv = session_folder(m, fd, d->d_name, e);
		if (rv == -1)
			err_wrap(e, "cannot read what session %s has",
			    STR_VIS(d->d_name));
	}
	if (rv == 0 && errno != 0)
		rv = err_errno(e, errno, "cannot list the sessions");
	closedir(dir);
	return rv;
}

/* --- a pass --- */

/*
 * Sessions first: one that ends before is found in the tree, one that ends
 * later was found here.
 */
int
gc_marks_list(struct gc_marks *m, struct err *e)
{
	struct walk w = {.m = m};
	int fd;

	drop_found(m);
	m->vanished = false;
	if (mark_sessions(m, e) == -1)
		return -1;
	fd = io_openat(m->root_fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return err_wrap(e, "cannot list the datastore");
	return walk_folder(&w, fd, e);
}

static int
mark_file(struct gc_marks *m, int fd, const char *path, struct err *e)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st) == -1)
		return err_errno(e, errno, "stat");
	if (mark_index(m, fd, &size, e) == -1)
		return -1;
	m->files++;
	m->bytes += size;
	m->unexpected += !gc_path_is_expected(path);
	return set_known(m, path, &st, e);
}

int
gc_marks_next(struct gc_marks *m, struct err *e)
{
	const char *path;
	int fd, rv;

	if (m->next == m->nfound)
		return 0;
	path = m->found[m->next++];
	fd = path_open(m->root_fd, path, O_RDONLY, 0, e);
	if (fd == -1 && e->code == ERR_NOT_FOUND) {
		m->vanished = true;
		return 1;
	}
	if (fd == -1)
		return err_wrap(e, "cannot open index %s", STR_VIS(path));
	m->path = path;
	rv = mark_file(m, fd, path, e);
	m->path = "";
	close(fd);
	if (rv == -1 && e->code != ERR_ABORTED)
		err_wrap(e, "cannot read index %s", STR_VIS(path));
	return rv == -1 ? -1 : 1;
}

bool
gc_path_is_expected(const char *path)
{
	struct backup_snapshot snap;
	char name[SNAPSHOT_STR_MAX + 2];
	const char *end;

	while (strncmp(path, "ns/", 3) == 0) {
		if ((path = strchr(path + 3, '/')) == NULL)
			return false;
		path++;
	}
	end = strrchr(path, '/');
	if (end == NULL || (size_t)(end - path) >= sizeof(name))
		return false;
	memcpy(name, path, (size_t)(end - path));
	name[end - path] = '\0';
	return snapshot_parse(&snap, name, NULL) == 0;
}
