#ifndef SERVER_AUTH_SECRETS_H
#define SERVER_AUTH_SECRETS_H

#include <stdint.h>

struct err;

/*
 * Keys that never leave this process (the grant key: nor the validator), in
 * memory that is not swapped or dumped.
 */
#define SECRET_LEN 32

struct secrets {
	uint8_t grant[SECRET_LEN];
	uint8_t ticket[SECRET_LEN];
	uint8_t csrf[SECRET_LEN];
};

/* Once, before the sandbox. locked_out: 0 if the system does not let us lock
 * memory; it works all the same. */
struct secrets *secrets_new(int *locked_out);
void secrets_free(struct secrets **s);

/* ticket and csrf from dir/ticket.key, which is made if it is not there. */
int secrets_load_ticket(struct secrets *s, const char *dir, struct err *e);

/* HMAC-SHA256. */
void secrets_mac(const uint8_t key[SECRET_LEN], const void *data,
    unsigned int len, uint8_t mac[SECRET_LEN]);

#endif
