/* Arguments of operators' commands to the validator: strings "key=value",
 * each ended by NUL, which the message's handler has seen to. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "validator/control_int.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const keys[] = {"id", "store", "limit", "start"};
	struct control_req r = {.args_len = len};
	struct err e = {.code = ERR_OK};
	const char *v;
	uint64_t n;
	size_t i;

	if (len > 0 && data[len - 1] != '\0')
		return 0;
	r.args = xmemdup(data, len);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		v = control_arg(&r, keys[i]);
		FUZZ_REQUIRE(v == NULL || (v > r.args && v < r.args + len));
		FUZZ_REQUIRE(control_arg_need(&r, keys[i], &e) == v);
		FUZZ_REQUIRE(v != NULL || e.code == ERR_PARAM);
		if (control_arg_u64(&r, keys[i], 7, &n, &e) == 0)
			FUZZ_REQUIRE(v != NULL || n == 7);
	}
	free(r.args);
	return 0;
}
