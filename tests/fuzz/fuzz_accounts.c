/*
 * Records of accounts, as another version may have left them.  The first byte
 * of the input chooses the table, the second is the length of the key; then
 * come key and value.
 */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/json.h"
#include "common/lmdb.h"
#include "server/auth/accounts.h"
#include "server/auth/accounts_int.h"
#include "server/auth/acl.h"
#include "server/auth/auth.h"

static void
read_all(struct auth *a, struct lmdb_txn *t, const char *id)
{
	struct account_token k;
	struct account_user u;
	struct json *j;
	struct acl acl;
	struct err e;

	j = view_users(a, t, NULL, VIEW_F_TOKENS | VIEW_F_SECRETS, &e);
	FUZZ_REQUIRE(j != NULL || e.msg[0] != '\0');
	json_free(&j);
	j = view_tokens(a, t, NULL, VIEW_F_SECRETS, &e);
	json_free(&j);
	j = view_acl(a, t, NULL, NULL, &e);
	json_free(&j);
	j = view_permissions(a, t, id, NULL, &e);
	json_free(&j);
	accounts_user_get(a->accounts, t, id, &u, &e);
	accounts_token_get(a->accounts, t, id, &k, &e);
	accounts_active(a->accounts, t, id, 1, &e);
	accounts_acl_load(a->accounts, t, id, &acl, &e);
	acl_fini(&acl);
	accounts_user_del(a->accounts, t, id, &e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct auth a;
	unsigned int tables[3];
	char id[256];
	struct lmdb_txn *t;
	struct err e;
	size_t n;

	if (a.accounts == NULL) {
		fuzz_folder();
		FUZZ_REQUIRE(
		    accounts_open(&a.accounts, fuzz_folder_path, &e) == 0);
	}
	if (len < 2 || data[1] == 0 || data[1] > len - 2)
		return 0;
	tables[0] = a.accounts->users;
	tables[1] = a.accounts->tokens;
	tables[2] = a.accounts->acl;
	n = data[1];
	memcpy(id, data + 2, n);
	id[n] = '\0';
	if (accounts_begin(a.accounts, 1, &t, &e) == -1) {
		FUZZ_REQUIRE(e.code != ERR_OK);
		return 0;
	}
	if (lmdb_put(t, tables[data[0] % 3], data + 2, n, data + 2 + n,
		len - 2 - n, &e) == 0)
		read_all(&a, t, id);
	accounts_abort(&t);
	return 0;
}
