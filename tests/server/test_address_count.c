/* Addresses of clients: texts, networks, counting. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"
#include "server/address_count.h"

struct address_case {
	char text[64];
	char back[64]; /* "": refused */
};

ParameterizedTestParameters(address_count, parse)
{
	static struct address_case rows[] = {
	    {"127.0.0.1:8007", "127.0.0.1:8007"},
	    {"[::]:1", "[::]:1"},
	    {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
	    {"[::ffff:192.0.2.7]:9", "192.0.2.7:9"},
	    {"::1:8007", ""},
	    {"127.0.0.1", ""},
	    {"127.0.0.1:0", ""},
	    {"127.0.0.1:65536", ""},
	    {":8007", ""},
	    {"localhost:8007", ""},
	    {"[127.0.0.1]:x", ""},
	    {"[]:1", ""},
	    {"", ""},
	    {"1.2.3.4:-1", ""},
	};

	return cr_make_param_array(struct address_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct address_case *row, address_count, parse)
{
	struct sockaddr_storage ss;
	char text[ADDRESS_TEXT_MAX];
	int rv = address_parse(&ss, row->text, NULL);

	if (row->back[0] == '\0') {
		cr_expect_eq(rv, -1, "%s", row->text);
		return;
	}
	cr_assert_eq(rv, 0, "%s", row->text);
	address_text(text, (struct sockaddr *)&ss);
	cr_expect_str_eq(text, row->back);
}

static struct address_key
key(const char *text)
{
	struct sockaddr_storage ss;
	struct address_key k;

	cr_assert_eq(address_parse(&ss, text, NULL), 0);
	address_key_set(&k, (struct sockaddr *)&ss);
	return k;
}

Test(address_count, networks)
{
	struct address_key a = key("[2001:db8:0:1::1]:1");
	struct address_key b = key("[2001:db8:0:1:ffff::2]:2");
	struct address_key c = key("[2001:db8:0:2::1]:1");
	struct address_key d = key("192.0.2.7:1");
	struct address_key e = key("[::ffff:192.0.2.7]:2");

	cr_expect_eq(memcmp(&a, &b, sizeof(a)), 0, "same /64");
	cr_expect_neq(memcmp(&a, &c, sizeof(a)), 0, "other /64");
	cr_expect_eq(memcmp(&d, &e, sizeof(d)), 0, "mapped IPv4");
}

Test(address_count, limit)
{
	struct address_count *c = address_count_new();
	struct address_key a = key("192.0.2.1:1"), b = key("192.0.2.2:1");

	cr_expect_eq(address_count_add(c, &a, 2), 1);
	cr_expect_eq(address_count_add(c, &a, 2), 2);
	cr_expect_eq(address_count_add(c, &a, 2), 0);
	cr_expect_eq(address_count_add(c, &b, 2), 1);
	address_count_remove(c, &a);
	cr_expect_eq(address_count_add(c, &a, 2), 2);
	address_count_remove(c, &a);
	address_count_remove(c, &a);
	address_count_remove(c, &a); /* one too many does no harm */
	cr_expect_eq(address_count_size(c), 1);
	cr_expect_eq(address_count_add(c, &a, 0), 0);
	address_count_free(c);
}
