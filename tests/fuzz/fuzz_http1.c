/* HTTP/1.1: the same request, whichever way its bytes were cut. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "server/http1_parser.h"
#include "server/request.h"

#define BODY_MAX 65536

struct outcome {
	enum http1_event last;
	size_t taken;
	int status;
	char body[BODY_MAX];
	size_t body_len;
	char *target;
};

static void
on_body(void *arg, const uint8_t *p, size_t len)
{
	struct outcome *o = arg;

	if (len > BODY_MAX - o->body_len)
		len = BODY_MAX - o->body_len;
	memcpy(o->body + o->body_len, p, len);
	o->body_len += len;
}

static void
no_reply(struct request *req)
{
	(void)req;
}

static void
parse(struct outcome *o, const uint8_t *data, size_t len, size_t step)
{
	static const struct request_ops ops = {.respond = no_reply};
	struct request *req = request_new(NULL, &ops, NULL, NULL);
	struct http1_parser *p = http1_parser_new(on_body, o);
	size_t end = 0, n;

	memset(o, 0, sizeof(*o));
	http1_parser_start(p, req);
	do {
		end = len - end > step ? end + step : len;
		do {
			n = http1_parser_feed(p, data + o->taken,
			    end - o->taken, &o->last);
			FUZZ_REQUIRE(n <= end - o->taken);
			o->taken += n;
		} while (o->last == HTTP1_HEAD && o->taken < end);
	} while (end < len && o->last <= HTTP1_HEAD);
	if (o->last == HTTP1_ERROR)
		o->status = http1_parser_head(p)->status;
	if (o->last == HTTP1_END) {
		FUZZ_REQUIRE(req->target != NULL);
		o->target = xstrdup(req->target);
	}
	http1_parser_free(p);
	request_free(req);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct outcome whole, cut;

	parse(&whole, data, len, len);
	parse(&cut, data, len, 1);
	FUZZ_REQUIRE(whole.last == cut.last && whole.status == cut.status);
	if (whole.last == HTTP1_END) {
		FUZZ_REQUIRE(whole.taken == cut.taken);
		FUZZ_REQUIRE(whole.body_len == cut.body_len &&
		    memcmp(whole.body, cut.body, cut.body_len) == 0);
		FUZZ_REQUIRE(strcmp(whole.target, cut.target) == 0);
	}
	free(whole.target);
	free(cut.target);
	return 0;
}
