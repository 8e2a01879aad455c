/* JSON as clients send it: what is accepted prints to something that is
 * accepted and prints the same. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/json.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct err e = {.code = ERR_OK};
	struct json *j, *again, *copy;
	char *text, *text2;
	size_t n, n2;

	j = json_parse((const char *)data, len, JSON_DEPTH_DEFAULT, &e);
	if (j == NULL) {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
		return 0;
	}
	copy = json_dup(j);
	text = json_compact(copy, &n);
	fuzz_same(data, len, text, n);
	again = json_parse(text, n, JSON_DEPTH_DEFAULT, &e);
	FUZZ_REQUIRE(again != NULL || e.code == ERR_NOMEM);
	if (again != NULL) {
		text2 = json_compact(again, &n2);
		FUZZ_REQUIRE(n == n2 && memcmp(text, text2, n) == 0);
		free(text2);
	}
	free(text);
	free(json_pretty(j, NULL));
	json_free(&again);
	json_free(&copy);
	json_free(&j);
	return 0;
}
