/* Client key files in all three forms. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/keyfile.h"

#define DATA0 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define FINGERPRINT                                        \
	"0e:ab:d4:46:0b:6e:b9:ca:34:50:23:de:e2:b7:78:c7:" \
	"90:e5:4a:16:83:b9:65:9c:0a:57:ae:19:90:90:15:9b"

static uint8_t key[CRYPT_KEY_LEN];

static void
setup(void)
{
	int i;

	for (i = 0; i < CRYPT_KEY_LEN; i++)
		key[i] = (uint8_t)i;
}

TestSuite(keyfile, .init = setup);

static int
parse(const char *json, struct keyfile *out, struct err *e)
{
	return keyfile_parse(json, strlen(json), out, e);
}

Test(keyfile, plain)
{
	static const char json[] =
	    "{\"kdf\":null,\"created\":\"2024-01-31T12:00:00+01:00\","
	    "\"modified\":\"2024-01-31T12:00:00+01:00\",\"data\":\"" DATA0
	    "\",\"fingerprint\":\"" FINGERPRINT "\",\"hint\":\"h\"}";
	uint8_t out[CRYPT_KEY_LEN];
	struct keyfile k;
	struct err e;

	cr_assert_eq(parse(json, &k, &e), 0, "%s", e.msg);
	cr_expect_eq(k.kdf, KEYFILE_KDF_NONE);
	cr_expect_str_eq(k.created, "2024-01-31T12:00:00+01:00");
	cr_expect_str_eq(k.hint, "h");
	cr_assert_eq(keyfile_unlock(&k, NULL, out, &e), 0);
	cr_expect_arr_eq(out, key, CRYPT_KEY_LEN);
	k.fingerprint.b[0] ^= 1;
	cr_expect_eq(keyfile_unlock(&k, NULL, out, &e), -1);
	cr_expect_eq(e.code, ERR_CRYPTO);
	keyfile_wipe(&k);
	cr_expect_eq(k.data[5], 0);
}

/* Writes, reads back, opens with right and wrong passphrase. */
static void
round_trip(enum keyfile_kdf kdf, const char *member)
{
	struct keyfile k = {.created = "2020-01-01T00:00:00+00:00"}, back;
	uint8_t out[CRYPT_KEY_LEN], zero[CRYPT_KEY_LEN] = {0};
	struct err e;
	size_t len;
	char *json;

	cr_assert_eq(keyfile_lock(&k, key, kdf, "secret", "the usual", &e), 0);
	cr_assert_eq(keyfile_to_json(&k, &json, &len, &e), 0);
	cr_expect_neq(strstr(json, member), NULL, "%s", json);
	cr_expect_neq(strstr(json, "\"created\":\"2020-01-01T00"), NULL);
	cr_assert_eq(keyfile_parse(json, len, &back, &e), 0, "%s", e.msg);
	cr_expect(back.has_fingerprint);
	cr_expect_str_eq(back.hint, "the usual");
	cr_expect_eq(strlen(back.modified), 25);
	cr_expect_eq(back.modified[22], ':');
	cr_assert_eq(keyfile_unlock(&back, "secret", out, &e), 0);
	cr_expect_arr_eq(out, key, CRYPT_KEY_LEN);
	if (kdf != KEYFILE_KDF_NONE) {
		cr_expect_eq(keyfile_unlock(&back, "Secret", out, &e), -1);
		cr_expect_eq(e.code, ERR_CRYPTO);
		cr_expect_arr_eq(out, zero, CRYPT_KEY_LEN);
		cr_expect_eq(keyfile_unlock(&back, "tiny", out, &e), -1);
		cr_expect_eq(e.code, ERR_PARAM);
		cr_expect_eq(keyfile_unlock(&back, NULL, out, &e), -1);
		back.data[40] ^= 1;
		cr_expect_eq(keyfile_unlock(&back, "secret", out, &e), -1);
	}
	free(json);
}

Test(keyfile, without_kdf)
{
	round_trip(KEYFILE_KDF_NONE, "\"kdf\":null");
}

Test(keyfile, with_scrypt)
{
	round_trip(KEYFILE_KDF_SCRYPT, "\"kdf\":{\"Scrypt\":{\"n\":65536,");
}

Test(keyfile, with_pbkdf2)
{
	round_trip(KEYFILE_KDF_PBKDF2, "\"kdf\":{\"PBKDF2\":{\"iter\":65535,");
}

Test(keyfile, refuses_to_lock)
{
	struct keyfile k = {0};
	char hint[300];
	struct err e;

	cr_expect_eq(keyfile_lock(&k, key, KEYFILE_KDF_PBKDF2, "abcd", NULL,
			 &e),
	    -1);
	memset(hint, 'h', sizeof(hint));
	hint[299] = '\0';
	cr_expect_eq(keyfile_lock(&k, key, KEYFILE_KDF_NONE, NULL, hint, &e),
	    -1);
	cr_expect_eq(keyfile_lock(&k, key, KEYFILE_KDF_NONE, NULL, "\xff", &e),
	    0);
	cr_expect_eq(keyfile_to_json(&k, &(char *){NULL}, &(size_t){0}, &e),
	    -1);
}

Test(keyfile, refuses_malformed)
{
	static const char *const bad[] = {
	    "",
	    "[]",
	    "{}",
	    "{\"kdf\":null,\"data\":1}",
	    "{\"kdf\":null,\"data\":\"AAEC\"}",
	    "{\"kdf\":null,\"data\":\"" DATA0 "=\"}",
	    "{\"kdf\":1,\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{},\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{\"Argon2\":{}},\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{\"Scrypt\":1},\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{\"Scrypt\":{\"n\":65536,\"r\":8,\"p\":1}},"
	    "\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{\"Scrypt\":{\"n\":65536,\"r\":8,\"p\":1,"
	    "\"salt\":\"AAAA\"}},\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{\"PBKDF2\":{\"iter\":0,\"salt\":\"AAAA\"}},"
	    "\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":{\"PBKDF2\":{\"iter\":99999999999,\"salt\":\"AAAA\"}},"
	    "\"data\":\"" DATA0 "\"}",
	    "{\"kdf\":null,\"data\":\"" DATA0 "\",\"fingerprint\":\"aa\"}",
	    "{\"kdf\":null,\"data\":\"" DATA0 "\",\"hint\":1}",
	    "{\"kdf\":null,\"data\":\"" DATA0
	    "\",\"created\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
	};
	struct keyfile k;
	struct err e;
	char *big;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(parse(bad[i], &k, &e), -1, "%s", bad[i]);
	big = calloc(1, KEYFILE_JSON_MAX + 1);
	cr_expect_eq(keyfile_parse(big, KEYFILE_JSON_MAX + 1, &k, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(big);
}

/* Costs that would take gigabytes are refused before they are paid. */
Test(keyfile, limits_the_cost_of_scrypt)
{
	uint8_t out[CRYPT_KEY_LEN];
	struct keyfile k = {0};
	struct err e;

	cr_assert_eq(keyfile_lock(&k, key, KEYFILE_KDF_PBKDF2, "secret", NULL,
			 &e),
	    0);
	k.kdf = KEYFILE_KDF_SCRYPT;
	k.n = UINT64_C(1) << 30;
	cr_expect_eq(keyfile_unlock(&k, "secret", out, &e), -1);
	cr_expect_eq(e.code, ERR_CRYPTO);
}
