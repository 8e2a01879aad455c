#ifndef CLIENT_REPOSITORY_H
#define CLIENT_REPOSITORY_H

#include <stdint.h>

#include "common/format/auth_id.h"
#include "common/format/names.h"

struct err;

#define REPOSITORY_PORT 8007
#define REPOSITORY_HOST_MAX 255

/* [[user@realm[!token]@]host[:port]:]datastore; missing parts are filled in:
 * root@pam, localhost, 8007. */
struct repository {
	struct auth_id auth_id;
	char host[REPOSITORY_HOST_MAX + 1]; /* an IPv6 address without [] */
	uint16_t port;
	char store[DATASTORE_NAME_MAX + 1];
};

int repository_parse(struct repository *out, const char *text, struct err *e);
/* "host:port" or "[address]:port"; returns dst. */
#define REPOSITORY_SERVER_MAX (REPOSITORY_HOST_MAX + 16)
char *repository_server(const struct repository *r,
    char dst[REPOSITORY_SERVER_MAX]);

#endif
