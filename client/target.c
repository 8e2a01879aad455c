/*
 * The output of holdfast restore.
 */
#include "config.h"

#include "client/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/source.h"
#include "common/err.h"
#include "common/io.h"

#define NEW_MODE 0600 /* an image holds everybody's secrets */

static int
check_device(const struct target *t, uint64_t size, struct err *e)
{
	uint64_t room;

	if (ioctl(t->fd, BLKGETSIZE64, &room) == -1)
		return err_errno(e, errno, "cannot measure %s", t->path);
	if (room < size)
		return err_set(e, ERR_NOSPACE, "%s is smaller than the image",
		    t->path);
	return 0;
}

/* A file or device that is there. */
static int
open_existing(struct target *t, uint64_t size, bool overwrite, struct err *e)
{
	struct stat st;

	if (!overwrite)
		return err_set(e, ERR_EXISTS,
		    "%s exists: say --overwrite to write to it", t->path);
	t->fd = io_openat(AT_FDCWD, t->path, O_RDWR, 0, e);
	if (t->fd == -1)
		return -1;
	if (fstat(t->fd, &st) == -1)
		return err_errno(e, errno, "cannot look at %s", t->path);
	if (S_ISBLK(st.st_mode))
		return check_device(t, size, e);
	if (!S_ISREG(st.st_mode)) {
		t->in_order = true;
		return 0;
	}
	if (ftruncate(t->fd, 0) == -1)
		return err_errno(e, errno, "cannot empty %s", t->path);
	t->is_blank = true;
	return 0;
}

int
target_open(struct target *t, const char *path, uint64_t size, bool overwrite,
    struct err *e)
{
	int rv = 0;

	memset(t, 0, sizeof(*t));
	t->path = path;
	if (strcmp(path, "-") == 0) {
		t->path = "standard output";
		t->fd = STDOUT_FILENO;
		t->in_order = true;
		return 0;
	}
	t->fd =
	    io_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, NEW_MODE, e);
	if (t->fd != -1)
		t->is_new = t->is_blank = true;
	else if (e->code == ERR_EXISTS)
		rv = open_existing(t, size, overwrite, e);
	else
		return -1;
	if (rv == 0 && t->is_blank && ftruncate(t->fd, (off_t)size) == -1)
		rv = err_errno(e, errno, "cannot make %s that long", path);
	if (rv == -1)
		(void)target_close(t, true, NULL);
	return rv;
}

int
target_write(struct target *t, uint64_t off, const void *data, size_t len,
    struct err *e)
{
	int rv;

	if (t->in_order)
		rv = io_write_full(t->fd, data, len, e);
	else if (t->is_blank && bytes_are_zero(data, len))
		rv = 0;
	else
		rv = io_pwrite_full(t->fd, data, len, (off_t)off, e);
	return rv == -1 ? err_wrap(e, "%s", t->path) : 0;
}

int
target_close(struct target *t, bool failed, struct err *e)
{
	int rv = 0;

	if (!failed && !t->in_order && fsync(t->fd) == -1)
		rv = err_errno(e, errno, "cannot write %s", t->path);
	if (t->fd != STDOUT_FILENO)
		io_close(&t->fd);
	if (failed && t->is_new)
		(void)unlink(t->path);
	return rv;
}
