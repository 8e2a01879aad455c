#ifndef SERVER_AUTH_TICKET_H
#define SERVER_AUTH_TICKET_H

#include <stddef.h>
#include <stdint.h>

#include "common/ipc_fields.h"

struct err;
struct secrets;

/*
 * Tickets and CSRF tokens (wire-protocol 2.2): signed statements that auth
 * makes and only auth reads, so an HMAC is enough.  Whether the user still
 * exists is for the caller to find out.
 */
#define TICKET_LIFETIME_S 7200
#define TICKET_FUTURE_S 300
/* "PBS:", an encoded user id, time, signature: see MSG_LOGGED_IN. */
#define TICKET_MAX 1024
#define CSRF_MAX 512

int ticket_make(const struct secrets *s, const char *userid, int64_t now,
    char out[TICKET_MAX + 1], struct err *e);
int csrf_make(const struct secrets *s, const char *userid, int64_t now,
    char out[CSRF_MAX + 1], struct err *e);

/* ticket need not end in a NUL.  0 and the user's id, or -1 with ERR_AUTH;
 * the text is for a log, and no answer to a client. */
int ticket_check(const struct secrets *s, const void *ticket, size_t len,
    int64_t now, char userid_out[IPC_AUTHID_MAX + 1], struct err *e);
int csrf_check(const struct secrets *s, const char *userid, const void *csrf,
    size_t len, int64_t now, struct err *e);

#endif
