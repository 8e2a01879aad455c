#ifndef SERVER_H2_LIMITS_H
#define SERVER_H2_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/token_bucket.h"

/*
 * What one HTTP/2 connection may cost besides its requests.  Each kind of
 * cheap frame has a rate and a burst far above what any client needs; a
 * client that exceeds one is cut off.  Pure: no input, output or memory.
 */
enum h2_cost {
	H2_COST_RESET,    /* RST_STREAM: "rapid reset" */
	H2_COST_CONTROL,  /* SETTINGS, PING, PRIORITY, unknown types */
	H2_COST_WINDOW,   /* WINDOW_UPDATE that no sent data explains */
	H2_COST_EMPTY,    /* DATA without data and without end */
	H2_COST_CONTINUE, /* CONTINUATION */
	H2_COST_INVALID,  /* what breaks a rule but not the connection */
	H2_COST_COUNT
};

struct h2_limits {
	struct token_bucket bucket[H2_COST_COUNT];
	uint64_t earned; /* window updates that sent data explains */
	size_t header_len;
};

#define H2_HEADERS_MAX (64u << 10) /* of one request, as RFC 9113 counts */

void h2_limits_init(struct h2_limits *l, uint64_t now_ms);
/* NULL, or what there is too much of ("too many stream resets"). */
const char *h2_limits_take(struct h2_limits *l, enum h2_cost cost,
    uint64_t now_ms);
/* The same; classifies a frame by RFC 9113's type and flags. */
const char *h2_limits_frame(struct h2_limits *l, uint8_t type, uint8_t flags,
    size_t len, uint64_t now_ms);
/* Body bytes were sent: updates of the client's windows will follow. */
void h2_limits_sent(struct h2_limits *l, size_t len);
/* A header block begins; one field of it (false: too large). */
void h2_limits_headers_begin(struct h2_limits *l);
bool h2_limits_header(struct h2_limits *l, size_t name_len, size_t value_len);

#endif
