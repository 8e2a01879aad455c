/* Grants: nothing passes without the key; what passes with it is whole. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/privs.h"

#define NOW 1000
#define PID 1

/* Opens the input as it is, and then as if auth had made it. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t key[GRANT_KEY_LEN] = {1};
	uint8_t *sealed;
	unsigned int mac_len;
	struct grant g;
	size_t i;

	FUZZ_REQUIRE(grant_open(&g, key, data, len, PID, GRANT_PURPOSE_CALL,
			 NOW, NULL) == -1);
	if (len > IPC_GRANT_MAX - 32)
		return 0;
	sealed = xmalloc(len + 32);
	memcpy(sealed, data, len);
	HMAC(EVP_sha256(), key, sizeof(key), sealed, len, sealed + len,
	    &mac_len);
	if (grant_open(&g, key, sealed, len + 32, PID, GRANT_PURPOSE_CALL, NOW,
		NULL) == 0) {
		FUZZ_REQUIRE(g.node_count > 0 && g.auth_id[0] != '\0');
		for (i = 0; i < g.node_count; i++)
			FUZZ_REQUIRE(grant_privs(&g, g.nodes[i].path) ==
			    g.nodes[i].exact);
		grant_privs_ns(&g, g.store, g.ns);
		grant_any_below(&g, g.store, PRIV_ALL);
		grant_fini(&g);
	}
	free(sealed);
	return 0;
}
