#ifndef SERVER_ADDRESS_COUNT_H
#define SERVER_ADDRESS_COUNT_H

#include <stddef.h>
#include <stdint.h>

struct address_count;
struct sockaddr;

/*
 * How many connections each client address has.  A whole /64 of IPv6 counts
 * as one address, since everybody has one; IPv4 in IPv6 counts as IPv4.
 */
struct address_key {
	uint8_t bytes[9]; /* family, then the address or its network */
};

#define ADDRESS_TEXT_MAX 64

void address_key_set(struct address_key *key, const struct sockaddr *sa);
/* "192.0.2.1:1234", "[2001:db8::1]:1234"; "?" for other families. */
void address_text(char dst[ADDRESS_TEXT_MAX], const struct sockaddr *sa);

struct address_count *address_count_new(void);
void address_count_free(struct address_count *c);
/* The number of connections now; add fails (0) if it would pass max. */
unsigned int address_count_add(struct address_count *c,
    const struct address_key *key, unsigned int max);
void address_count_remove(struct address_count *c,
    const struct address_key *key);
size_t address_count_size(const struct address_count *c);

/* "127.0.0.1:8007", "[::]:8007": 0 with the address, or -1. */
struct sockaddr_storage;
struct err;
int address_parse(struct sockaddr_storage *out, const char *text,
    struct err *e);

#endif
