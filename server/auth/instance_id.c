/*
 * The id of this installation.  Runs in auth; the folder is its own.
 */
#include "config.h"

#include "server/auth/instance_id.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/str.h"

#define INSTANCE_ID_FILE "instance.id"

static int
make(int dirfd, char out[INSTANCE_ID_LEN + 1], struct err *e)
{
	uint8_t raw[INSTANCE_ID_LEN / 2];

	io_random(raw, sizeof(raw));
	str_hex(out, raw, sizeof(raw));
	return io_write_file_atomic(dirfd, INSTANCE_ID_FILE, out,
	    INSTANCE_ID_LEN, 0600, IO_F_FSYNC, e);
}

int
instance_id_load(const char *dir, char out[INSTANCE_ID_LEN + 1], struct err *e)
{
	uint8_t raw[INSTANCE_ID_LEN / 2];
	char *text = NULL;
	struct err why;
	size_t len;
	int fd, rv = -1;

	fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return -1;
	/* An editor may have left a newline. */
	if (io_read_file(fd, INSTANCE_ID_FILE, INSTANCE_ID_LEN + 2, &text, &len,
		&why) == 0) {
		len = strcspn(text, "\r\n");
		if (str_unhex(raw, sizeof(raw), text, len) == 0) {
			str_hex(out, raw, sizeof(raw));
			rv = 0;
		} else
			err_set(e, ERR_CORRUPT, "%s/%s is not %d digits", dir,
			    INSTANCE_ID_FILE, INSTANCE_ID_LEN);
	} else if (why.code == ERR_NOT_FOUND)
		rv = make(fd, out, e);
	else
		err_set(e, why.code, "%s/%s: %s", dir, INSTANCE_ID_FILE,
		    why.msg);
	free(text);
	io_close(&fd);
	return rv;
}
