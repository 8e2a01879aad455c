#!/bin/sh
# Style rule 1: who may include what.  Third-party headers stand only in
# their wrappers, and a folder's headers only in the layers above it.  TAP.
set -u
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 1

# header (a pattern); files that may include it (a pattern); what that means
table() {
	cat <<'END'
lmdb\.h;common/lmdb\.c;LMDB only in its wrapper
json-c/;common/json[a-z_]*\.[ch];json-c only in its wrapper
confuse\.h;common/conf\.c;libconfuse only in its wrapper
seccomp\.h;common/sandbox[a-z_]*\.[ch];libseccomp only in the sandbox
nghttp2/;(server|client)/h2[a-z_]*\.[ch];nghttp2 only in the HTTP/2 files
openssl/ssl\.h;(server|client)/tls[a-z_]*\.[ch]|bench/[a-z_]*\.c;libssl only in TLS files
(http_parser|llhttp)\.h;server/http1[a-z_]*\.[ch];the HTTP parser only in http1
zstd\.h;common/format/[a-z_]*\.c;zstd only in the format library
isa-l;(common/format|bench)/[a-z_]*\.c;ISA-L only in the format library
systemd/;common/[a-z_]*\.c;libsystemd only in common
crypt\.h;server/auth/[a-z_]*\.c;libcrypt only in auth
common/format/;(common/format|server|validator|client|admin|bench)/.*;common stands below the format library
(server|validator|client|admin|bench)/;(server|validator|client|admin|bench)/.*;common knows nothing above it
server/;server/.*;only the server includes server/
server/auth/;server/auth/.*|server/api_(access|health)\.c;only auth includes server/auth/, and who calls it
validator/;validator/.*;only the validator includes validator/
client/;(client|bench)/.*;only the client includes client/
admin/;admin/.*;only the command includes admin/
END
}

# Files that include a header matching $1, except those matching $2.
offenders() {
	grep -rlE --include='*.[ch]' "^#[[:space:]]*include[[:space:]]*[<\"]$1" \
	    common server validator client admin bench | grep -vE "^($2)\$"
}

echo "1..$(table | wc -l)"
table | {
	n=0
	status=0
	while IFS=';' read -r header allowed text; do
		n=$((n + 1))
		if found=$(offenders "$header" "$allowed"); then
			echo "not ok $n - $text"
			echo "$found" | sed 's/^/# /'
			status=1
		else
			echo "ok $n - $text"
		fi
	done
	exit $status
}
