#ifndef SERVER_AUTH_GUESS_DELAY_H
#define SERVER_AUTH_GUESS_DELAY_H

#include <stdint.h>

/*
 * How long the answer to a failed authentication waits: 3 s (wire-protocol
 * 1.6), and up to 5 s for who fails again and again with the same name from the
 * same address.  More would run into clients' time limits.  Bounded: the
 * table forgets, but never below 3 s.
 *
 * Beside that each address (of IPv6: each /64 network) has so many failures of
 * any name, and one more every 10 s.  When they are used up, passwords from
 * there are not even looked at.
 */
#define GUESS_DELAY_MIN_MS 3000
#define GUESS_DELAY_STEP_MS 250
#define GUESS_DELAY_MAX_MS 5000
#define GUESS_FORGET_MS (10 * 60 * 1000)
#define GUESS_SLOTS 4096

struct guess_delay;

#define GUESS_REFILL_S 10

/* per_address: failures; 0 for no such limit. */
struct guess_delay *guess_delay_new(unsigned int per_address);
void guess_delay_free(struct guess_delay **g);

/* Counts one failure; peer is "address:port". */
uint32_t guess_delay_failed(struct guess_delay *g, const char *user,
    const char *peer, uint64_t now_ms);
/* The same for the address alone: a wrong password or secret. */
void guess_delay_address_failed(struct guess_delay *g, const char *peer,
    uint64_t now_ms);
/* 1 if that address has no failure left. */
int guess_delay_address_blocked(struct guess_delay *g, const char *peer,
    uint64_t now_ms);
/* A success: forgets the failures. */
void guess_delay_passed(struct guess_delay *g, const char *user,
    const char *peer);

#endif
