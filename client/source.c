/*
 * Reading disk images for holdfast.  They may change while they are read: a
 * backup of a file system in use is as consistent as its user made it.
 */
#include "config.h"

#include "client/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

static int
measure(struct source *s, struct err *e)
{
	struct stat st;

	if (fstat(s->fd, &st) == -1)
		return err_errno(e, errno, "cannot look at %s", s->path);
	if (S_ISREG(st.st_mode)) {
		s->size = (uint64_t)st.st_size;
		s->has_holes = lseek(s->fd, 0, SEEK_HOLE) != (off_t)-1;
	} else if (S_ISBLK(st.st_mode)) {
		if (ioctl(s->fd, BLKGETSIZE64, &s->size) == -1)
			return err_errno(e, errno, "cannot measure %s",
			    s->path);
	} else if (S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_UNSUPPORTED,
		    "%s is a folder: folders cannot be backed up yet, only "
		    "images and single files",
		    s->path);
	} else {
		return err_set(e, ERR_PARAM,
		    "%s is neither a file nor a block device", s->path);
	}
	if (s->size == 0)
		return err_set(e, ERR_PARAM, "%s is empty", s->path);
	return 0;
}

int
source_open(struct source *s, const char *path, struct err *e)
{
	memset(s, 0, sizeof(*s));
	s->path = xstrdup(path);
	/* Not blocked by a FIFO that nobody writes to. */
	s->fd = io_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, e);
	if (s->fd == -1 || measure(s, e) == -1) {
		source_close(s);
		return -1;
	}
	(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

void
source_close(struct source *s)
{
	io_close(&s->fd);
	free(s->path);
	s->path = NULL;
}

int
source_read(const struct source *s, uint64_t off, void *buf, size_t len,
    struct err *e)
{
	if (io_pread_full(s->fd, buf, len, (off_t)off, e) == 0)
		return 0;
	if (e->code == ERR_CORRUPT)
		return err_set(e, ERR_IO, "%s became shorter while it was read",
		    s->path);
	return err_wrap(e, "%s", s->path);
}

bool
source_is_hole(const struct source *s, uint64_t off, size_t len)
{
	off_t data;

	if (!s->has_holes)
		return false;
	/* The file position that this moves is used by nobody. */
	data = lseek(s->fd, (off_t)off, SEEK_DATA);
	if (data == (off_t)-1)
		return errno == ENXIO;
	return (uint64_t)data >= off + len;
}

bool
bytes_are_zero(const void *buf, size_t len)
{
	const unsigned char *p = buf;

	/* Equal to itself moved by one: then all bytes are the first one. */
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}
