/* Calendar events: what was accepted happens again and again, or ends, and
 * each time lies behind the one before. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/calendar.h"
#include "common/err.h"

#define TIMES 8

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = fuzz_string(data, len);
	struct err e = {.code = ERR_OK};
	time_t t = 1795337624, next;
	struct calendar c;
	int i;

	if (calendar_parse(text, &c, &e) == 0) {
		FUZZ_REQUIRE(c.months != 0 && c.days != 0 && c.weekdays != 0);
		FUZZ_REQUIRE(c.hours != 0 && c.minutes != 0 && c.seconds != 0);
		for (i = 0; i < TIMES; i++, t = next) {
			next = calendar_next(&c, t);
			if (next == -1)
				break;
			FUZZ_REQUIRE(next > t);
		}
	} else {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	}
	free(text);
	return 0;
}
