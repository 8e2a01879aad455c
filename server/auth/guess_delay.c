/*
 * Growing delays against guessing.  Runs in auth; names and addresses come
 * from workers.  A keyed hash picks the place in a table of fixed size; two
 * pairs that share a place only make each other slower, by 2 s at most.
 */
#include "config.h"

#include "server/auth/guess_delay.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/mem.h"
#include "server/auth/secrets.h"

struct guess_slot {
	uint64_t last_ms;
	uint32_t failures;
};

struct guess_delay {
	uint8_t key[SECRET_LEN];
	struct guess_slot slots[GUESS_SLOTS];
};

struct guess_delay *
guess_delay_new(void)
{
	struct guess_delay *g = xcalloc(1, sizeof(*g));

	io_random(g->key, sizeof(g->key));
	return g;
}

void
guess_delay_free(struct guess_delay **g)
{
	free(*g);
	*g = NULL;
}

static struct guess_slot *
guess_find(struct guess_delay *g, const char *user, const char *peer)
{
	const char *port = strrchr(peer, ':');
	size_t user_len = strlen(user);
	size_t peer_len = port == NULL ? strlen(peer) : (size_t)(port - peer);
	uint8_t text[512], mac[SECRET_LEN];
	uint32_t i;

	if (user_len > sizeof(text) - 1)
		user_len = sizeof(text) - 1;
	if (peer_len > sizeof(text) - 1 - user_len)
		peer_len = sizeof(text) - 1 - user_len;
	memcpy(text, user, user_len);
	text[user_len] = '\0';
	memcpy(text + user_len + 1, peer, peer_len);
	secrets_mac(g->key, text, (unsigned int)(user_len + 1 + peer_len), mac);
	memcpy(&i, mac, sizeof(i));
	return &g->slots[i % GUESS_SLOTS];
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
