/*
 * Limits against abuse of HTTP/2.  Runs in a worker; everything counted here
 * was sent by a client that may want to wear us out.
 */
#include "config.h"

#include "server/h2_limits.h"

/* Frame types of RFC 9113, 6; this file stays free of the library. */
enum {
	FRAME_DATA = 0x0,
	FRAME_HEADERS = 0x1,
	FRAME_PRIORITY = 0x2,
	FRAME_RST_STREAM = 0x3,
	FRAME_SETTINGS = 0x4,
	FRAME_PING = 0x6,
	FRAME_GOAWAY = 0x7,
	FRAME_WINDOW_UPDATE = 0x8,
	FRAME_CONTINUATION = 0x9,
};
#define FLAG_END_STREAM 0x1u

/* Go's library sends an update for every 4 KiB that it read, for stream and
 * connection. */
#define BYTES_PER_UPDATE 2048
#define HEADER_OVERHEAD 32 /* a field counts so much more: RFC 9113, 6.5.2 */

static const struct cost_row {
	uint32_t rate; /* per second */
	uint32_t burst;
	const char *text;
} cost_rows[H2_COST_COUNT] = {
    [H2_COST_RESET] = {50, 1000, "too many stream resets"},
    [H2_COST_CONTROL] = {50, 1000, "too many control frames"},
    [H2_COST_WINDOW] = {1000, 10000, "too many window updates"},
    [H2_COST_EMPTY] = {50, 1000, "too many empty frames"},
    [H2_COST_CONTINUE] = {50, 1000, "too many continuation frames"},
    [H2_COST_INVALID] = {10, 200, "too many invalid frames"},
};

void
h2_limits_init(struct h2_limits *l, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < H2_COST_COUNT; i++)
		token_bucket_init(&l->bucket[i], cost_rows[i].rate,
		    cost_rows[i].burst, now_ms);
	l->earned = 0;
	l->header_len = 0;
}

const char *
h2_limits_take(struct h2_limits *l, enum h2_cost cost, uint64_t now_ms)
{
	return token_bucket_take(&l->bucket[cost], 1, now_ms)
	    ? NULL
	    : cost_rows[cost].text;
}

const char *
h2_limits_frame(struct h2_limits *l, uint8_t type, uint8_t flags, size_t len,
    uint64_t now_ms)
{
	switch (type) {
	case FRAME_DATA:
		if (len > 0 || (flags & FLAG_END_STREAM) != 0)
			return NULL;
		return h2_limits_take(l, H2_COST_EMPTY, now_ms);
	case FRAME_HEADERS:
	case FRAME_GOAWAY:
		return NULL;
	case FRAME_RST_STREAM:
		return h2_limits_take(l, H2_COST_RESET, now_ms);
	case FRAME_WINDOW_UPDATE:
		if (l->earned >= BYTES_PER_UPDATE) {
			l->earned -= BYTES_PER_UPDATE;
			return NULL;
		}
		return h2_limits_take(l, H2_COST_WINDOW, now_ms);
	case FRAME_CONTINUATION:
		return h2_limits_take(l, H2_COST_CONTINUE, now_ms);
	case FRAME_PRIORITY:
	case FRAME_SETTINGS:
	case FRAME_PING:
	default:
		return h2_limits_take(l, H2_COST_CONTROL, now_ms);
	}
}

void
h2_limits_sent(struct h2_limits *l, size_t len)
{
	l->earned += len;
}

void
h2_limits_headers_begin(struct h2_limits *l)
{
	l->header_len = 0;
}

bool
h2_limits_header(struct h2_limits *l, size_t name_len, size_t value_len)
{
	if (name_len > H2_HEADERS_MAX || value_len > H2_HEADERS_MAX)
		return false;
	l->header_len += name_len + value_len + HEADER_OVERHEAD;
	return l->header_len <= H2_HEADERS_MAX;
}
