/* Names of privileges and roles. */
#include "config.h"

#include <criterion/criterion.h>

#include <string.h>

#include "common/privs.h"

static uint32_t
role(const char *name)
{
	int known;
	uint32_t privs = privs_of_role(name, &known);

	cr_expect(known, "%s", name);
	return privs;
}

Test(privs, roles_are_those_of_the_protocol)
{
	int known;

	cr_expect_eq(role("Admin"), PRIV_ALL);
	cr_expect_eq(role("NoAccess"), 0);
	cr_expect_eq(role("Audit"), PRIV_SYS_AUDIT | PRIV_DATASTORE_AUDIT);
	cr_expect_eq(role("DatastoreBackup"), PRIV_DATASTORE_BACKUP);
	cr_expect_eq(role("DatastorePowerUser"),
	    PRIV_DATASTORE_BACKUP | PRIV_DATASTORE_PRUNE);
	cr_expect_eq(role("DatastoreReader"),
	    PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_VERIFY | PRIV_DATASTORE_READ);
	cr_expect_eq(role("DatastoreAdmin") &
		~(role("DatastoreReader") | role("DatastorePowerUser")),
	    PRIV_DATASTORE_MODIFY);
	privs_of_role("admin", &known);
	cr_expect_not(known);
	privs_of_role("", &known);
	cr_expect_not(known);
}

Test(privs, text)
{
	char buf[64];

	cr_expect_str_eq(privs_text(PRIV_DATASTORE_MODIFY |
				 PRIV_DATASTORE_PRUNE,
			     buf, sizeof(buf)),
	    "Datastore.Modify|Datastore.Prune");
	cr_expect_str_eq(privs_text(0, buf, sizeof(buf)), "");
	privs_text(PRIV_ALL, buf, sizeof(buf));
	cr_expect_lt(strlen(buf), sizeof(buf), "cut, not written past the end");
}

Test(privs, lists_end)
{
	unsigned int n = 0;
	const char *text;

	while (privs_role_name(n, &text) != NULL) {
		cr_expect_gt(strlen(text), 0);
		n++;
	}
	cr_expect_geq(n, 8);
	cr_expect_str_eq(privs_bit_name(0), "Datastore.Audit");
	cr_expect_null(privs_bit_name(20));
	cr_expect_null(privs_bit_name(31));
}
