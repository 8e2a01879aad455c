/*
 * Answers of any length: JSON in a sealed memory file.  Runs in auth.
 */
#include "config.h"

#include <stdlib.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/wire.h"
#include "server/auth/auth.h"

/* The only field of ACCESS_REPLY and of CTL_REPLY is a u64: the size. */
int
reply_json(struct ipc *c, uint16_t type, uint64_t seq, const struct json *j,
    struct err *e)
{
	uint8_t body[8];
	struct wire_w w;
	size_t len;
	char *text = json_compact(j, &len);
	int fd = io_memfd_data("holdfast-reply", text, len, e);
	int rv = -1;

	/* It may hold a new token's secret. */
	mem_wipe_free(text, len);
	if (fd == -1)
		return -1;
	wire_w_init(&w, body, sizeof(body));
	wire_w_u64(&w, len);
	rv = ipc_send_fds(c, type, 0, seq, body, sizeof(body), &fd, 1, e);
	io_close(&fd);
	return rv;
}
