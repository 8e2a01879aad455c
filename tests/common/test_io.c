/*
 * Files and their failures.  write() and fsync() go through wrappers (the
 * linker's --wrap), so that the n-th call can be short or fail.
 */
#include "config.h"

#include "common/io.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"

static int fail_write_at, fail_fsync, short_writes;

ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

ssize_t
__wrap_write(int fd, const void *buf, size_t len)
{
	if (fail_write_at > 0 && --fail_write_at == 0) {
		errno = ENOSPC;
		return -1;
	}
	return __real_write(fd, buf, short_writes && len > 3 ? 3 : len);
}

int
__wrap_fsync(int fd)
{
	if (fail_fsync > 0 && --fail_fsync == 0) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

static char path[] = "/tmp/holdfast-io-XXXXXX";
static int dir;

static void
dir_make(void)
{
	cr_assert(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(dir >= 0);
}

static void
dir_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	cr_assert(system(cmd) == 0);
}

static int
entries(void)
{
	DIR *d = opendir(path);
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

Test(io, temp_names)
{
	static const struct {
		const char *name, *ext, *want;
	} cases[] = {
	    {"drive-scsi0.img.fidx", "tmp_fidx", "drive-scsi0.img.tmp_fidx"},
	    {"index.json.blob", "tmp", "index.json.tmp"},
	    {".gc-status", "tmp", ".gc-status.tmp"},
	    {"owner", "tmp", "owner.tmp"},
	};
	char dst[64], small[8];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect(io_temp_name(dst, sizeof(dst), cases[i].name,
			      cases[i].ext) == 0);
		cr_expect_str_eq(dst, cases[i].want);
	}
	cr_expect(io_temp_name(dst, sizeof(dst), "index.json.blob", NULL) == 0);
	cr_expect(strncmp(dst, "index.json.tmp_", 15) == 0);
	cr_expect(strlen(dst) == 21);
	cr_expect(io_temp_name(small, sizeof(small), "owner", "tmp") == -1);
}

Test(io, write_and_read_back, .init = dir_make, .fini = dir_remove)
{
	struct stat st;
	struct err e;
	char *data;
	size_t len;

	umask(077);
	short_writes = 1;
	cr_assert(io_write_file_atomic(dir, "a.blob", "content\0x", 9, 0644,
		      IO_F_FSYNC, &e) == 0,
	    "%s", e.msg);
	cr_assert(fstatat(dir, "a.blob", &st, 0) == 0);
	cr_assert((st.st_mode & 07777) == 0644, "whatever the umask");
	cr_assert(io_read_file(dir, "a.blob", 9, &data, &len, &e) == 0);
	cr_assert(len == 9 && memcmp(data, "content\0x", 10) == 0);
	free(data);
	cr_assert(entries() == 1);
	cr_assert(
	    io_write_file_atomic(dir, "a.blob", "new", 3, 0600, 0, &e) == 0);
	cr_assert(io_read_file(dir, "a.blob", 9, &data, &len, &e) == 0);
	cr_assert_str_eq(data, "new");
	free(data);
}

Test(io, noreplace, .init = dir_make, .fini = dir_remove)
{
	struct err e;

	cr_assert(io_write_file_atomic(dir, "a", "1", 1, 0600, IO_F_NOREPLACE,
		      &e) == 0);
	cr_assert(io_write_file_atomic(dir, "a", "2", 1, 0600, IO_F_NOREPLACE,
		      &e) == -1);
	cr_assert(e.code == ERR_EXISTS);
	cr_assert(entries() == 1, "no temporary file stays");
}

Test(io, failed_write_leaves_the_old_file, .init = dir_make, .fini = dir_remove)
{
	struct err e;
	char *data;
	size_t len;
	int n;

	cr_assert(io_write_file_atomic(dir, "a", "old", 3, 0600, 0, &e) == 0);
	short_writes = 1;
	for (n = 1; n <= 3; n++) {
		fail_write_at = n;
		cr_assert(io_write_file_atomic(dir, "a", "123456789", 9, 0600,
			      0, &e) == -1);
		cr_assert(e.code == ERR_NOSPACE && e.sys == ENOSPC);
		cr_assert(entries() == 1);
		cr_assert(io_read_file(dir, "a", 9, &data, &len, &e) == 0);
		cr_assert_str_eq(data, "old");
		free(data);
	}
}

Test(io, failed_fsync_is_reported, .init = dir_make, .fini = dir_remove)
{
	struct err e;

	/* The file's, then the folder's. */
	fail_fsync = 1;
	cr_assert(
	    io_write_file_atomic(dir, "a", "1", 1, 0600, IO_F_FSYNC, &e) == -1);
	cr_assert(e.code == ERR_IO && entries() == 0);
	fail_fsync = 2;
	cr_assert(
	    io_write_file_atomic(dir, "a", "1", 1, 0600, IO_F_FSYNC, &e) == -1);
	cr_assert(e.code == ERR_IO);
}

Test(io, read_file_refuses, .init = dir_make, .fini = dir_remove)
{
	struct err e;
	char *data;
	size_t len;

	cr_assert(io_write_file_atomic(dir, "a", "12345", 5, 0600, 0, &e) == 0);
	cr_assert(symlinkat("a", dir, "link") == 0);
	cr_assert(mkfifoat(dir, "fifo", 0600) == 0);
	cr_assert(mkdirat(dir, "folder", 0700) == 0);
	cr_expect(io_read_file(dir, "a", 4, &data, &len, &e) == -1 &&
	    e.code == ERR_LIMIT && data == NULL);
	cr_expect(io_read_file(dir, "none", 9, &data, &len, &e) == -1 &&
	    e.code == ERR_NOT_FOUND);
	cr_expect(io_read_file(dir, "link", 9, &data, &len, &e) == -1 &&
	    e.sys == ELOOP);
	cr_expect(io_read_file(dir, "fifo", 9, &data, &len, &e) == -1);
	cr_expect(io_read_file(dir, "folder", 9, &data, &len, &e) == -1);
}

Test(io, whole_reads)
{
	struct err e;
	char buf[8] = "";
	int fds[2];

	cr_assert(io_pipe(fds, &e) == 0);
	cr_assert(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	cr_assert(io_write_full(fds[1], "abcdef", 6, &e) == 0);
	cr_assert(io_read_full(fds[0], buf, 4, &e) == 0);
	cr_assert_str_eq(buf, "abcd");
	io_close(&fds[1]);
	cr_assert(fds[1] == -1);
	cr_assert(io_read_full(fds[0], buf, 4, &e) == -1);
	cr_assert(e.code == ERR_CORRUPT, "an early end");
	io_close(&fds[0]);
	io_close(&fds[0]);
}

Test(io, positioned)
{
	struct err e;
	char buf[4] = "";
	int fd = io_memfd("x", 8, 0, &e);

	cr_assert(io_pwrite_full(fd, "yz", 2, 5, &e) == 0);
	cr_assert(io_pread_full(fd, buf, 3, 5, &e) == 0);
	cr_assert(memcmp(buf, "yz", 3) == 0);
	cr_assert(io_pread_full(fd, buf, 4, 5, &e) == -1);
	io_close(&fd);
}

Test(io, memory_file_with_data_cannot_change)
{
	struct err e;
	char buf[4] = "";
	int fd = io_memfd_data("x", "abc", 3, &e);

	cr_assert(io_read_full(fd, buf, 3, &e) == 0);
	cr_assert_str_eq(buf, "abc");
	cr_assert(pwrite(fd, "z", 1, 0) == -1);
	cr_assert(ftruncate(fd, 0) == -1);
	cr_assert(fcntl(fd, F_ADD_SEALS, 0) == -1);
	io_close(&fd);
}

Test(io, clocks_and_ids)
{
	uint64_t a = io_boottime_ms(), b = io_monotonic_ms();
	char id[37], again[37];
	struct err e;

	cr_expect(io_boottime_ms() >= a && io_monotonic_ms() >= b);
	cr_expect(io_realtime_s() > 1600000000);
	cr_assert(io_boot_id(id, &e) == 0 && io_boot_id(again, &e) == 0);
	cr_expect(strlen(id) == 36);
	cr_expect_str_eq(id, again);
}
