#ifndef CLIENT_ACCESS_H
#define CLIENT_ACCESS_H

#include <stddef.h>
#include <stdint.h>

struct auth_id;
struct err;

/*
 * Credentials of holdfast: the password or secret, and tickets that "login"
 * keeps.
 */
#define SECRET_MAX 1025
#define TICKET_LIFETIME_S (2 * 3600 - 60)

struct ticket {
	char *ticket; /* owned */
	char *csrf;
	int64_t time; /* when it was given */
};

/* From PBS_PASSWORD, PBS_PASSWORD_FILE, or the terminal. */
int access_secret(const struct auth_id *who, const char *server,
    char secret[SECRET_MAX], struct err *e);
/* Whether one of the environment variables is set. */
int access_secret_given(void);

/* Lines for the head of a request; wipe and free. */
char *access_ticket_headers(const struct ticket *t);
char *access_token_headers(const struct auth_id *who, const char *secret);

void ticket_fini(struct ticket *t);
/* A kept ticket that is still good: 1, 0 if none.  The file is
 * tickets in the runtime folder; without such a folder nothing is kept. */
int ticket_recall(const struct auth_id *who, const char *server,
    struct ticket *out, struct err *e);
/* ticket NULL: forgets it. */
int ticket_keep(const struct auth_id *who, const char *server,
    const struct ticket *t, struct err *e);

#endif
