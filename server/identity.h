#ifndef SERVER_IDENTITY_H
#define SERVER_IDENTITY_H

#include "common/msg.h"
#include "server/request.h"

struct err;

/*
 * Who a request claims to be (wire-protocol 2.1 to 2.3): the question to put
 * to auth.  Its pointers lead into the struct itself.
 */
struct identity {
	struct msg_VERIFY verify;
	char secret[2048 + 1];
	char csrf[512 + 1];
};

/* ERR_AUTH if the request brings no credentials that could be true.  To be
 * wiped with identity_fini() in any case. */
int identity_parse(struct identity *out, const struct request *req,
    const char *peer, struct err *e);
void identity_fini(struct identity *id);

#endif
