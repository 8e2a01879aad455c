/*
 * Growing delays against guessing.  Runs in auth; names and addresses come
 * from workers.  A keyed hash picks the place in a table of fixed size; two
 * pairs that share a place only make each other slower, by 2 s at most, and
 * two addresses share their failures.
 */
#include "config.h"

#include "server/auth/guess_delay.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/mem.h"
#include "common/token_bucket.h"
#include "server/auth/secrets.h"

struct guess_slot {
	uint64_t last_ms;
	uint32_t failures;
};

struct guess_delay {
	uint8_t key[SECRET_LEN];
	struct guess_slot slots[GUESS_SLOTS];
	unsigned int per_address;
	struct token_bucket addresses[GUESS_SLOTS]; /* burst 0: unused */
};

struct guess_delay *
guess_delay_new(unsigned int per_address)
{
	struct guess_delay *g = xcalloc(1, sizeof(*g));

	g->per_address = per_address;
	io_random(g->key, sizeof(g->key));
	return g;
}

void
guess_delay_free(struct guess_delay **g)
{
	free(*g);
	*g = NULL;
}

static uint32_t
guess_place(const struct guess_delay *g, const void *text, size_t len)
{
	uint8_t mac[SECRET_LEN];
	uint32_t i;

	secrets_mac(g->key, text, (unsigned int)len, mac);
	memcpy(&i, mac, sizeof(i));
	return i % GUESS_SLOTS;
}

static size_t
peer_host_len(const char *peer)
{
	const char *port = strrchr(peer, ':');

	return port == NULL ? strlen(peer) : (size_t)(port - peer);
}

static struct guess_slot *
guess_find(struct guess_delay *g, const char *user, const char *peer)
{
	size_t user_len = strlen(user);
	size_t peer_len = peer_host_len(peer);
	uint8_t text[512];

	if (user_len > sizeof(text) - 1)
		user_len = sizeof(text) - 1;
	if (peer_len > sizeof(text) - 1 - user_len)
		peer_len = sizeof(text) - 1 - user_len;
	memcpy(text, user, user_len);
	text[user_len] = '\0';
	memcpy(text + user_len + 1, peer, peer_len);
	return &g->slots[guess_place(g, text, user_len + 1 + peer_len)];
}

/* Of "[2001:db8::1]:1234" only the network counts. */
static struct token_bucket *
address_find(struct guess_delay *g, const char *peer, uint64_t now_ms)
{
	size_t len = peer_host_len(peer);
	struct token_bucket *b;
	struct in6_addr in6;
	char host[64];

	if (len >= sizeof(host))
		len = sizeof(host) - 1;
	memcpy(host, peer, len);
	host[len] = '\0';
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &in6) == 1) {
			memcpy(host, in6.s6_addr, 8);
			len = 8;
		}
	}
	b = &g->addresses[guess_place(g, host, len)];
	/* A failure costs what comes back in GUESS_REFILL_S. */
	if (b->burst == 0)
		token_bucket_init(b, 1,
		    (uint64_t)g->per_address * GUESS_REFILL_S, now_ms);
	return b;
}

void
guess_delay_address_failed(struct guess_delay *g, const char *peer,
    uint64_t now_ms)
{
	if (g->per_address > 0)
		token_bucket_take(address_find(g, peer, now_ms), GUESS_REFILL_S,
		    now_ms);
}

int
guess_delay_address_blocked(struct guess_delay *g, const char *peer,
    uint64_t now_ms)
{
	return g->per_address > 0 &&
	    token_bucket_wait_ms(address_find(g, peer, now_ms), GUESS_REFILL_S,
		now_ms) > 0;
}

uint32_t
guess_delay_failed(struct guess_delay *g, const char *user, const char *peer,
    uint64_t now_ms)
{
	struct guess_slot *s = guess_find(g, user, peer);
	uint32_t delay;

	if (now_ms - s->last_ms > GUESS_FORGET_MS)
		s->failures = 0;
	s->last_ms = now_ms;
	delay = GUESS_DELAY_MIN_MS + s->failures * GUESS_DELAY_STEP_MS;
	if (delay < GUESS_DELAY_MAX_MS)
		s->failures++;
	else
		delay = GUESS_DELAY_MAX_MS;
	return delay;
}

void
guess_delay_passed(struct guess_delay *g, const char *user, const char *peer)
{
	guess_find(g, user, peer)->failures = 0;
}
