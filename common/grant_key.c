/*
 * The key behind all grants.  Read by auth and by the validator at start-up,
 * still with the privileges they were started with; whichever comes first
 * makes it.  The folder is root's (or the one user's), never a client's.
 */
#include "config.h"

#include "common/grant.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/proc.h"

#define GRANT_KEY_GROUP "holdfast-grant"
#define GRANT_KEY_MODE 0640

/* 0, or -1 with ERR_NOT_FOUND if there is none yet. */
static int
key_read(const char *path, uint8_t key[GRANT_KEY_LEN], struct err *e)
{
	uint8_t extra;
	struct stat st;
	int fd, rv = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return err_errno(e, errno, "cannot open grant key %s", path);
	if (fstat(fd, &st) == -1) {
		err_errno(e, errno, "grant key %s", path);
	} else if (!S_ISREG(st.st_mode) || st.st_size != GRANT_KEY_LEN) {
		err_set(e, ERR_CORRUPT,
		    "grant key %s is not a file of %d bytes", path,
		    GRANT_KEY_LEN);
	} else if ((st.st_mode & 07027) != 0 ||
	    (st.st_uid != 0 && st.st_uid != geteuid())) {
		err_set(e, ERR_PERM,
		    "grant key %s: wrong owner or mode, must be %o or less",
		    path, GRANT_KEY_MODE);
	} else if (io_read_full(fd, key, GRANT_KEY_LEN, e) == 0) {
		rv = read(fd, &extra, 1) == 0
		    ? 0
		    : err_set(e, ERR_CORRUPT, "grant key %s grew", path);
	}
	close(fd);
	return rv;
}

static int
key_fill(int fd, const uint8_t key[GRANT_KEY_LEN], struct err *e)
{
	struct err ignored;
	gid_t gid;

	if (geteuid() == 0 &&
	    proc_group(GRANT_KEY_GROUP, &gid, &ignored) == 0 &&
	    fchown(fd, (uid_t)-1, gid) == -1)
		return err_errno(e, errno, "group of the grant key");
	if (fchmod(fd, GRANT_KEY_MODE) == -1)
		return err_errno(e, errno, "mode of the grant key");
	if (io_write_full(fd, key, GRANT_KEY_LEN, e) == -1)
		return -1;
	return io_fsync(fd, "grant key", e);
}

/* A whole file appears under the name, or none; ERR_EXISTS if another process
 * was faster. */
static int
key_make(const char *path, struct err *e)
{
	uint8_t key[GRANT_KEY_LEN];
	char *tmp = xasprintf("%s.XXXXXX", path);
	int fd, rv = -1;

	io_random(key, sizeof(key));
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd == -1) {
		err_errno(e, errno, "cannot make grant key %s", path);
		goto out;
	}
	if (key_fill(fd, key, e) == -1)
		;
	else if (link(tmp, path) == -1)
		err_errno(e, errno, "cannot make grant key %s", path);
	else
		rv = 0;
	unlink(tmp);
	if (rv == 0)
		rv = io_fsync_parent(path, e);
	close(fd);
out:
	mem_wipe(key, sizeof(key));
	free(tmp);
	return rv;
}

/* What to do about it, for who reads the log. */
static int
key_refused(struct err *e, const struct err *why, const char *hint)
{
	if (why->sys != EACCES && why->sys != EPERM)
		hint = "";
	return err_set(e, why->code, "%s%s", why->msg, hint);
}

int
grant_key_load(const char *path, uint8_t key[GRANT_KEY_LEN], struct err *e)
{
	struct err why;

	if (key_read(path, key, &why) == 0)
		return 0;
	if (why.code != ERR_NOT_FOUND)
		return key_refused(e, &why,
		    " (only for root and group " GRANT_KEY_GROUP ")");
	if (key_make(path, &why) == -1 && why.code != ERR_EXISTS)
		return key_refused(e, &why,
		    " (make it as root: holdfast-validator -k)");
	return key_read(path, key, e);
}
