/*
 * The log of a session's uploads, in the session folder.  Written by store
 * threads once a chunk is in the store; read when an index refers to one.
 */
#include "config.h"

#include "validator/store/deposit_log.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>

#include "common/err.h"
#include "common/io.h"
#include "common/wire.h"

int
deposit_log_open(int dirfd, struct err *e)
{
	return io_openat(dirfd, DEPOSIT_LOG_NAME, O_RDWR | O_CREAT | O_NOFOLLOW,
	    0600, e);
}

int
deposit_log_put(int fd, uint32_t number, const struct digest *d, uint32_t size,
    struct err *e)
{
	uint8_t entry[DEPOSIT_ENTRY_LEN];
	struct wire_w w;

	wire_w_init(&w, entry, sizeof(entry));
	wire_w_bytes(&w, d->b, sizeof(d->b));
	wire_w_u32(&w, size);
	return io_pwrite_full(fd, entry, sizeof(entry),
	    (off_t)number * DEPOSIT_ENTRY_LEN, e);
}

int
deposit_log_get(int fd, uint32_t number, struct digest *d_out,
    uint32_t *size_out, struct err *e)
{
	uint8_t entry[DEPOSIT_ENTRY_LEN];
	uint64_t count = 0;
	struct wire_r r;

	if (deposit_log_count(fd, &count, e) == -1)
		return -1;
	if (number >= count)
		return err_set(e, ERR_NOT_FOUND, "no deposit %u", number);
	if (io_pread_full(fd, entry, sizeof(entry),
		(off_t)number * DEPOSIT_ENTRY_LEN, e) == -1)
		return -1;
	wire_r_init(&r, entry, sizeof(entry));
	wire_r_copy(&r, d_out->b, sizeof(d_out->b));
	*size_out = wire_r_u32(&r);
	if (*size_out == 0)
		return err_set(e, ERR_NOT_FOUND, "deposit %u is empty", number);
	return 0;
}

int
deposit_log_count(int fd, uint64_t *count_out, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(e, errno, "stat the deposit log");
	*count_out = (uint64_t)st.st_size / DEPOSIT_ENTRY_LEN;
	return 0;
}
