/*
 * Whole reads and writes, small files, memory files and clocks.  May block on
 * a disk, so event loops use only the memory files and clocks.
 */
#include "config.h"

#include "common/io.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"

/* Linux moves at most this many bytes in one call. */
#define IO_STEP_MAX 0x7ffff000u

/* off -1: at the file position. */
static int
read_all(int fd, void *buf, size_t len, off_t off, struct err *e)
{
	size_t done = 0, step;
	ssize_t n;

	while (done < len) {
		step = len - done < IO_STEP_MAX ? len - done : IO_STEP_MAX;
		n = off == -1
		    ? read(fd, (char *)buf + done, step)
		    : pread(fd, (char *)buf + done, step, off + (off_t)done);
		if (n == 0)
			return err_set(e, ERR_CORRUPT,
			    "unexpected end of file");
		if (n == -1 && errno != EINTR)
			return err_errno(e, errno, "read failed");
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

static int
write_all(int fd, const void *buf, size_t len, off_t off, struct err *e)
{
	size_t done = 0, step;
	ssize_t n;

	while (done < len) {
		step = len - done < IO_STEP_MAX ? len - done : IO_STEP_MAX;
		n = off == -1 ? write(fd, (const char *)buf + done, step)
			      : pwrite(fd, (const char *)buf + done, step,
				    off + (off_t)done);
		if (n == -1 && errno != EINTR)
			return err_errno(e, errno, "write failed");
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

int
io_read_full(int fd, void *buf, size_t len, struct err *e)
{
	return read_all(fd, buf, len, -1, e);
}

int
io_pread_full(int fd, void *buf, size_t len, off_t off, struct err *e)
{
	return read_all(fd, buf, len, off, e);
}

int
io_write_full(int fd, const void *buf, size_t len, struct err *e)
{
	return write_all(fd, buf, len, -1, e);
}

int
io_pwrite_full(int fd, const void *buf, size_t len, off_t off, struct err *e)
{
	return write_all(fd, buf, len, off, e);
}

int
io_openat(int dirfd, const char *name, int flags, mode_t mode, struct err *e)
{
	int fd;

	do
		fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
	while (fd == -1 && errno == EINTR);
	if (fd == -1)
		return err_errno(e, errno, "open \"%s\"", name);
	return fd;
}

void
io_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int
io_pipe(int fds_out[2], struct err *e)
{
	if (pipe2(fds_out, O_CLOEXEC) == -1) {
		fds_out[0] = fds_out[1] = -1;
		return err_errno(e, errno, "pipe");
	}
	return 0;
}

int
io_set_nonblock(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return err_errno(e, errno, "make a descriptor non-blocking");
	return 0;
}

int
io_fsync(int fd, const char *what, struct err *e)
{
	if (fsync(fd) == -1)
		return err_errno(e, errno, "fsync \"%s\"", what);
	return 0;
}

int
io_fsync_parent(const char *path, struct err *e)
{
	char *copy = xstrdup(path);
	int fd, rv = -1;

	fd = io_openat(AT_FDCWD, dirname(copy), O_RDONLY | O_DIRECTORY, 0, e);
	if (fd != -1)
		rv = io_fsync(fd, path, e);
	io_close(&fd);
	free(copy);
	return rv;
}

int
io_syncfs(int fd, const char *what, struct err *e)
{
	if (syncfs(fd) == -1)
		return err_errno(e, errno, "syncfs \"%s\"", what);
	return 0;
}

int
io_read_file(int dirfd, const char *name, size_t max, char **data_out,
    size_t *len_out, struct err *e)
{
	char *data = NULL;
	struct stat st;
	int fd, rv = -1;

	*data_out = NULL;
	*len_out = 0;
	/* O_NONBLOCK: a fifo must not hold us up before fstat() refuses it. */
	fd = io_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		err_errno(e, errno, "stat \"%s\"", name);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_CORRUPT, "\"%s\" is not a regular file", name);
		goto out;
	}
	if ((uint64_t)st.st_size > max) {
		err_set(e, ERR_LIMIT, "\"%s\" is longer than %zu bytes", name,
		    max);
		goto out;
	}
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL) {
		err_set(e, ERR_NOMEM, "out of memory for \"%s\"", name);
		goto out;
	}
	if (io_read_full(fd, data, (size_t)st.st_size, e) == -1) {
		err_wrap(e, "\"%s\"", name);
		goto out;
	}
	data[st.st_size] = '\0';
	*data_out = data;
	*len_out = (size_t)st.st_size;
	data = NULL;
	rv = 0;
out:
	free(data);
	io_close(&fd);
	return rv;
}

int
io_temp_name(char *dst, size_t dst_size, const char *name, const char *ext)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *dot = strrchr(name, '.');
	size_t stem =
	    dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
	char random_ext[] = "tmp_XXXXXX";
	uint8_t bytes[6];
	size_t i;
	int n;

	if (ext == NULL) {
		io_random(bytes, sizeof(bytes));
		for (i = 0; i < sizeof(bytes); i++)
			random_ext[4 + i] =
			    letters[bytes[i] % (sizeof(letters) - 1)];
		ext = random_ext;
	}
	n = snprintf(dst, dst_size, "%.*s.%s", (int)stem, name, ext);
	return n < 0 || (size_t)n >= dst_size ? -1 : 0;
}

static int
write_temp(int dirfd, const char *temp, const void *data, size_t len,
    mode_t mode, unsigned int flags, struct err *e)
{
	int fd, rv = -1;

	fd = io_openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
	    0600, e);
	if (fd == -1)
		return -1;
	if (io_write_full(fd, data, len, e) == -1)
		goto out;
	if (fchmod(fd, mode) == -1) {
		err_errno(e, errno, "chmod \"%s\"", temp);
		goto out;
	}
	if ((flags & IO_F_FSYNC) && io_fsync(fd, temp, e) == -1)
		goto out;
	rv = 0;
out:
	/* Some file systems report a failed write only here. */
	if (close(fd) == -1 && rv == 0)
		rv = err_errno(e, errno, "close \"%s\"", temp);
	return rv;
}

int
io_write_file_atomic(int dirfd, const char *name, const void *data, size_t len,
    mode_t mode, unsigned int flags, struct err *e)
{
	char temp[256];

	if (io_temp_name(temp, sizeof(temp), name, NULL) == -1)
		return err_set(e, ERR_INVALID, "name \"%s\" is too long", name);
	if (write_temp(dirfd, temp, data, len, mode, flags, e) == -1)
		goto fail;
	if (renameat2(dirfd, temp, dirfd, name,
		flags & IO_F_NOREPLACE ? RENAME_NOREPLACE : 0) == -1) {
		err_errno(e, errno, "rename to \"%s\"", name);
		goto fail;
	}
	if ((flags & IO_F_FSYNC) == 0 ||
	    (dirfd == AT_FDCWD ? io_fsync_parent(name, e)
			       : io_fsync(dirfd, "folder", e)) == 0)
		return 0;
	if (e != NULL)
		e->code = ERR_IO; /* whatever the reason */
	return -1;
fail:
	unlinkat(dirfd, temp, 0);
	return err_wrap(e, "write \"%s\"", name);
}

int
io_memfd(const char *name, size_t size, int seals, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return err_errno(e, errno, "memory file \"%s\"", name);
	if (ftruncate(fd, (off_t)size) == -1 ||
	    (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) == -1)) {
		err_errno(e, errno, "memory file \"%s\"", name);
		io_close(&fd);
		return -1;
	}
	return fd;
}

int
io_memfd_data(const char *name, const void *data, size_t len, struct err *e)
{
	int fd = io_memfd(name, 0, 0, e);

	if (fd == -1)
		return -1;
	if (io_write_full(fd, data, len, e) == -1)
		goto fail;
	if (fcntl(fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ==
	    -1) {
		err_errno(e, errno, "seal memory file \"%s\"", name);
		goto fail;
	}
	if (lseek(fd, 0, SEEK_SET) == -1) {
		err_errno(e, errno, "rewind memory file \"%s\"", name);
		goto fail;
	}
	return fd;
fail:
	io_close(&fd);
	return -1;
}

static struct timespec
clock_read(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		fatal_sys("io", "clock %d", (int)clock);
	return ts;
}

uint64_t
io_boottime_ms(void)
{
	struct timespec ts = clock_read(CLOCK_BOOTTIME);

	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
io_monotonic_ms(void)
{
	struct timespec ts = clock_read(CLOCK_MONOTONIC);

	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t
io_realtime_s(void)
{
	return clock_read(CLOCK_REALTIME).tv_sec;
}

int
io_boot_id(char dst[37], struct err *e)
{
	int fd, rv;

	fd = io_openat(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0,
	    e);
	if (fd == -1)
		return -1;
	rv = io_read_full(fd, dst, 36, e);
	dst[rv == 0 ? 36 : 0] = '\0';
	io_close(&fd);
	return rv;
}

void
io_random(void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = getrandom((char *)buf + done, len - done, 0);
		if (n == -1 && errno != EINTR)
			fatal_sys("io", "getrandom");
		if (n > 0)
			done += (size_t)n;
	}
}
