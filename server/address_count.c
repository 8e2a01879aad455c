/*
 * Addresses of clients and how often each is connected.  Runs in the master;
 * addresses come from the kernel, texts from the operator.
 */
#include "config.h"

#include "server/address_count.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/str.h"

#define ADDRESS_BUCKETS 1024

struct address_node {
	LIST_ENTRY(address_node) link;
	struct address_key key;
	unsigned int count;
};
LIST_HEAD(address_bucket, address_node);

struct address_count {
	struct address_bucket buckets[ADDRESS_BUCKETS];
	uint64_t seed; /* so that nobody can choose who shares a bucket */
	size_t size;
};

/* --- addresses ----------------------------------------------------------- */

/* The IPv4 address that an IPv6 one stands for, or NULL. */
static const uint8_t *
address_mapped(const struct sockaddr_in6 *in6)
{
	return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)
	    ? in6->sin6_addr.s6_addr + 12
	    : NULL;
}

void
address_key_set(struct address_key *key, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	const uint8_t *v4 = NULL;

	memset(key, 0, sizeof(*key));
	if (sa->sa_family == AF_INET)
		v4 = (const uint8_t *)&((const struct sockaddr_in *)sa)
			 ->sin_addr;
	else if (sa->sa_family == AF_INET6)
		v4 = address_mapped(in6);
	if (v4 != NULL) {
		key->bytes[0] = 4;
		memcpy(key->bytes + 1, v4, 4);
	} else if (sa->sa_family == AF_INET6) {
		key->bytes[0] = 6;
		memcpy(key->bytes + 1, in6->sin6_addr.s6_addr, 8);
	}
}

void
address_text(char dst[ADDRESS_TEXT_MAX], const struct sockaddr *sa)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	char ip[INET6_ADDRSTRLEN];

	if (sa->sa_family == AF_INET &&
	    inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip)) != NULL)
		snprintf(dst, ADDRESS_TEXT_MAX, "%s:%u", ip,
		    ntohs(in->sin_port));
	else if (sa->sa_family == AF_INET6 && address_mapped(in6) != NULL &&
	    inet_ntop(AF_INET, address_mapped(in6), ip, sizeof(ip)) != NULL)
		snprintf(dst, ADDRESS_TEXT_MAX, "%s:%u", ip,
		    ntohs(in6->sin6_port));
	else if (sa->sa_family == AF_INET6 &&
	    inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip)) != NULL)
		snprintf(dst, ADDRESS_TEXT_MAX, "[%s]:%u", ip,
		    ntohs(in6->sin6_port));
	else
		snprintf(dst, ADDRESS_TEXT_MAX, "?");
}

/* The host part of "host:port" without its brackets; -1 if there is none. */
static int
address_split(const char *text, char host[INET6_ADDRSTRLEN], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	uint64_t n;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL)
		return -1;
	if (len == 0 || len >= INET6_ADDRSTRLEN ||
	    str_to_u64(colon + 1, 1, UINT16_MAX, &n) == -1)
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = (uint16_t)n;
	return 0;
}

int
address_parse(struct sockaddr_storage *out, const char *text, struct err *e)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	char host[INET6_ADDRSTRLEN];
	uint16_t port;

	memset(out, 0, sizeof(*out));
	if (address_split(text, host, &port) == -1)
		goto bad;
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return 0;
	}
bad:
	return err_set(e, ERR_INVALID,
	    "'%s' is not an address and port like 127.0.0.1:8007 or [::]:8007",
	    STR_VIS(text));
}

/* --- counting ------------------------------------------------------------ */

struct address_count *
address_count_new(void)
{
	struct address_count *c = xcalloc(1, sizeof(*c));

	io_random(&c->seed, sizeof(c->seed));
	return c;
}

void
address_count_free(struct address_count *c)
{
	struct address_node *n;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < ADDRESS_BUCKETS; i++) {
		while ((n = LIST_FIRST(&c->buckets[i])) != NULL) {
			LIST_REMOVE(n, link);
			free(n);
		}
	}
	free(c);
}

/* FNV-1a, keyed by its start. */
static struct address_bucket *
address_bucket(struct address_count *c, const struct address_key *key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ c->seed;
	size_t i;

	for (i = 0; i < sizeof(key->bytes); i++)
		h = (h ^ key->bytes[i]) * UINT64_C(0x100000001b3);
	return &c->buckets[(h >> 32) % ADDRESS_BUCKETS];
}

static struct address_node *
address_find(struct address_count *c, const struct address_key *key)
{
	struct address_node *n;

	LIST_FOREACH(n, address_bucket(c, key), link) {
		if (memcmp(&n->key, key, sizeof(*key)) == 0)
			return n;
	}
	return NULL;
}

unsigned int
address_count_add(struct address_count *c, const struct address_key *key,
    unsigned int max)
{
	struct address_node *n = address_find(c, key);

	if (max == 0 || (n != NULL && n->count >= max))
		return 0;
	if (n == NULL) {
		n = xcalloc(1, sizeof(*n));
		n->key = *key;
		LIST_INSERT_HEAD(address_bucket(c, key), n, link);
		c->size++;
	}
	return ++n->count;
}

void
address_count_remove(struct address_count *c, const struct address_key *key)
{
	struct address_node *n = address_find(c, key);

	if (n == NULL || --n->count > 0)
		return;
	LIST_REMOVE(n, link);
	free(n);
	c->size--;
}

size_t
address_count_size(const struct address_count *c)
{
	return c->size;
}
